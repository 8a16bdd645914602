/* h_account: addresses and passwords over HTTP. */
#include "handlers.h"

#include "account.h"
#include "user.h"

#include "reply.h"

enum err
post_verify_email(struct req *rq)
{
	enum err e = account_verify_email(&rq->ctx, rq->in);

	return e != OK ? e : reply_nothing(rq);
}

enum err
post_password(struct req *rq)
{
	enum err e = account_change_password(&rq->ctx, rq->in);

	return e != OK ? e : reply_nothing(rq);
}

enum err
post_password_forgot(struct req *rq)
{
	enum err e = account_forgot_password(&rq->ctx, rq->in);

	return e != OK ? e : reply_doc(rq, 202, &ACCEPTED, &(struct accepted){ "accepted" });
}

enum err
post_password_reset(struct req *rq)
{
	enum err e = account_reset_password(&rq->ctx, rq->in);

	return e != OK ? e : reply_nothing(rq);
}
