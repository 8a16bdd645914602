/* h_auth: signing in over HTTP. */
#include "handlers.h"

#include "auth.h"

#include "reply.h"

enum err
post_login(struct req *rq)
{
	struct grant g;
	enum err e = auth_sign_in(&rq->ctx, rq->in, &g);

	return e != OK ? e : reply_doc(rq, 200, &GRANT, &g);
}
