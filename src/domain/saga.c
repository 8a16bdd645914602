/* saga: the steps, the door through which a saga moves, and who goes through it. */
#include "saga.h"

#include <assert.h>
#include <string.h>

#include "db.h"
#include "doc.h"
#include "log.h"
#include "metric.h"
#include "service.h"

#include "event.h"
#include "profile.h"

enum {
	LEASE_S = 15,	/* more than a worker's longest: a connect, a statement, and the way back */
	TRIES_MOST = 5, /* of a step, before all is taken back */
	WAIT_MOST_S = 60,
	LOOK_MS = 20,
	LOOKS_MOST = 100,
};

enum state { RUNNING, UNDOING, DONE, UNDONE, STATES };

static const char *const NAMES[STATES] = { "running", "undoing", "done", "undone" };

/* Which may follow which. */
static const bool MAY[STATES][STATES] = {
	[RUNNING] = { [RUNNING] = true, [UNDOING] = true, [DONE] = true },
	[UNDOING] = { [UNDOING] = true, [UNDONE] = true },
};

/* A saga that we have. */
struct saga {
	const char *id, *kind, *state_name;
	int64_t step, claim, tries, user_id;
	const char *data, *request_id, *traceparent, *created_at;

	enum state state;
	const struct step *steps;
	int n;
};

struct step {
	const char *name;
	/* What the saga's row says is all that they know. OK where it was done already. */
	enum err (*act)(struct ctx *c, const struct saga *s);
	enum err (*undo)(struct ctx *c, const struct saga *s);
};

/*
 * Steps
 */

static enum err
undo_user(struct ctx *c, const struct saga *s)
{
	enum err e = user_delete(c, s->user_id, NULL);

	return e == E_NOT_FOUND ? OK : e;
}

static enum err
make_profile(struct ctx *c, const struct saga *s)
{
	return profile_create(c, s->user_id, s->data, s->created_at);
}

static enum err
undo_profile(struct ctx *c, const struct saga *s)
{
	return profile_remove(c, s->user_id);
}

/* The first step is committed with the saga's row, so nobody ever has to do it again. */
static const struct step WITH_A_PROFILE[] = {
	{ "user", NULL, undo_user },
	{ "profile", make_profile, undo_profile },
};

static const struct flow {
	const char *name;
	const struct step *steps;
	int n;
} FLOWS[] = {
	{ "user_with_profile", WITH_A_PROFILE, NELEM(WITH_A_PROFILE) },
};

/*
 * Statements
 */

enum { BEGIN, CLAIM, MOVE, LOOK, SEE, COUNT };

/* clang-format off */
#define SQL_HAD " id, kind, state, step, claim, tries, user_id, data, request_id, traceparent, created_at"

static const struct db_stmt SQL[] = {
	[BEGIN] = { "saga_begin",
		"INSERT INTO sagas (id, kind, step, steps, user_id, data, due_at, request_id, traceparent)"
		" VALUES ($1::uuid, $2, 1, $3::jsonb, $4::bigint, $5::jsonb,"
		"  now() + make_interval(secs => $6::int), $7, $8) RETURNING" SQL_HAD, 8, true },
	/* $1 for how long it is ours */
	[CLAIM] = { "saga_claim",
		"UPDATE sagas s SET claim = claim + 1, tries = tries + 1, updated_at = now(),"
		"  due_at = now() + make_interval(secs => $1::int)"
		" FROM (SELECT id AS due_id FROM sagas WHERE state IN ('running', 'undoing') AND due_at <= now()"
		"  ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED) due WHERE s.id = due.due_id"
		" RETURNING" SQL_HAD, 1, true },
	/* $1 id, $2 our number, $3 from, $4 to, $5 steps done; of step $6: $7 its state (NULL: as before),
	 * $8 why not; $9 for how long nobody else may take it. What is done is done only for a user
	 * who is there, and what turns back takes its answer back. */
	[MOVE] = { "saga_move",
		"WITH s AS (UPDATE sagas s SET step = $5::int, updated_at = now(),"
		"  state = CASE WHEN $4 = 'done' AND NOT EXISTS (SELECT FROM users u WHERE u.id = s.user_id)"
		"   THEN 'undoing' ELSE $4 END,"
		"  steps = CASE WHEN steps -> $6::int ->> 'state' = 'undone' THEN steps ELSE"
		"   jsonb_set(steps, ARRAY[($6::int)::text], (steps -> $6::int) || jsonb_build_object("
		"    'state', COALESCE($7, steps -> $6::int ->> 'state'), 'tries', tries, 'error', $8::text, 'at',"
		"    to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))) END,"
		"  tries = CASE WHEN state = $4 AND step = $5::int THEN tries ELSE 1 END,"
		"  due_at = now() + make_interval(secs => $9::int),"
		"  data = CASE WHEN $4 IN ('done', 'undone') THEN NULL ELSE data END"
		"  WHERE id = $1::uuid AND claim = $2::bigint AND state = $3 RETURNING *), "
		"k AS (DELETE FROM idempotency_keys k USING s WHERE $3 = 'running' AND s.state = 'undoing'"
		"  AND k.user_id = s.user_id) "
		"SELECT" SQL_HAD " FROM s", 9, true },
	[LOOK] = { "saga_look", "SELECT" SQL_HAD " FROM sagas WHERE id = $1::uuid", 1, false },
	[SEE] = { "saga_see",
		"SELECT id, kind, state, steps, user_id, created_at, updated_at FROM sagas WHERE id = $1::uuid",
		1, false },
	[COUNT] = { "saga_count", "SELECT count(*) FROM sagas WHERE state IN ('running', 'undoing')", 0, false },
};
const struct db_set SAGA_STATEMENTS = { SQL, NELEM(SQL) };

