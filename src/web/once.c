/* once: find, serve, and find again where a twin was faster. */
#include "once.h"

#include <string.h>

#include "idem.h"

#include "reply.h"
#include "route.h"

static enum err
answer_again(struct req *rq, const struct kept *k)
{
	struct page page = { .id = k->user_id, .version = k->version, .body = k->body };

	page.len = strlen(k->body);
	return k->user_id != NO_INT ? reply_changed(rq, (int)k->status, &page)
				    : reply_json(rq, (int)k->status, k->body, page.len);
}

/* Nobody has asked this yet: serve it, unless a twin is faster, and then answer as it did. */
static enum err
serve_first(struct req *rq, struct idem *idem, struct kept *kept_r)
{
	enum err e = rq->route->serve(rq);

	if (e != E_CONFLICT || !idem->lost)
		return e;
	e = idem_find(&rq->ctx, kept_r);
	if (e == OK)
		e = answer_again(rq, kept_r);
	return e == E_NOT_FOUND ? E_CONFLICT : e;
}

enum err
once_serve(struct req *rq)
{
	const char *key = rq->head.idempotency_key;
	struct idem idem;
	struct kept kept;
	enum err e;

	if (*key == '\0' || (rq->route->traits & TAKES_KEY) == 0)
		return rq->route->serve(rq);
	e = idem_begin(&rq->ctx, key, rq->head.method, rq->head.path, rq->body, rq->body_len,
		       &idem);
	if (e == OK)
		e = idem_find(&rq->ctx, &kept);
	if (e == OK)
		e = answer_again(rq, &kept);
	else if (e == E_NOT_FOUND)
		e = serve_first(rq, &idem, &kept);
	rq->ctx.idem = NULL;
	return e;
}
