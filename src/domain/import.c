/* import: one statement a batch. */
#include "import.h"

#include "db.h"
#include "doc.h"
#include "metric.h"

#include "event.h"

enum { CREATE };

#define COLUMN_OF_G(member, ...) ", g." #member

/* clang-format off */
/* $1 request id, $2 the users as a JSON array, each with its event's id. The answer: which of
 * them, from 1, were created. */
static const struct db_stmt SQL[] = {
	[CREATE] = { "import_create",
		"WITH g AS (SELECT j.n, (j.item ->> 'event_id')::uuid AS event_id, r.*"
		"  FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY j(item, n),"
		"  jsonb_populate_record(NULL::users, j.item -> 'user') r), "
		"u AS (INSERT INTO users (password_hash, status, role" USER_INPUT(USER_COLUMN) ")"
		"  SELECT g.password_hash, COALESCE(g.status, 'active'), COALESCE(g.role, 'user')"
		   USER_INPUT(COLUMN_OF_G) " FROM g ORDER BY g.n ON CONFLICT DO NOTHING RETURNING *), "
		"new AS (SELECT DISTINCT ON (u.id) u.id, g.n, g.event_id FROM u JOIN g"
		"  ON " SQL_EMAIL_KEY("g.email") " = " SQL_EMAIL_KEY("u.email") " ORDER BY u.id, g.n), "
		SQL_ACTIVITY(ACTIVITY_IMPORTED, "다른 시스템에서 가져옴", "NULL", "u")
		"e AS (INSERT INTO events (event_id, event_type, user_id, version, data, request_id)"
		"  SELECT new.event_id, 'user_created', u.id, u.version, " SQL_WHOLE("u") ", $1"
		"  FROM u JOIN new ON new.id = u.id ORDER BY new.n RETURNING *), "
		SQL_OUTBOX
		"SELECT n FROM new", 2, true },
};
/* clang-format on */
const struct db_set IMPORT_STATEMENTS = { SQL, NELEM(SQL) };

struct created {
	int64_t n;
};

static const struct shape CREATED = SHAPE(struct created, { F(struct created, n), .use = 1 });

static const char *
as_json(struct ctx *c, const struct import_row *rows, int n)
{
	struct buf b = buf_new(c->arena, (size_t)n * 400);

	for (int i = 0; i < n; i++) {
		buf_text(&b, i == 0 ? "[{\"event_id\":\"" : ",{\"event_id\":\"");
		buf_text(&b, event_new_id(c));
		buf_lit(&b, "\",\"user\":");
		doc_print(&b, &USER, IN_IMPORT, &rows[i].user);
		buf_char(&b, '}');
	}
	buf_char(&b, ']');
	return b.text;
}

enum err
import_users(struct ctx *c, struct import_row *rows, int n)
{
	struct created *created;
	int found;
	enum err e;

	if (n == 0)
		return OK;
	e = db_many(c->db, c->arena, &SQL[CREATE], ARGS(c->request_id, as_json(c, rows, n)),
		    &CREATED, 1, &created, &found);
	if (e != OK)
		return e;
	for (int i = 0; i < n; i++)
		rows[i].end = IMPORT_THERE;
	for (int i = 0; i < found; i++)
		rows[created[i].n - 1].end = IMPORT_CREATED;
	metric_add(METRIC_SIGNUPS, (uint64_t)found);
	return OK;
}
