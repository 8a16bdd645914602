/*
 * gate: who gets in, and the order of a turn.
 *
 * All requests of a turn are admitted (path, method, signature) and ask; Redis is heard
 * once; whoever is refused or whose page was heard is answered; missing sessions are
 * loaded in one statement, missing pages in another; what is left, mostly writes, is
 * served one by one. Each is answered once and at once, but for changes: some of them share
 * the round trip that brings their pages to Redis, and are answered after it.
 */
#include "gate.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "log.h"

#include "behind.h"
#include "limit.h"
#include "session.h"
#include "token.h"

#include "dialect.h"
#include "prefer.h"
#include "once.h"
#include "query.h"
#include "reply.h"
#include "route.h"

/* How far a request has come in its turn. */
enum stage { ADMITTED, NO_SESSION, AWAITS_PAGE, READY, ANSWERED };

enum { HELD_MOST = 8 };

/*
 * The first half: admit and ask
 */

static enum err
identify(struct req *rq)
{
	struct claims claims;
	const char *token;
	enum err e;

	if (rq->route->who == ANYONE)
		return OK;
	if ((e = token_bearer(rq->head.authorization, &token)) != OK ||
	    (e = token_read(token, &claims)) != OK)
		return e;
	rq->ctx.actor = claims.user_id;
	rq->ctx.session = claims.session;
	return OK;
}

static const enum limit COUNTS[] = {
	[ASK_NOTHING] = LIMIT_NONE,	    [ASK_PAGE] = LIMIT_NONE,
	[ASK_PAGE_TO_CHANGE] = LIMIT_NONE,  [COUNT_LOGIN] = LOGINS_OF_CLIENT,
	[COUNT_SIGNUP] = SIGNUPS_OF_CLIENT, [COUNT_LOGIN_INSIDE] = LIMIT_NONE,
};

/* A change that may be written behind starts from the page that is there. */
static bool
asks_for_behind(const struct req *rq)
{
	return rq->route->asks == ASK_PAGE_TO_CHANGE && prefer_async(rq->head.prefer);
}

static void
ask(struct req *rq)
{
	rq->limit = limit_ask(&rq->ctx, COUNTS[rq->route->asks]);
	if (rq->route->who == ANYONE)
		return;
	rq->session_slot = session_ask(&rq->ctx, rq->ctx.session);
	if (rq->route->asks == ASK_PAGE && !route_names_id(rq->route))
		rq->id = rq->ctx.actor;
	if ((rq->route->asks == ASK_PAGE || asks_for_behind(rq)) && rq->id > 0)
		rq->page_slot = user_ask(&rq->ctx, rq->id);
}

static bool
is_preflight(const struct req *rq)
{
	return strcmp(rq->head.method, "OPTIONS") == 0;
}

static void
answer_preflight(struct req *rq)
{
	const char *methods = route_allowed(rq->arena, rq->head.path);

	if (methods == NULL)
		reply_problem(rq, E_NO_ROUTE);
	else
		reply_preflight(rq, methods);
	rq->stage = ANSWERED;
}

static void
admit(struct req *rq)
{
	enum err e = rq->head.broken;

	rq->route = NULL;
	rq->id = 0;
	rq->uuid = NULL;
	rq->session_slot = rq->page_slot = -1;
	rq->limit = NULL;
	rq->page = NULL;
	rq->in = rq->query = NULL;
	rq->stage = ADMITTED;
	if (e == OK && is_preflight(rq)) {
		answer_preflight(rq);
		return;
	}
	if (e == OK)
		e = route_find(rq);
	if (e == OK)
		e = identify(rq);
	if (e == OK)
		ask(rq);
	rq->refused = e;
}

/*
 * The second half: who are you, may you, what do you carry
 */

static void
take_session(struct req *rq, const struct session *s)
{
	/* a token whose user is not its session's can't come from us */
	if (s->user.id != rq->ctx.actor)
		rq->refused = E_BAD_TOKEN;
	rq->ctx.role = strcmp(s->user.role, "admin") == 0 ? ROLE_ADMIN : ROLE_USER;
}

static enum err
may(const struct req *rq)
{
	bool admin = rq->ctx.role == ROLE_ADMIN;

	switch (rq->route->who) {
	case SELF:
		return admin || rq->id == rq->ctx.actor ? OK : E_FORBIDDEN;
	case AN_ADMIN:
		return admin ? OK : E_FORBIDDEN;
	default:
		return OK;
	}
}

