/* h_user: users over HTTP. */
#include "handlers.h"

#include "behind.h"
#include "directory.h"
#include "replay.h"
#include "search.h"

#include "etag.h"
#include "prefer.h"
#include "reply.h"

enum err
get_user(struct req *rq)
{
	return reply_page(rq, &rq->page->page);
}

enum err
get_user_state(struct req *rq)
{
	struct page page;
	enum err e = replay_page(&rq->ctx, rq->id, rq->query, &page);

	return e != OK ? e : reply_state(rq, &page);
}

enum err
get_users(struct req *rq)
{
	struct user_page page;
	struct list_links links;
	enum err e = directory_list(&rq->ctx, rq->query, &page);

	if (e != OK)
		return e;
	links = (struct list_links){ .next = { "cursor", page.next },
				     .prev = { "cursor", page.prev },
				     .first = { "cursor", page.first },
				     .total = page.total };
	return reply_list(rq, &page.body, &links);
}

enum err
search_user(struct req *rq)
{
	struct list_links none = { .total = NO_INT };
	struct buf body = buf_new(rq->arena, 4096);
	enum err e = search_users(&rq->ctx, rq->query, &body);

	return e != OK ? e : reply_list(rq, &body, &none);
}

enum err
post_user(struct req *rq)
{
	struct page page;
	enum err e = user_create(&rq->ctx, rq->in, NULL, &page);

	return e != OK ? e : reply_changed(rq, 201, &page);
}

static bool
is_newer(const struct etag *tag, const struct tag *than)
{
	return tag->version > than->version ||
	       (tag->version == than->version && tag->pending > than->pending);
}

/* RFC 9110, 13.1.1, the strong comparison: the state it must have, *match_r NULL for any. Of a
 * list only the newest can be current. E_STALE where no tag of ours is in it. */
static enum err
wanted_state(struct req *rq, const struct tag **match_r)
{
	const char *if_match = rq->head.if_match;
	struct tag *newest = arena_get(rq->arena, sizeof(*newest));
	struct etag tag;

	*newest = (struct tag){ 0 };
	*match_r = NULL;
	if (*if_match == '\0')
		return OK;
	while (etag_next(&if_match, &tag)) {
		if (tag.any)
			return OK;
		if (!tag.weak && is_newer(&tag, newest))
			*newest = (struct tag){ tag.version, tag.pending };
	}
	*match_r = newest;
	return newest->version > 0 ? OK : E_STALE;
}

static enum err
change(struct req *rq, const struct user *in)
{
	struct page page;
	const struct tag *match;
	enum err e;

	if ((e = wanted_state(rq, &match)) != OK ||
	    (e = user_change(&rq->ctx, rq->id, in, match, &page)) != OK)
		return e;
	return reply_changed(rq, 200, &page);
}

/* 202 once Redis has it; 200 where it was made at once after all. */
static enum err
change_behind(struct req *rq, const struct user *in)
{
	struct page heard, page;
	bool behind, known = user_heard(&rq->ctx, rq->page_slot, rq->id, &heard) == HEARD;
	enum err e = behind_change(&rq->ctx, rq->id, in, known ? &heard : NULL, &page, &behind);

	return e != OK ? e : reply_changed(rq, behind ? 202 : 200, &page);
}

enum err
patch_user(struct req *rq)
{
	const struct user *in = rq->in;

	if (in->given.set == 0)
		return refuse(&rq->ctx, E_INVALID, NULL, MSG_NOTHING);
	if (prefer_async(rq->head.prefer) && *rq->head.if_match == '\0' && behind_may(in))
		return change_behind(rq, in);
	return change(rq, in);
}

/* What a replacement leaves out becomes null; rights, which are an admin's, stay. */
enum err
put_user(struct req *rq)
{
	struct user *in = rq->in;

	for (const struct field *f = USER.field; f->name != NULL; f++) {
		if ((f->use & IN_REPLACE) != 0)
			in->given.set |= UINT64_C(1) << (f - USER.field);
	}
	return change(rq, in);
}

enum err
delete_user_again(struct req *rq)
{
	enum err e = E_BAD_TOKEN;

	if (rq->id == rq->ctx.actor)
		e = user_was_deleted_here(&rq->ctx, rq->id, E_BAD_TOKEN);
	return e != OK ? e : reply_nothing(rq);
}

enum err
delete_user(struct req *rq)
{
	const struct tag *match;
	enum err e;

	if ((e = wanted_state(rq, &match)) != OK ||
	    (e = user_delete(&rq->ctx, rq->id, match)) != OK)
		return e;
	return reply_nothing(rq);
}
