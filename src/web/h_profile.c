/* h_profile: what users say of themselves, over HTTP. */
#include "handlers.h"

#include "profile.h"

#include "reply.h"

enum err
get_profile(struct req *rq)
{
	struct profile p;
	enum err e = profile_read(&rq->ctx, rq->id, &p);

	return e != OK ? e : reply_doc(rq, 200, &PROFILE, &p);
}

enum err
put_profile(struct req *rq)
{
	struct profile p;
	enum err e = profile_replace(&rq->ctx, rq->id, rq->in, &p);

	return e != OK ? e : reply_doc(rq, 200, &PROFILE, &p);
}
