/* oauth: two tables, of grants and of refusals. */
#include "oauth.h"

#include <string.h>

#include "auth.h"
#include "doc.h"
#include "limit.h"
#include "user.h"

#include "handlers.h"
#include "reply.h"

/* clang-format off */
const struct shape TOKEN_REQUEST = SHAPE(struct token_request,
	{ F(struct token_request, grant_type), .use = IN_CREATE, .need = IN_CREATE, .min = 1, .max = 200,
	  .help = "password or refresh_token", .example = "password" },
	{ F(struct token_request, username), .use = IN_CREATE, .min = 1, .max = 255,
	  .help = "the address, for password", .example = "hong@example.com" },
	{ F(struct token_request, password), .use = IN_CREATE, .secret = true, .min = 1, .max = 128,
	  .help = "for password", .example = "correct horse battery" },
	{ F(struct token_request, refresh_token), .use = IN_CREATE, .secret = true, .min = 1, .max = 4096,
	  .help = "for refresh_token" });

const struct shape OAUTH_ERROR = SHAPE(struct oauth_error,
	{ F(struct oauth_error, error), .use = SHOWN, .help = "one of the RFC's words" },
	{ F(struct oauth_error, error_description), .use = SHOWN, .help = "in English, for a developer" });
/* clang-format on */

static enum err
by_password(struct req *rq, const struct token_request *in, struct grant *out_r)
{
	const struct sign_in who = { in->username, in->password };
	enum err e = limit_take_of_client(&rq->ctx, LOGINS_OF_CLIENT);

	if (e != OK)
		return e;
	if (in->username == NULL)
		return refuse(&rq->ctx, E_INVALID, "username", MSG_MISSING);
	if (in->password == NULL)
		return refuse(&rq->ctx, E_INVALID, "password", MSG_MISSING);
	return auth_sign_in(&rq->ctx, &who, out_r);
}

static enum err
by_refresh_token(struct req *rq, const struct token_request *in, struct grant *out_r)
{
	const struct renewal token = { in->refresh_token };

	if (in->refresh_token == NULL)
		return refuse(&rq->ctx, E_INVALID, "refresh_token", MSG_MISSING);
	return auth_refresh(&rq->ctx, &token, out_r);
}

static const struct {
	const char *type;
	enum err (*give)(struct req *rq, const struct token_request *in, struct grant *out_r);
} GRANTS[] = {
	{ "password", by_password },
	{ "refresh_token", by_refresh_token },
};

enum err
post_token(struct req *rq)
{
	const struct token_request *in = rq->in;
	struct buf body = buf_new(rq->arena, 512);
	struct grant g;
	enum err e = E_GRANT_TYPE;

	for (size_t i = 0; i < NELEM(GRANTS); i++) {
		if (strcmp(GRANTS[i].type, in->grant_type) == 0)
			e = GRANTS[i].give(rq, in, &g);
	}
	if (e != OK)
		return e;
	doc_print(&body, &GRANT, SHOWN, &g);
	return reply_token(rq, 200, OK, &body);
}

/* Where there is no row our own status stands, and the words for what is not the caller's fault
 * are those of the RFC's other endpoint (4.1.2.1), which clients know. */
static const struct refusal {
	enum err e;
	int status;
	const char *error;
} REFUSALS[] = {
	{ E_MALFORMED, 400, "invalid_request" },
	{ E_INVALID, 400, "invalid_request" },
	{ E_MEDIA_TYPE, 400, "invalid_request" },
	{ E_DENIED, 400, "invalid_grant" },
	{ E_BAD_REFRESH, 400, "invalid_grant" },
	{ E_GRANT_TYPE, 400, "unsupported_grant_type" },
	{ E_LIMITED, 429, "temporarily_unavailable" },
	{ E_BUSY, 503, "temporarily_unavailable" },
	{ E_UNAVAILABLE, 503, "temporarily_unavailable" },
	{ E_UNCERTAIN, 503, "temporarily_unavailable" },
};

static struct refusal
refusal_of(enum err e)
{
	for (size_t i = 0; i < NELEM(REFUSALS); i++) {
		if (REFUSALS[i].e == e)
			return REFUSALS[i];
	}
	return (struct refusal){ e, err_row(e)->http, "server_error" };
}

/* The first value that was wrong; a name of ours, so it needs no escaping. */
static const char *
description(struct req *rq, enum err e)
{
	const struct fault_at *f = &rq->ctx.faults.at[0];
	struct buf b = buf_new(rq->arena, 96);

	if (e == E_MEDIA_TYPE)
		return "The body must be application/x-www-form-urlencoded";
	if (e != E_INVALID || rq->ctx.faults.n == 0 || strcmp(f->in, "body") != 0 ||
	    f->name == NULL)
		return err_row(e)->en;
	buf_printf(&b, "%s: ", f->name);
	msg_print(&b, f->msg, EN, f->field);
	return b.text;
}

void
oauth_refuse(struct req *rq, enum err e)
{
	struct refusal r = refusal_of(e);
	struct oauth_error doc = { r.error, description(rq, e) };
	struct buf body = buf_new(rq->arena, 256);
	enum err sent;

	doc_print(&body, &OAUTH_ERROR, SHOWN, &doc);
	sent = reply_token(rq, r.status, e, &body);
	(void)sent; /* an answer that is made is always OK */
}
