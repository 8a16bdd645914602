/* outbox: five statements. */
#include "outbox.h"

#include "buf.h"

#include "db.h"

enum { CLAIM, IS_EMPTY, OLDEST, DONE, STATE };

/* clang-format off */
/* To take a lock that one has is cheap, however often; it goes with the session. */
static const struct db_stmt SQL[] = {
	[CLAIM] = { "outbox_claim",
		"SELECT pg_try_advisory_lock(7305, 808)::int"
		" FROM set_config('idle_session_timeout', '10s', false)", 0, false },
	[IS_EMPTY] = { "outbox_is_empty",
		"SELECT (NOT EXISTS (SELECT FROM outbox))::int", 0, false },
	[OLDEST] = { "outbox_oldest",
		"SELECT seq, id, aggregateid, type, payload, request_id, traceparent FROM ("
		" SELECT *, sum(octet_length(payload::text)) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING)"
		"  - octet_length(payload::text) AS before FROM (SELECT * FROM outbox"
		"  WHERE aggregateid <> ALL ($2::text[]) ORDER BY seq LIMIT $1::int) oldest) o"
		" WHERE before < $3::int ORDER BY seq", 3, false },
	[DONE] = { "outbox_done", "DELETE FROM outbox WHERE seq = ANY ($1::bigint[])", 1, true },
	[STATE] = { "outbox_state",
		"SELECT n, COALESCE((extract(epoch FROM clock_timestamp() - e.created_at) * 1000)::bigint, 0),"
		" COALESCE(o.seq, 0), o.aggregateid, o.type, o.id"
		" FROM (SELECT count(*) AS n FROM (SELECT FROM outbox LIMIT $1::int) counted) d"
		" LEFT JOIN (SELECT * FROM outbox ORDER BY seq LIMIT 1) o ON true"
		" LEFT JOIN events e ON e.event_id = o.id", 1, false },
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
	{ F(struct outbox_state, oldest_ms), .use = 1 },
	{ F(struct outbox_state, seq), .use = 1 },
	{ F(struct outbox_state, key), .use = 1 },
	{ F(struct outbox_state, type), .use = 1 },
	{ F(struct outbox_state, id), .use = 1 });
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
outbox_is_empty(struct ctx *c, bool *empty_r)
{
	struct answer a;
	enum err e = db_one(c->db, c->arena, &SQL[IS_EMPTY], NULL, &ANSWER, 1, &a);

	*empty_r = e == OK && a.yes == 1;
	return e;
}

/* A PostgreSQL array literal of texts. */
static const char *
text_array(struct arena *a, const char *const *texts, int n)
{
	struct buf b = buf_new(a, 64);

	buf_char(&b, '{');
	for (int i = 0; i < n; i++) {
		buf_text(&b, i == 0 ? "\"" : ",\"");
		for (const char *p = texts[i]; *p != '\0'; p++) {
			if (*p == '"' || *p == '\\')
				buf_char(&b, '\\');
			buf_char(&b, *p);
		}
		buf_char(&b, '"');
	}
	buf_char(&b, '}');
	return b.text;
}

enum err
outbox_oldest(struct ctx *c, int most, const char *const *held, int n_held,
	      struct outbox_row **rows_r, int *n_r)
{
	return db_many(c->db, c->arena, &SQL[OLDEST],
		       ARGS(db_int(c->arena, most), text_array(c->arena, held, n_held),
			    db_int(c->arena, OUTBOX_BYTES)),
		       &ROW, 1, rows_r, n_r);
}

enum err
outbox_done(struct ctx *c, const int64_t *seqs, int n)
{
	return db_do(c->db, &SQL[DONE], ARGS(db_array(c->arena, seqs, n)), NULL);
}

enum err
outbox_state(struct ctx *c, struct outbox_state *out_r)
{
	return db_one(c->db, c->arena, &SQL[STATE], ARGS(db_int(c->arena, OUTBOX_COUNTED)),
		      &STATE_ROW, 1, out_r);
}
