/* h_saga: what spans two databases, over HTTP. */
#include "handlers.h"

#include "saga.h"

#include "reply.h"

enum err
post_user_with_profile(struct req *rq)
{
	struct page answer;
	enum err e = saga_sign_up(&rq->ctx, rq->in, &answer);

	return e != OK ? e : reply_changed(rq, 201, &answer);
}

enum err
get_saga(struct req *rq)
{
	struct saga_seen s;
	enum err e = saga_read(&rq->ctx, rq->uuid, &s);

	return e != OK ? e : reply_doc(rq, 200, &SAGA, &s);
}
