/* stream: six statements; the order is (txid, position), the bound is pg_snapshot_xmin. */
#include "stream.h"

#include <string.h>

#include "db.h"
#include "doc.h"
#include "log.h"

#include "event.h"
#include "idem.h"
#include "rules.h"
#include "user.h"

/* clang-format off */
const struct shape POSTED = SHAPE(struct posted,
	{ F(struct posted, event_type), .use = IN_CREATE, .need = IN_CREATE, .min = 1, .max = 100,
	  .rule = rule_event_type, .help = "a type of your own; user_ and profile_ are ours",
	  .example = "cart.filled" },
	{ F_AS(struct posted, data, K_OBJECT), .use = IN_CREATE, .need = IN_CREATE, .max = DATA_MOST,
	  .help = "any JSON object, at most 16384 bytes, its numbers written out in digits", .example = "{\"items\":3}" },
	{ F(struct posted, user_id), .use = IN_CREATE, .nullable = true, .min = 1, .max = INT64_MAX,
	  .help = "whose event it is, where not the caller's", .example = "1" });

const struct shape RECEIPT = SHAPE(struct receipt,
	{ F(struct receipt, event_id), .use = SHOWN, .help = "UUIDv7",
	  .example = "01985d8e-7c0a-7d51-9f3e-0242ac120002" });

#define QUERY_AFTER \
	{ F(struct stream_query, after), .use = 1, .rule = rule_position, \
	  .help = "the position after which to begin", .example = "740.12" }
#define QUERY_LIMIT \
	{ F(struct stream_query, limit), .use = 1, .min = 1, .max = 1000, .def = "100", \
	  .help = "how many at most" }

const struct shape STREAM_QUERY = SHAPE(struct stream_query, QUERY_AFTER, QUERY_LIMIT,
	{ F(struct stream_query, event_type), .use = 1, .min = 1, .max = 100,
	  .help = "only events of this type", .example = "user_created" });

const struct shape USER_STREAM_QUERY = SHAPE(struct stream_query, QUERY_AFTER, QUERY_LIMIT);

enum { POST, ALL, OF_TYPE, OF_USER, KNOWN, TXIDS };

/* $1 transaction, $2 place, $3 limit */
#define SQL_READ(also)                                                                        \
	"SELECT txid::text || '.' || position, event_id, event_type, user_id, version, data," \
	" created_at FROM events WHERE (txid, position) > ($1::xid8, $2::bigint)"             \
	" AND txid < pg_snapshot_xmin(pg_current_snapshot())" also                            \
	" ORDER BY txid, position LIMIT $3::int"

static const struct db_stmt SQL[] = {
	/* $5 type, $6 user, $7 data */
	[POST] = { "stream_post",
		"WITH u AS (SELECT id FROM users WHERE id = $6::bigint), "
		SQL_EVENT_OF("$5", "u.id", "NULL::bigint", "$7::jsonb", "u")
		"SELECT event_id FROM e", 7, true },
	[ALL] = { "stream_all", SQL_READ(""), 3, false },
	[OF_TYPE] = { "stream_of_type", SQL_READ(" AND event_type = $4"), 4, false },
	[OF_USER] = { "stream_of_user", SQL_READ(" AND user_id = $4::bigint"), 4, false },
	[KNOWN] = { "stream_user_known",
		"SELECT 1 WHERE EXISTS (SELECT FROM users WHERE id = $1::bigint)"
		" OR EXISTS (SELECT FROM events WHERE user_id = $1::bigint)", 1, false },
	[TXIDS] = { "stream_txids",
		"SELECT COALESCE((SELECT txid FROM events ORDER BY txid DESC, position DESC LIMIT 1), '0')::text,"
		" pg_snapshot_xmax(pg_current_snapshot())::text", 0, false },
};
const struct db_set STREAM_STATEMENTS = { SQL, NELEM(SQL) };

struct stored_event {
	const char *position, *event_id, *event_type;
	int64_t user_id, version;
	const char *data, *timestamp;
};

