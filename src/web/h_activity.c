/* h_activity: what users did, over HTTP. */
#include "handlers.h"

#include "doc.h"

#include "activity.h"
#include "user.h"

#include "reply.h"

enum err
get_activities(struct req *rq)
{
	struct activity_page page;
	struct list_links links = { .total = NO_INT };
	struct buf body = buf_new(rq->arena, 4096);
	enum err e = activity_list(&rq->ctx, rq->id, rq->query, &page);

	if (e != OK)
		return e;
	links.next = (struct list_link){ "cursor", page.next };
	doc_print_rows(&body, &ACTIVITY, SHOWN, page.rows, page.n);
	return reply_list(rq, &body, &links);
}

enum err
post_activity(struct req *rq)
{
	struct activity made;
	enum err e = activity_add(&rq->ctx, rq->id, rq->in, &made);

	return e != OK ? e : reply_doc(rq, 201, &ACTIVITY, &made);
}
