/* mail: five statements and a curve. */
#include "mail.h"

#include <string.h>

#include "db.h"
#include "log.h"

#include "settings.h"

enum { WAIT_MOST_S = 3600 };

enum { CLAIM, SETTLE, LIST, LIST_SENT, FIND, RETRY };

/* clang-format off */
/* An attempt counts when it begins, and the claim grows while nobody says what became of the ones
 * before, so that a mail that ends its sender waits ever longer too. What is over keeps the time of
 * that in next_try_at. */
static const struct db_stmt SQL[] = {
	[CLAIM] = { "mail_claim",
		"UPDATE mail_outbox m SET attempts = attempts + 1, unsettled = unsettled + 1,"
		"  next_try_at = now() + make_interval(secs => $1::int * (1 << LEAST(m.unsettled, 5)))"
		" FROM (SELECT id FROM mail_outbox WHERE state = 'waiting' AND next_try_at <= now()"
		"  ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED) due WHERE m.id = due.id"
		" RETURNING m.id, m.user_id, m.event_id, m.kind, m.recipient, m.language, m.attempts,"
		"  m.unsettled, extract(epoch FROM now() - m.waiting_since)::bigint", 1, true },
	[SETTLE] = { "mail_settle",
		"UPDATE mail_outbox SET state = $2, last_error = $3, unsettled = 0,"
		"  next_try_at = now() + make_interval(secs => CASE WHEN $2 = 'waiting' THEN $4::int ELSE 0 END),"
		"  sent_at = CASE WHEN $2 = 'sent' THEN now() END"
		" WHERE id = $1::bigint AND state = 'waiting'", 4, true },
	[LIST] = { "mail_list",
		"SELECT id, state, kind, recipient, created_at, attempts, user_id, last_error"
		" FROM mail_outbox WHERE state <> 'sent' AND ($2::text IS NULL OR state = $2)"
		" ORDER BY id DESC LIMIT $1::int", 2, false },
	[LIST_SENT] = { "mail_list_sent",
		"SELECT id, state, kind, recipient, created_at, attempts, user_id, last_error"
		" FROM mail_outbox WHERE state = 'sent' ORDER BY id DESC LIMIT $1::int", 1, false },
	[FIND] = { "mail_find",
		"SELECT id, state, kind, recipient, created_at, attempts, user_id, last_error"
		" FROM mail_outbox WHERE id = $1::bigint", 1, false },
	[RETRY] = { "mail_retry",
		"UPDATE mail_outbox SET state = 'waiting', attempts = 0, unsettled = 0, next_try_at = now(),"
		"  waiting_since = now() WHERE state IN ('failed', 'kept')"
		"  AND ($1::bigint IS NULL OR id = $1::bigint)", 1, true },
};

const struct db_set MAIL_STATEMENTS = { SQL, NELEM(SQL) };

static const struct shape MAIL = SHAPE(struct mail,
	{ F(struct mail, id), .use = 1 },
	{ F(struct mail, user_id), .use = 1 },
	{ F(struct mail, event_id), .use = 1 },
	{ F(struct mail, kind), .use = 1 },
	{ F(struct mail, recipient), .use = 1 },
	{ F(struct mail, language), .use = 1 },
	{ F(struct mail, attempts), .use = 1 },
	{ F(struct mail, unsettled), .use = 1 },
	{ F(struct mail, waited_s), .use = 1 });

static const struct shape SEEN = SHAPE(struct mail_seen,
	{ F(struct mail_seen, id), .use = 1 },
	{ F(struct mail_seen, state), .use = 1 },
	{ F(struct mail_seen, kind), .use = 1 },
	{ F(struct mail_seen, recipient), .use = 1 },
	{ .name = "created_at", .off = offsetof(struct mail_seen, created_at), .kind = K_TIME, .use = 1 },
	{ F(struct mail_seen, attempts), .use = 1 },
	{ F(struct mail_seen, user_id), .use = 1 },
	{ F(struct mail_seen, last_error), .use = 1 });
/* clang-format on */

enum err
mail_claim(struct ctx *c, int64_t lease_s, struct mail *out_r)
{
	return db_one(c->db, c->arena, &SQL[CLAIM], ARGS(db_int(c->arena, lease_s)), &MAIL, 1,
		      out_r);
}

enum err
mail_settle(struct ctx *c, const struct mail *m, const char *state, const char *why, int64_t wait_s)
{
	return db_do(c->db, &SQL[SETTLE],
		     ARGS(db_int(c->arena, m->id), state, why, db_int(c->arena, wait_s)), NULL);
}

int64_t
mail_wait_s(const struct ctx *c, int64_t attempts)
{
	int64_t wait_s = c->conf->mail_retry_seconds;

	while (--attempts > 0 && wait_s < WAIT_MOST_S)
		wait_s *= 2;
	return wait_s < WAIT_MOST_S ? wait_s : WAIT_MOST_S;
}

enum err
mail_list(struct ctx *c, const char *state, int most, struct mail_seen **rows_r, int *n_r)
{
	bool sent = state != NULL && strcmp(state, "sent") == 0;
	enum err e = db_many(c->db, c->arena, &SQL[sent ? LIST_SENT : LIST],
			     ARGS(db_int(c->arena, most), state), &SEEN, 1, rows_r, n_r);

	for (int i = 0; e == OK && i < *n_r; i++)
		(*rows_r)[i].recipient = log_masked(c->arena, (*rows_r)[i].recipient);
	return e;
}

enum err
mail_find(struct ctx *c, int64_t id, struct mail_seen *out_r)
{
	enum err e =
		db_one(c->db, c->arena, &SQL[FIND], ARGS(db_int(c->arena, id)), &SEEN, 1, out_r);

	if (e == OK)
		out_r->recipient = log_masked(c->arena, out_r->recipient);
	return e;
}

enum err
mail_retry(struct ctx *c, int64_t id, int64_t *n_r)
{
	return db_do(c->db, &SQL[RETRY], ARGS(db_int(c->arena, id)), n_r);
}
