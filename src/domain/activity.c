/* activity: three statements over user_activities. */
#include "activity.h"

#include "db.h"
#include "doc.h"

#include "cursor.h"
#include "idem.h"
#include "rules.h"
#include "stream.h"
#include "user.h"

static enum msg
rule_cursor(struct arena *a, const char *text, const char **out_r)
{
	return cursor_rule(a, text, 'a', out_r);
}

/* clang-format off */
const struct shape ACTIVITY = SHAPE(struct activity,
	{ F(struct activity, id), .use = SHOWN, .example = "1" },
	{ F(struct activity, user_id), .use = SHOWN, .example = "1" },
	{ F(struct activity, activity_type), .use = SHOWN | IN_CREATE, .need = IN_CREATE, .min = 1,
	  .max = 100, .rule = rule_event_type,
	  .help = "letters, digits, _ . -; user_ and profile_ are the service's own",
	  .example = "page.viewed" },
	{ F(struct activity, description), .use = SHOWN | IN_CREATE, .nullable = true, .max = 500,
	  .rule = rule_line, .help = "one line for a person", .example = "가격표를 보았습니다" },
	{ F_AS(struct activity, data, K_OBJECT), .use = SHOWN | IN_CREATE, .nullable = true,
	  .max = DATA_MOST, .help = "any JSON object, at most 16384 bytes, its numbers written out in digits", .example = "{\"page\":3}" },
	{ F_AS(struct activity, created_at, K_TIME), .use = SHOWN, .help = "RFC 3339, UTC",
	  .example = "2026-01-01T00:00:00.000000Z" });

const struct shape ACTIVITY_QUERY = SHAPE(struct activity_query,
	{ F(struct activity_query, cursor), .use = 1, .rule = rule_cursor,
	  .help = "where the page begins, from the link to it" },
	{ F(struct activity_query, limit), .use = 1, .min = 1, .max = 1000, .def = "100",
	  .help = "how many at most" });

enum { LIST, ADD, KNOWN };

#define COLUMNS "id, user_id, activity_type, description, data, created_at"

static const struct db_stmt SQL[] = {
	[LIST] = { "activity_list",
		"SELECT " COLUMNS " FROM user_activities WHERE user_id = $1::bigint"
		" AND id < $2::bigint ORDER BY id DESC LIMIT $3::int", 3, false },
	/* the user's row is held, so that it can't go in between */
	[ADD] = { "activity_add",
		"INSERT INTO user_activities (user_id, activity_type, description, data)"
		" SELECT id, $2, $3, $4::jsonb FROM users WHERE id = $1::bigint FOR KEY SHARE"
		" RETURNING " COLUMNS, 4, true },
	[KNOWN] = { "activity_user_known", "SELECT id FROM users WHERE id = $1::bigint", 1, false },
};
const struct db_set ACTIVITY_STATEMENTS = { SQL, NELEM(SQL) };
/* clang-format on */

/* One more than asked for tells whether another page follows. */
enum err
activity_list(struct ctx *c, int64_t user_id, const struct activity_query *q,
	      struct activity_page *out_r)
{
	struct cursor from = { 'a', false, INT64_MAX };
	const char *id = db_int(c->arena, user_id);
	int64_t known;
	int fit;
	enum err e;

	if (q->cursor != NULL && !cursor_read(q->cursor, 'a', &from))
		return E_INVALID;
	e = db_many(c->db, c->arena, &SQL[LIST],
		    ARGS(id, db_int(c->arena, from.id), db_int(c->arena, q->limit + 1)), &ACTIVITY,
		    SHOWN, &out_r->rows, &out_r->n);
	if (e != OK)
		return e;
	out_r->next = NULL;
	fit = doc_fit(&ACTIVITY, SHOWN, out_r->rows, out_r->n, false);
	fit = fit > q->limit ? (int)q->limit : fit;
	if (out_r->n > fit) {
		out_r->n = fit;
		from.id = out_r->rows[out_r->n - 1].id;
		out_r->next = cursor_print(c->arena, from);
	}
	if (out_r->n > 0)
		return OK;
	e = db_do(c->db, &SQL[KNOWN], ARGS(id), &known);
	return e == OK && known == 0 ? E_NOT_FOUND : e;
}

struct adding {
	struct ctx *c;
	int64_t user_id;
	const struct activity *in;
	struct activity *out;
};

static enum err
add_body(void *arg, struct kept *answer_r)
{
	struct adding *a = arg;
	struct ctx *c = a->c;
	struct buf b = buf_new(c->arena, 256);
	enum err e = db_one(c->db, c->arena, &SQL[ADD],
			    ARGS(db_int(c->arena, a->user_id), a->in->activity_type,
				 a->in->description, a->in->data),
			    &ACTIVITY, SHOWN, a->out);

	if (e != OK)
		return e;
	doc_print(&b, &ACTIVITY, SHOWN, a->out);
	*answer_r = (struct kept){ 201, NO_INT, NO_INT, b.text };
	return OK;
}

enum err
activity_add(struct ctx *c, int64_t user_id, const struct activity *in, struct activity *out_r)
{
	return idem_within(c, add_body, &(struct adding){ c, user_id, in, out_r });
}