static const struct shape HAD = SHAPE(struct saga,
	{ F(struct saga, id), .use = 1 },
	{ F(struct saga, kind), .use = 1 },
	{ F(struct saga, state_name), .use = 1 },
	{ F(struct saga, step), .use = 1 },
	{ F(struct saga, claim), .use = 1 },
	{ F(struct saga, tries), .use = 1 },
	{ F(struct saga, user_id), .use = 1 },
	{ F(struct saga, data), .use = 1 },
	{ F(struct saga, request_id), .use = 1 },
	{ F(struct saga, traceparent), .use = 1 },
	{ F_AS(struct saga, created_at, K_TIME), .use = 1 });

struct saga_step {
	const char *name, *state, *at;
	int64_t tries;
	const char *error;
};

static const struct shape STEP = SHAPE(struct saga_step,
	{ F(struct saga_step, name), .use = SHOWN, .example = "profile" },
	{ F(struct saga_step, state), .use = SHOWN, .choices = "waiting done undone" },
	{ F_AS(struct saga_step, at, K_TIME), .use = SHOWN, .nullable = true,
	  .help = "when it became so, or was tried last; null before" },
	{ F(struct saga_step, tries), .use = SHOWN, .help = "to do it, or to undo it" },
	{ F(struct saga_step, error), .use = SHOWN, .nullable = true,
	  .help = "the code of why the last try failed; null where it did not" });

const struct shape SAGA = SHAPE(struct saga_seen,
	{ F(struct saga_seen, id), .use = SHOWN, .help = "UUIDv7" },
	{ F(struct saga_seen, kind), .use = SHOWN, .example = "user_with_profile" },
	{ F(struct saga_seen, state), .use = SHOWN, .choices = "running undoing done undone" },
	{ F_AS(struct saga_seen, steps, K_JSON), .use = SHOWN, .of = &STEP, .of_use = SHOWN, .many = true,
	  .help = "in the order in which they are done" },
	{ F(struct saga_seen, user_id), .use = SHOWN, .help = "whom it made; gone where it is undone" },
	{ F_AS(struct saga_seen, created_at, K_TIME), .use = SHOWN },
	{ F_AS(struct saga_seen, updated_at, K_TIME), .use = SHOWN });

const struct shape USER_WITH_PROFILE = SHAPE(struct user_with_profile,
	{ F_AS(struct user_with_profile, user, K_JSON), .use = SHOWN, .of = &USER, .of_use = SHOWN },
	{ F_AS(struct user_with_profile, profile, K_JSON), .use = SHOWN, .of = &PROFILE, .of_use = SHOWN },
	{ F(struct user_with_profile, saga_id), .use = SHOWN, .help = "UUIDv7" });
/* clang-format on */

/* What the row's words mean. E_BUG: it is of a program that is newer than we are. */
static enum err
understand(struct saga *s)
{
	s->n = 0;
	for (size_t i = 0; i < NELEM(FLOWS); i++) {
		if (strcmp(FLOWS[i].name, s->kind) == 0) {
			s->steps = FLOWS[i].steps;
			s->n = FLOWS[i].n;
		}
	}
	for (s->state = RUNNING; s->state < STATES; s->state++) {
		if (strcmp(NAMES[s->state], s->state_name) == 0)
			break;
	}
	if (s->n == 0 || s->state == STATES || s->step > s->n)
		return log_fail(E_BUG, EV("saga.not_understood"), KS("saga", s->id),
				KS("kind", s->kind), KI("step", s->step));
	return OK;
}