const struct shape STORED_EVENT = SHAPE(struct stored_event,
	{ F(struct stored_event, position), .use = SHOWN, .help = "for after", .example = "740.12" },
	{ F(struct stored_event, event_id), .use = SHOWN, .help = "UUIDv7" },
	{ F(struct stored_event, event_type), .use = SHOWN },
	{ F(struct stored_event, user_id), .use = SHOWN, .nullable = true },
	{ F(struct stored_event, version), .use = SHOWN, .nullable = true,
	  .help = "of the user; null for what changed no user" },
	{ F_AS(struct stored_event, data, K_OBJECT), .use = SHOWN },
	{ F_AS(struct stored_event, timestamp, K_TIME), .use = SHOWN });
/* clang-format on */

struct posting {
	struct ctx *c;
	const struct posted *in;
	int64_t user;
	struct receipt *out;
};

static enum err
post_body(void *arg, struct kept *answer_r)
{
	struct posting *p = arg;
	struct ctx *c = p->c;
	struct buf b = buf_new(c->arena, 64);
	enum err e = db_one(c->db, c->arena, &SQL[POST],
			    ARGS(EVENT_ARGS(c), p->in->event_type, db_int(c->arena, p->user),
				 p->in->data),
			    &RECEIPT, SHOWN, p->out);

	if (e != OK)
		return e;
	doc_print(&b, &RECEIPT, SHOWN, p->out);
	*answer_r = (struct kept){ 202, NO_INT, NO_INT, b.text };
	return OK;
}

enum err
stream_post(struct ctx *c, const struct posted *in, struct receipt *out_r)
{
	struct posting p = { c, in, in->user_id == NO_INT ? c->actor : in->user_id, out_r };
	enum err e;

	if (p.user != c->actor && c->role != ROLE_ADMIN)
		return E_FORBIDDEN;
	e = idem_within(c, post_body, &p);
	if (e == OK)
		log_info(EV("event.posted"), KS("type", in->event_type), KI("user", p.user));
	return e;
}

/* Run a read whose fourth parameter is `only` (NULL: it has none). */
static enum err
read_page(struct ctx *c, const struct db_stmt *st, const struct stream_query *q, const char *only,
	  struct stream_page *out_r)
{
	const char *after = q->after == NULL ? "0.0" : q->after, *point = strchr(after, '.');
	const char *txid = arena_textn(c->arena, after, (size_t)(point - after));
	struct stored_event *rows;
	int n, fit;
	enum err e = db_many(c->db, c->arena, st,
			     ARGS(txid, point + 1, db_int(c->arena, q->limit), only), &STORED_EVENT,
			     SHOWN, &rows, &n);

	if (e != OK)
		return e;
	fit = doc_fit(&STORED_EVENT, SHOWN, rows, n, false);
	out_r->body = buf_new(c->arena, (size_t)fit * 256 + 16);
	doc_print_rows(&out_r->body, &STORED_EVENT, SHOWN, rows, fit);
	out_r->last = n == q->limit || fit < n ? rows[fit - 1].position : NULL;
	return OK;
}

enum err
stream_read(struct ctx *c, const struct stream_query *q, struct stream_page *out_r)
{
	const struct db_stmt *st = &SQL[q->event_type == NULL ? ALL : OF_TYPE];

	return read_page(c, st, q, q->event_type, out_r);
}

enum err
stream_of_user(struct ctx *c, int64_t user_id, const struct stream_query *q,
	       struct stream_page *out_r)
{
	const char *id = db_int(c->arena, user_id);
	int64_t known;
	enum err e = read_page(c, &SQL[OF_USER], q, id, out_r);

	/* an empty page, or nobody: only then is it worth a question */
	if (e != OK || strcmp(out_r->body.text, "[]") != 0)
		return e;
	e = db_do(c->db, &SQL[KNOWN], ARGS(id), &known);
	return e == OK && known == 0 ? E_NOT_FOUND : e;
}

struct txids {
	int64_t newest, next;
};

static const struct shape TXIDS_ROW = SHAPE(struct txids, { F(struct txids, newest), .use = 1 },
					    { F(struct txids, next), .use = 1 });

enum err
stream_txids(struct ctx *c, int64_t *newest_r, int64_t *next_r)
{
	struct txids ids;
	enum err e = db_one(c->db, c->arena, &SQL[TXIDS], NULL, &TXIDS_ROW, 1, &ids);

	*newest_r = e == OK ? ids.newest : 0;
	*next_r = e == OK ? ids.next : 0;
	return e;
}
