/* directory: a page forwards, a page backwards, each with or without activities; a count. */
#include "directory.h"

#include "db.h"
#include "doc.h"

#include "activity.h"
#include "cursor.h"

static enum msg
rule_cursor(struct arena *a, const char *text, const char **out_r)
{
	return cursor_rule(a, text, 'u', out_r);
}

/* clang-format off */
const struct shape USER_LIST = SHAPE(struct user_list,
	{ F(struct user_list, skip), .use = 1, .min = 0, .max = INT64_C(1) << 40, .def = "0",
	  .help = "how many to pass over; slow for many" },
	{ F(struct user_list, limit), .use = 1, .min = 1, .max = 1000, .def = "100",
	  .help = "how many at most" },
	{ F(struct user_list, status), .use = 1, .choices = "active inactive",
	  .help = "only users of this status" },
	{ F(struct user_list, cursor), .use = 1, .rule = rule_cursor,
	  .help = "where the page begins, from the link to it; not with skip" },
	{ F(struct user_list, count), .use = 1, .choices = "exact",
	  .help = "exact: X-Total-Count says how many there are in all" },
	{ F(struct user_list, include), .use = 1, .choices = "activities",
	  .help = "activities: each user with its newest 10, at most 100 users a page" });

enum { FORWARDS, BACKWARDS, COUNT };
enum { WITH_ACTIVITIES_MOST = 100 }; /* users: up to 160 KB each */

/* Activities are looked for on the page's users alone. $1 status or NULL, $2 the id to begin behind, $3 how many to skip, $4 limit, $5 activities? */
#define SQL_PAGE(beyond, order)                                                                \
	"SELECT " USER_COLUMNS ", (SELECT COALESCE(json_agg(" SQL_ACTIVITY_JSON("x")           \
	"  ORDER BY x.id DESC), '[]') FROM (SELECT id, user_id, activity_type, description,"   \
	"  data, created_at FROM user_activities WHERE user_id = u.id AND $5::bool"            \
	"  ORDER BY id DESC LIMIT 10) x)"                                                      \
	" FROM (SELECT id" USER_INPUT(USER_COLUMN) USER_RIGHTS(USER_COLUMN)                    \
	"  " USER_KEPT(USER_COLUMN) ", version, behind FROM users WHERE id " beyond " $2::bigint"      \
	"  AND ($1::text IS NULL OR status = $1)"                                              \
	"  ORDER BY id" order " OFFSET $3::bigint LIMIT $4::bigint) u ORDER BY u.id"

static const struct db_stmt SQL[] = {
	[FORWARDS] = { "directory_forwards", SQL_PAGE(">", ""), 5, false },
	[BACKWARDS] = { "directory_backwards", SQL_PAGE("<", " DESC"), 5, false },
	[COUNT] = { "directory_count",
		"SELECT count(*) FROM users WHERE ($1::text IS NULL OR status = $1)", 1, false },
};
const struct db_set DIRECTORY_STATEMENTS = { SQL, NELEM(SQL) };

struct total {
	int64_t n;
};

static const struct shape TOTAL = SHAPE(struct total, { F(struct total, n), .use = 1 });
/* clang-format on */

static enum err
count(struct ctx *c, const struct user_list *in, int64_t *total_r)
{
	struct total t;
	enum err e;

	*total_r = NO_INT;
	if (in->count == NULL)
		return OK;
	e = db_one(c->db, c->arena, &SQL[COUNT], ARGS(in->status), &TOTAL, 1, &t);
	if (e == OK)
		*total_r = t.n;
	return e;
}

static const char *
link_to(struct ctx *c, bool backwards, int64_t id)
{
	return cursor_print(c->arena, (struct cursor){ 'u', backwards, id });
}

/* What lies beside the `n` rows of a page that began at `at`; `more`: beyond its far end. An
 * empty page has only what is on the side that it came from. */
static void
put_links(struct ctx *c, const struct user_list *in, struct cursor at, const struct user *rows,
	  int n, bool more, struct user_page *out_r)
{
	bool begun = in->cursor != NULL || in->skip > 0;
	bool next = at.backwards || more, prev = at.backwards ? more : begun;

	out_r->first = link_to(c, false, 0);
	out_r->next = out_r->prev = NULL;
	if (n > 0) {
		out_r->next = next ? link_to(c, false, rows[n - 1].id) : NULL;
		out_r->prev = prev ? link_to(c, true, rows[0].id) : NULL;
	} else if (in->cursor != NULL && !at.backwards && at.id < INT64_MAX)
		out_r->prev = link_to(c, true, at.id + 1);
}

static int64_t
most_of(const struct user_list *in)
{
	return in->include != NULL && in->limit > WITH_ACTIVITIES_MOST ? WITH_ACTIVITIES_MOST
								       : in->limit;
}

/* One more than asked for tells whether there is more beyond; where that one lies in the rows
 * depends on the direction, as does at which end a page that is too long is cut. */
enum err
directory_list(struct ctx *c, const struct user_list *in, struct user_page *out_r)
{
	unsigned use = IN_ROW | WITH_ACTIVITIES, shown = SHOWN;
	struct cursor at = { 'u', false, 0 };
	int64_t limit = most_of(in);
	struct user *rows;
	bool more;
	int n, fit;
	enum err e;

	if (in->cursor != NULL && in->skip > 0) {
		fault_add(&c->faults, "query", "skip", MSG_NOT_BOTH, NULL);
		return E_INVALID;
	}
	if (in->cursor != NULL && !cursor_read(in->cursor, 'u', &at))
		return E_INVALID;
	if ((e = count(c, in, &out_r->total)) != OK)
		return e;
	e = db_many(c->db, c->arena, &SQL[at.backwards ? BACKWARDS : FORWARDS],
		    ARGS(in->status, db_int(c->arena, at.id), db_int(c->arena, in->skip),
			 db_int(c->arena, limit + 1), in->include == NULL ? "f" : "t"),
		    &USER, use, &rows, &n);
	if (e != OK)
		return e;
	shown |= in->include == NULL ? 0 : WITH_ACTIVITIES;
	fit = doc_fit(&USER, shown, rows, n, at.backwards);
	fit = fit > limit ? (int)limit : fit;
	more = n > fit;
	rows += at.backwards ? n - fit : 0;
	n = fit;
	if ((e = user_refresh(c, rows, n)) != OK)
		return e;
	out_r->body = buf_new(c->arena, 16 * 1024);
	doc_print_rows(&out_r->body, &USER, shown, rows, n);
	put_links(c, in, at, rows, n, more, out_r);
	return OK;
}