static enum err
read_row(struct ctx *c, int statement, const char *const *args, struct saga *out_r)
{
	enum err e = db_one(c->db, c->arena, &SQL[statement], args, &HAD, 1, out_r);

	return e == OK ? understand(out_r) : e;
}

/*
 * Moving
 */

struct move {
	enum state to;
	int64_t done;	  /* how many steps are */
	int64_t step;	  /* of which this is told: */
	const char *told; /* what it is now; NULL: what it was */
	enum err why;	  /* or why that failed */
	int64_t wait_s;	  /* for which nobody else takes the saga up */
};

static void
note_end(const struct saga *s)
{
	if (s->state == DONE)
		metric_add(METRIC_SAGAS_DONE, 1);
	if (s->state == UNDONE)
		metric_add(METRIC_SAGAS_UNDONE, 1);
	if (s->state == DONE || s->state == UNDONE)
		log_info(EV("saga.ended"), KS("saga", s->id), KS("state", NAMES[s->state]),
			 KI("user", s->user_id));
}

/* The one door. E_STALE: the saga is another's by now, or over. */
static enum err
move(struct ctx *c, struct saga *s, const struct move *m)
{
	enum err e;

	assert(MAY[s->state][m->to]);
	e = read_row(c, MOVE,
		     ARGS(s->id, db_int(c->arena, s->claim), NAMES[s->state], NAMES[m->to],
			  db_int(c->arena, m->done), db_int(c->arena, m->step), m->told,
			  m->why == OK ? NULL : err_row(m->why)->code, db_int(c->arena, m->wait_s)),
		     s);
	if (e == OK)
		note_end(s);
	return e == E_NOT_FOUND ? E_STALE : e;
}

static int64_t
wait_s(int64_t tries)
{
	int64_t s = 1;

	while (--tries > 0 && s < WAIT_MOST_S)
		s *= 2;
	return s < WAIT_MOST_S ? s : WAIT_MOST_S;
}

/* The next step. Where it fails `most` times the saga turns back; else it waits, and the failure is
 * returned. One whose tries all ended without a word is not tried for ever. */
static enum err
try_step(struct ctx *c, struct saga *s, int64_t most)
{
	const struct step *step = &s->steps[s->step];
	enum err e = s->tries > most ? E_BUG : step->act(c, s), moved;
	struct move m = {
		s->step + 1 == s->n ? DONE : RUNNING, s->step + 1, s->step, "done", OK, LEASE_S
	};

	if (e == OK)
		return move(c, s, &m);
	log_warn(EV("saga.step_failed"), KS("saga", s->id), KS("step", step->name),
		 KS("why", err_row(e)->code), KI("try", s->tries));
	m = (struct move){ UNDOING, s->step, s->step, NULL, e, LEASE_S };
	if (s->tries >= most)
		return move(c, s, &m);
	m.to = RUNNING;
	m.wait_s = wait_s(s->tries);
	moved = move(c, s, &m);
	return moved != OK ? moved : e;
}

/* All that was done or may have been, backwards. What can't be undone now does not keep the rest
 * from it; it is returned why. */
static enum err
undo_steps(struct ctx *c, struct saga *s)
{
	enum err failed = OK, moved;

	for (int i = s->n; i-- > 0;) {
		enum err e = s->steps[i].undo(c, s);
		struct move m = { UNDOING, s->step, i, e == OK ? "undone" : NULL, e, LEASE_S };

		if (e != OK) {
			log_warn(EV("saga.undo_failed"), KS("saga", s->id),
				 KS("step", s->steps[i].name), KS("why", err_row(e)->code),
				 KI("try", s->tries));
			failed = e;
		}
		if (i == 0 && failed == OK)
			m.to = UNDONE;
		else if (i == 0)
			m.wait_s = wait_s(s->tries);
		if ((moved = move(c, s, &m)) != OK)
			return moved;
	}
	return failed;
}

/* As far as it goes now: s->state says how far. */
static enum err
go_on(struct ctx *c, struct saga *s, int64_t most)
{
	enum err e = OK;

	while (e == OK && s->state == RUNNING)
		e = try_step(c, s, most);
	if (e == OK && s->state == UNDOING)
		e = undo_steps(c, s);
	if (e == E_STALE)
		log_info(EV("saga.taken_over"), KS("saga", s->id));
	return e;
}

/*
 * Beginning
 */

struct start {
	struct ctx *c;
	const struct profile *profile;
	struct saga *saga;
};

