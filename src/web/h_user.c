/* h_user: users over HTTP. */
#include "handlers.h"

#include "directory.h"

#include "etag.h"
#include "reply.h"

enum err
get_user(struct req *rq)
{
	return reply_page(rq, &rq->page->page);
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
post_user(struct req *rq)
{
	struct page page;
	enum err e = user_create(&rq->ctx, rq->in, &page);

	return e != OK ? e : reply_changed(rq, 201, &page);
}

/* RFC 9110, 13.1.1, the strong comparison: the version it must have, NO_INT for any. Of a
 * list only the newest can be current. E_STALE where no tag of ours is in it. */
static enum err
wanted_version(const char *if_match, int64_t *version_r)
{
	struct etag tag;
	int64_t newest = 0;

	*version_r = NO_INT;
	if (*if_match == '\0')
		return OK;
	while (etag_next(&if_match, &tag)) {
		if (tag.any)
			return OK;
		if (!tag.weak && tag.version > newest)
			newest = tag.version;
	}
	*version_r = newest;
	return newest > 0 ? OK : E_STALE;
}

static enum err
change(struct req *rq, const struct user *in)
{
	struct page page;
	int64_t version;
	enum err e;

	if ((e = wanted_version(rq->head.if_match, &version)) != OK ||
	    (e = user_change(&rq->ctx, rq->id, in, version, &page)) != OK)
		return e;
	return reply_changed(rq, 200, &page);
}

enum err
patch_user(struct req *rq)
{
	const struct user *in = rq->in;

	if (in->given.set == 0)
		return refuse(&rq->ctx, E_INVALID, NULL, MSG_NOTHING);
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
	enum err e = user_was_deleted_here(&rq->ctx, rq->id, E_BAD_TOKEN);

	return e != OK ? e : reply_nothing(rq);
}

enum err
delete_user(struct req *rq)
{
	int64_t version;
	enum err e;

	if ((e = wanted_version(rq->head.if_match, &version)) != OK ||
	    (e = user_delete(&rq->ctx, rq->id, version)) != OK)
		return e;
	return reply_nothing(rq);
}