/* Has the path what the row wants there? */
static bool
path_is_good(const struct req *rq)
{
	return !route_names_id(rq->route) || rq->id != 0 || rq->uuid != NULL;
}

static enum err
unpack(struct req *rq)
{
	const struct route *r = rq->route;
	const struct dialect *d = dialect_of(r);
	struct faults *faults = &rq->ctx.faults;
	enum err e;

	if (!path_is_good(rq))
		fault_add(faults, "path", "id",
			  (r->traits & NAMES_UUID) != 0 ? MSG_UUID : MSG_INT_TEXT, NULL);
	if (r->query != NULL)
		rq->query = arena_get(rq->arena, r->query->size);
	e = query_read(rq->arena, r->query, rq->head.query, rq->query, faults);
	if (r->carries == NULL)
		return e;
	if (!dialect_takes(d, rq->head.content_type))
		return E_MEDIA_TYPE;
	rq->ctx.lang = reply_language(rq->head.accept_language); /* a mail may follow */
	rq->in = arena_get(rq->arena, r->carries->size);
	return d->read(rq->arena, r->carries, r->use, rq->body, rq->body_len, rq->in, faults);
}

static enum err
gate(struct req *rq)
{
	enum err e;

	/* Another's number that is no number is nobody's, so the path is looked at first. */
	if (!path_is_good(rq))
		return unpack(rq);
	if ((e = may(rq)) != OK)
		return e;
	return unpack(rq);
}

static struct log_scope
scope_of(const struct req *rq)
{
	return (struct log_scope){ rq->ctx.request_id, rq->ctx.traceparent,
				   rq->route == NULL ? NULL : rq->route->path, rq->ctx.actor };
}

static void
answer(struct req *rq, enum err e)
{
	struct log_scope scope = scope_of(rq);

	log_in(&scope);
	if (e == OK)
		e = once_serve(rq);
	if (e != OK)
		dialect_of(rq->route)->refuse(rq, e);
	assert(rq->status != 0);
	log_in(NULL);
	rq->stage = ANSWERED;
}

/* A session that is over may have been ended by this very request, sent twice by nginx. */
static void
answer_ended(struct req *rq)
{
	enum err e = rq->route->again != NULL ? rq->route->again(rq) : E_BAD_TOKEN;

	if (e != OK)
		answer(rq, e);
	rq->stage = ANSWERED;
}

static enum err
limited(struct req *rq)
{
	struct log_scope scope = scope_of(rq);
	enum err e;

	log_in(&scope);
	e = limit_heard(&rq->ctx, rq->limit);
	log_in(NULL);
	return e;
}

/* The session is known: refuse, or find out what else is missing. */
static void
pass_gate(struct req *rq)
{
	if (rq->refused == OK && rq->limit != NULL)
		rq->refused = limited(rq);
	if (rq->refused == OK)
		rq->refused = gate(rq);
	if (rq->refused != OK)
		answer(rq, rq->refused);
	else
		rq->stage = rq->route->asks == ASK_PAGE ? AWAITS_PAGE : READY;
}

static void
hear_session(struct req *rq)
{
	struct session s;
	enum heard h;

	if (rq->refused != OK || rq->route->who == ANYONE) {
		pass_gate(rq);
		return;
	}
	h = session_heard(&rq->ctx, rq->session_slot, rq->ctx.session, &s);
	switch (h) {
	case HEARD:
		take_session(rq, &s);
		pass_gate(rq);
		break;
	case HEARD_GONE:
		answer_ended(rq);
		break;
	case MISSED:
	case HEARD_STALE:
		rq->session_stale = h == HEARD_STALE;
		rq->stage = NO_SESSION;
		break;
	}
}

/* Answer with what Redis has, or note what it has not. */
static void
hear_page(struct req *rq)
{
	struct wanted *w = arena_get(rq->arena, sizeof(*w));
	enum heard h = user_heard(&rq->ctx, rq->page_slot, rq->id, &w->page);

	rq->page = w;
	w->id = rq->id;
	w->found = h == HEARD;
	w->stale = h == HEARD_STALE;
	if (h == HEARD || h == HEARD_GONE)
		answer(rq, w->found ? OK : E_NOT_FOUND);
}

/*
 * What Redis did not have, for the whole turn at once
 */

static void
answer_all(struct req *const *rq, int n, enum stage stage, enum err e)
{
	for (int i = 0; i < n; i++) {
		if (rq[i]->stage == (unsigned)stage)
			answer(rq[i], e);
	}
}