/* The first step is done, the next is being tried. */
static const char *
first_steps(struct ctx *c, const struct flow *f, const char *now)
{
	struct saga_step *steps = arena_get(c->arena, (size_t)f->n * sizeof(*steps));
	struct buf b = buf_new(c->arena, 256);

	for (int i = 0; i < f->n; i++)
		steps[i] = (struct saga_step){ f->steps[i].name, i == 0 ? "done" : "waiting",
					       i == 0 ? now : NULL, i < 2, NULL };
	doc_print_rows(&b, &STEP, SHOWN, steps, f->n);
	return b.text;
}

/* What it will answer is known now already, whoever brings it to its end. */
static void
print_answer(struct start *st, const struct user *u, struct page *answer)
{
	struct arena *a = st->c->arena;
	struct buf profile = buf_new(a, 512), all = buf_new(a, 1024);
	struct profile p = *st->profile;

	p.user_id = u->id;
	p.updated_at = u->created_at;
	p.links = p.links == NULL ? "[]" : p.links;
	doc_print(&profile, &PROFILE, SHOWN, &p);
	doc_print(&all, &USER_WITH_PROFILE, SHOWN,
		  &(struct user_with_profile){ answer->body, profile.text, st->saga->id });
	answer->body = all.text;
	answer->len = all.len;
}

static enum err
begin(void *arg, const struct user *u, struct page *answer)
{
	struct start *st = arg;
	struct ctx *c = st->c;
	const struct flow *f = &FLOWS[0];
	struct buf data = buf_new(c->arena, 512);
	enum err e;

	doc_print(&data, &PROFILE, IN_REPLACE, st->profile);
	e = read_row(c, BEGIN,
		     ARGS(event_new_id(c), f->name, first_steps(c, f, u->created_at),
			  db_int(c->arena, u->id), data.text, db_int(c->arena, LEASE_S),
			  c->request_id, c->traceparent),
		     st->saga);
	if (e == OK)
		print_answer(st, u, answer);
	return e;
}

static enum err
answer_of(const struct saga *s)
{
	return s->state == DONE ? OK : s->state == RUNNING ? E_UNCERTAIN : E_UNAVAILABLE;
}

/* Another may have it, or had it: for as long as a lock is waited for. */
static enum err
wait_for_end(struct ctx *c, struct saga *s)
{
	const char *id = s->id;
	enum err e;

	for (int looks = 0; looks < LOOKS_MOST; looks++) {
		if ((e = read_row(c, LOOK, ARGS(id), s)) != OK)
			return E_UNCERTAIN;
		if (s->state != RUNNING || service_pause(LOOK_MS))
			break;
	}
	return answer_of(s);
}

enum err
saga_sign_up(struct ctx *c, const struct user *in, struct page *answer_r)
{
	struct saga s;
	struct start st = { c, in->profile, &s };
	enum err e = profile_store_is_set(c);

	if (e == OK)
		e = user_create(c, in, &(struct along){ begin, &st }, answer_r);
	if (e != OK)
		return e;
	e = go_on(c, &s, 1);
	if (e != OK && s.state == RUNNING)
		return wait_for_end(c, &s);
	return answer_of(&s);
}

/*
 * Going on, and looking
 */

enum err
saga_resume(struct ctx *c)
{
	struct log_scope scope = { 0 };
	struct saga s;
	enum err e = read_row(c, CLAIM, ARGS(db_int(c->arena, LEASE_S)), &s);

	if (e != OK)
		return e;
	scope.request_id = c->request_id = s.request_id;
	scope.traceparent = c->traceparent = s.traceparent;
	log_in(&scope);
	metric_add(METRIC_SAGAS_RESUMED, 1);
	log_info(EV("saga.resumed"), KS("saga", s.id), KS("state", NAMES[s.state]),
		 KI("try", s.tries));
	(void)go_on(c, &s, TRIES_MOST); /* told, and in its row */
	ctx_settle(c);
	c->request_id = c->traceparent = NULL;
	log_in(NULL);
	return OK;
}

enum err
saga_read(struct ctx *c, const char *id, struct saga_seen *out_r)
{
	enum err e = db_one(c->db, c->arena, &SQL[SEE], ARGS(id), &SAGA, SHOWN, out_r);

	if (e != OK && e != E_NOT_FOUND)
		return e;
	if (c->role != ROLE_ADMIN && (e != OK || out_r->user_id != c->actor))
		return E_FORBIDDEN;
	return e == E_NOT_FOUND ? E_NO_SAGA : e;
}

struct count {
	int64_t n;
};

static const struct shape COUNTED = SHAPE(struct count, { F(struct count, n), .use = 1 });

enum err
saga_count(struct ctx *c, int64_t *n_r)
{
	struct count count;
	enum err e = db_one(c->db, c->arena, &SQL[COUNT], NULL, &COUNTED, 1, &count);

	*n_r = e == OK ? count.n : 0;
	return e;
}
