/* outbox: four statements. */
#include "outbox.h"

#include "db.h"

enum { CLAIM, OLDEST, DONE, STATE };

/* clang-format off */
/* A session that has the lock would count up at each asking: CLAIM asks pg_locks first. */
static const struct db_stmt SQL[] = {
	[CLAIM] = { "outbox_claim",
		"SELECT (EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
		"  AND classid = 7305 AND objid = 808 AND objsubid = 2 AND granted)"
		" OR pg_try_advisory_lock(7305, 808))::int", 0, false },
	[OLDEST] = { "outbox_oldest",
		"SELECT seq, id, aggregateid, type, payload, request_id, traceparent FROM outbox"
		" ORDER BY seq LIMIT $1::int", 1, false },
	[DONE] = { "outbox_done", "DELETE FROM outbox WHERE seq = ANY ($1::bigint[])", 1, true },
	[STATE] = { "outbox_state",
		"SELECT count(*), COALESCE((SELECT (extract(epoch FROM now() - e.created_at) * 1000)::bigint"
		" FROM events e WHERE e.event_id = (SELECT id FROM outbox ORDER BY seq LIMIT 1)), 0)"
		" FROM outbox", 0, false },
};
const struct db_set OUTBOX_STATEMENTS = { SQL, NELEM(SQL) };

static const struct shape ROW = SHAPE(struct outbox_row,
	{ F(struct outbox_row, seq), .use = 1 },
	{ F(struct outbox_row, id), .use = 1 },
	{ F(struct outbox_row, key), .use = 1 },
	{ F(struct outbox_row, type), .use = 1 },
	{ F(struct outbox_row, payload), .use = 1 },
	{ F(struct outbox_row, request_id), .use = 1 },
	{ F(struct outbox_row, traceparent), .use = 1 });

static const struct shape STATE_ROW = SHAPE(struct outbox_state,
	{ F(struct outbox_state, depth), .use = 1 },
	{ F(struct outbox_state, oldest_ms), .use = 1 });
/* clang-format on */

struct answer {
	int64_t yes;
};

static const struct shape ANSWER = SHAPE(struct answer, { F(struct answer, yes), .use = 1 });

enum err
outbox_claim(struct ctx *c)
{
	struct answer a;
	enum err e = db_one(c->db, c->arena, &SQL[CLAIM], NULL, &ANSWER, 1, &a);

	return e != OK ? e : a.yes == 1 ? OK : E_BUSY;
}

enum err
outbox_oldest(struct ctx *c, int most, struct outbox_row **rows_r, int *n_r)
{
	return db_many(c->db, c->arena, &SQL[OLDEST], ARGS(db_int(c->arena, most)), &ROW, 1, rows_r,
		       n_r);
}

enum err
outbox_done(struct ctx *c, const int64_t *seqs, int n)
{
	return db_do(c->db, &SQL[DONE], ARGS(db_array(c->arena, seqs, n)), NULL);
}

enum err
outbox_state(struct ctx *c, struct outbox_state *out_r)
{
	return db_one(c->db, c->arena, &SQL[STATE], NULL, &STATE_ROW, 1, out_r);
}
