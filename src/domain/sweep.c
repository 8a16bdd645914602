/* sweep: the table, and its statements. */
#include "sweep.h"

#include "db.h"

#include "settings.h"

enum { EXPIRED, ENDED, TOKENS, KEYS, PROCESSED, MAILS, SAGAS };

/* $1 how many at most, $2 days that they are kept beyond `over`, the time when they were over. */
#define SQL_SWEEP(table, over)                                                                 \
	"DELETE FROM " table " WHERE ctid = ANY (ARRAY(SELECT ctid FROM " table " WHERE " over \
	" < now() - make_interval(days => $2::int)"                                            \
	" LIMIT $1::int FOR UPDATE SKIP LOCKED))"

/* clang-format off */
static const struct db_stmt SQL[] = {
	[EXPIRED] = { "sweep_expired_sessions", SQL_SWEEP("sessions", "expires_at"), 2, true },
	[ENDED] = { "sweep_ended_sessions", SQL_SWEEP("sessions", "ended_at"), 2, true },
	[TOKENS] = { "sweep_tokens", SQL_SWEEP("one_time_tokens", "expires_at"), 2, true },
	[KEYS] = { "sweep_keys", SQL_SWEEP("idempotency_keys", "created_at"), 2, true },
	[PROCESSED] = { "sweep_processed", SQL_SWEEP("processed_events", "processed_at"), 2, true },
	[MAILS] = { "sweep_mails", SQL_SWEEP("mail_outbox", "state <> 'waiting' AND next_try_at"), 2, true },
	[SAGAS] = { "sweep_sagas", SQL_SWEEP("sagas", "state IN ('done', 'undone') AND updated_at"), 2, true },
};
const struct db_set SWEEP_STATEMENTS = { SQL, NELEM(SQL) };

#define KEPT(member) offsetof(struct settings, member)

/* A statement, and how many days its rows stay: a setting, or a number of ours. */
static const struct sweep {
	const char *what;
	int statement;
	size_t setting; /* 0: none */
	int64_t days;
} SWEEPS[] = {
	{ "sessions that have expired", EXPIRED, 0, 7 },
	{ "sessions that were ended", ENDED, 0, 7 },
	{ "one-time tokens that are over", TOKENS, 0, 1 },
	{ "answers kept for their Idempotency-Key", KEYS, 0, 1 },
	{ "ids of events that Kafka has forgotten", PROCESSED, KEPT(processed_keep_days), 0 },
	{ "mails that are over", MAILS, KEPT(mail_keep_days), 0 },
	{ "sagas that are over", SAGAS, 0, 30 },
};
/* clang-format on */
const int SWEEP_COUNT = NELEM(SWEEPS);

const char *
sweep_name(int i)
{
	return SWEEPS[i].what;
}

enum err
sweep_some(struct ctx *c, int i, int most, int64_t *n_r)
{
	const struct sweep *s = &SWEEPS[i];
	int64_t days =
		s->setting == 0 ? s->days : *(const int64_t *)((const char *)c->conf + s->setting);

	*n_r = 0;
	return db_do(c->db, &SQL[s->statement],
		     ARGS(db_int(c->arena, most), db_int(c->arena, days)), n_r);
}