/* The page of the token's own user came along with its session. */
static void
use_loaded_user(struct req *rq, const struct session *s)
{
	if (rq->id != s->user.id || behind_any(&rq->ctx))
		return;
	user_page_keep(&rq->ctx, &s->user, rq->page);
	answer(rq, OK);
}

static void
take_loaded(struct req *rq, const struct session *rows, int found)
{
	for (int i = 0; i < found; i++) {
		if (rows[i].id != rq->ctx.session)
			continue;
		take_session(rq, &rows[i]);
		pass_gate(rq);
		if (rq->stage == AWAITS_PAGE)
			hear_page(rq);
		if (rq->stage == AWAITS_PAGE)
			use_loaded_user(rq, &rows[i]);
		return;
	}
	answer_ended(rq);
}

static void
load_sessions(struct req *const *rq, int n)
{
	struct session_wanted w[BATCH_MOST];
	struct session *rows;
	struct req *first = NULL;
	int want = 0, found;
	enum err e;

	for (int i = 0; i < n; i++) {
		if (rq[i]->stage != NO_SESSION)
			continue;
		first = first == NULL ? rq[i] : first;
		w[want++] = (struct session_wanted){ rq[i]->ctx.session, rq[i]->session_stale };
	}
	if (want == 0)
		return;
	if ((e = session_load(&first->ctx, w, want, &rows, &found)) != OK) {
		answer_all(rq, n, NO_SESSION, e);
		return;
	}
	for (int i = 0; i < n; i++) {
		if (rq[i]->stage == NO_SESSION)
			take_loaded(rq[i], rows, found);
	}
}

/* Requests that want the same page share one. */
static struct wanted *
want(struct wanted *all, int *n, const struct wanted *one)
{
	for (int i = 0; i < *n; i++) {
		if (all[i].id == one->id)
			return &all[i];
	}
	all[*n] = *one;
	return &all[(*n)++];
}

static void
load_pages(struct req *const *rq, int n)
{
	struct wanted *w = NULL;
	struct req *first = NULL;
	int wanted = 0;
	enum err e;

	for (int i = 0; i < n; i++) {
		if (rq[i]->stage != AWAITS_PAGE)
			continue;
		if (first == NULL) {
			first = rq[i];
			w = arena_get(first->arena, (size_t)n * sizeof(*w));
		}
		rq[i]->page = want(w, &wanted, rq[i]->page);
	}
	if (first == NULL)
		return;
	e = user_load(&first->ctx, w, wanted);
	for (int i = 0; i < n; i++) {
		if (rq[i]->stage == AWAITS_PAGE)
			answer(rq[i], e != OK ? e : rq[i]->page->found ? OK : E_NOT_FOUND);
	}
}

static void
release(struct req *const *rq, int n)
{
	for (int i = 0; i < n; i++) {
		if (rq[i]->hold)
			reply_send(rq[i]);
	}
}

/* The first `n` are answered, and what they made goes: a turn of long lists never holds two. */
static void
forget(struct req *const *rq, int n)
{
	for (int i = 0; i < n; i++) {
		if (rq[i]->stage == ANSWERED)
			arena_reset(rq[i]->arena);
	}
}

/* Answers are held while pages wait; a few only, so that the first need not wait for all. */
static void
serve_ready(struct req *const *rq, int n)
{
	struct ctx *c = &rq[0]->ctx;
	int held = 0;

	for (int i = 0; i < n; i++) {
		if (rq[i]->stage != READY)
			continue;
		rq[i]->hold = true;
		answer(rq[i], OK);
		if (ctx_unsettled(c) > 0 && ++held < HELD_MOST)
			continue;
		ctx_settle(c);
		release(rq, i + 1);
		forget(rq, i + 1);
		held = 0;
	}
	ctx_settle(c);
	release(rq, n);
}

void
gate_turn(struct req *const *rq, int n)
{
	for (int i = 0; i < n; i++)
		admit(rq[i]);
	ctx_hear(&rq[0]->ctx);
	for (int i = 0; i < n; i++) {
		if (rq[i]->stage == ADMITTED)
			hear_session(rq[i]);
		if (rq[i]->stage == AWAITS_PAGE)
			hear_page(rq[i]);
	}
	load_sessions(rq, n);
	load_pages(rq, n);
	serve_ready(rq, n);
	ctx_turn_over(&rq[0]->ctx);
}
