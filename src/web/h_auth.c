/* h_auth: signing in and out over HTTP. */
#include "handlers.h"

#include "doc.h"

#include "auth.h"
#include "keyring.h"
#include "session.h"

#include "reply.h"

enum { JWKS_LIFE_S = 300 };

enum err
post_login(struct req *rq)
{
	struct grant g;
	enum err e = auth_sign_in(&rq->ctx, rq->in, &g);

	return e != OK ? e : reply_doc(rq, 200, &GRANT, &g);
}

enum err
post_refresh(struct req *rq)
{
	struct grant g;
	enum err e = auth_refresh(&rq->ctx, rq->in, &g);

	return e != OK ? e : reply_doc(rq, 200, &GRANT, &g);
}

/* Fetched by everybody who checks our tokens, and again when a kid is new to it. */
enum err
get_jwks(struct req *rq)
{
	return reply_public(rq, keyring_jwks(), JWKS_LIFE_S);
}

enum err
post_logout(struct req *rq)
{
	const struct logout *in = rq->query;
	enum err e = session_log_out(&rq->ctx, in->scope);

	return e != OK ? e : reply_nothing(rq);
}

enum err
get_sessions(struct req *rq)
{
	struct buf body = buf_new(rq->arena, 4096);
	struct session_seen *rows;
	int n;
	enum err e = session_list(&rq->ctx, &rows, &n);

	if (e != OK)
		return e;
	buf_char(&body, '[');
	for (int i = 0; i < n; i++) {
		if (i > 0)
			buf_char(&body, ',');
		doc_print(&body, &SESSION_SEEN, SHOWN, &rows[i]);
	}
	buf_char(&body, ']');
	return reply_json(rq, 200, body.text, body.len);
}

enum err
delete_session(struct req *rq)
{
	enum err e = session_end_one(&rq->ctx, rq->id);

	return e != OK ? e : reply_nothing(rq);
}

enum err
delete_session_again(struct req *rq)
{
	enum err e = E_BAD_TOKEN;

	if (rq->id == rq->ctx.session)
		e = session_was_ended_here(&rq->ctx, rq->id, E_BAD_TOKEN);
	return e != OK ? e : reply_nothing(rq);
}
