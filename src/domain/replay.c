/* replay: one statement for one user, one to compare many. */
#include "replay.h"

#include <string.h>

#include "db.h"

enum { USER_AT, IDS, COMPARE };

/* clang-format off */
const struct shape MOMENT = SHAPE(struct moment,
	{ F(struct moment, version), .use = 1, .min = 1, .max = INT64_MAX,
	  .help = "as of this version", .example = "1" },
	{ F_AS(struct moment, at, K_TIME), .use = 1, .rule = rule_time,
	  .help = "as of this time (RFC 3339), where no version is given", .example = "2026-01-31T09:00:00Z" });

/* From the versioned events `ev`: by user its state, with the row's names; whether it is gone;
 * and whether its versions are 1, 2, 3 and so on. */
#define SQL_REBUILT                                                                           \
	"ends AS (SELECT user_id, max(version) AS version, min(version) = 1 AND count(*) = max(version)" \
	"  AS gapless, (array_agg(event_type ORDER BY version DESC))[1] = 'user_deleted' AS gone," \
	"  (array_agg(created_at ORDER BY version))[1] AS created_at,"                        \
	"  (array_agg(created_at ORDER BY version DESC))[1] AS updated_at FROM ev GROUP BY user_id), " \
	"fields AS (SELECT user_id, jsonb_object_agg(key, value) AS state FROM (SELECT DISTINCT ON" \
	"  (user_id, key) user_id, key, value FROM ev, jsonb_each(ev.data)"                   \
	"  ORDER BY user_id, key, version DESC) newest GROUP BY user_id), "                   \
	"rebuilt AS (SELECT ends.user_id, gone, gapless, COALESCE(state, '{}') || jsonb_build_object(" \
	"  'id', user_id, 'version', version, 'created_at', created_at, 'updated_at', updated_at)" \
	"  AS state FROM ends LEFT JOIN fields USING (user_id)) "

static const struct db_stmt SQL[] = {
	/* $1 user, $2 version or NULL, $3 time or NULL. An event's time is that of its transaction's
	 * begin, so a later version may bear an earlier one: it counts from when all before it do. */
	[USER_AT] = { "replay_user",
		"WITH ev AS (SELECT * FROM events WHERE user_id = $1::bigint AND version IS NOT NULL"
		"  AND ($2::bigint IS NULL OR version <= $2::bigint)"
		"  AND version < COALESCE((SELECT min(version) FROM events WHERE user_id = $1::bigint"
		"   AND created_at > $3::timestamptz), 9223372036854775807)), " SQL_REBUILT
		"SELECT " USER_COLUMNS " FROM rebuilt, LATERAL jsonb_populate_record(NULL::users, state) u"
		" WHERE NOT gone", 3, false },
	/* $1 after, $2 how many */
	[IDS] = { "replay_ids",
		"SELECT id FROM (SELECT id FROM users WHERE id > $1::bigint ORDER BY id LIMIT $2::int) a"
		" UNION SELECT user_id FROM (SELECT DISTINCT user_id FROM events WHERE user_id > $1::bigint"
		"  AND version IS NOT NULL ORDER BY user_id LIMIT $2::int) b ORDER BY id LIMIT $2::int",
		2, false },
	/* $1 ids */
	[COMPARE] = { "replay_compare",
		"WITH ids AS (SELECT unnest($1::bigint[]) AS id), "
		"ev AS (SELECT e.* FROM ids JOIN events e ON e.user_id = ids.id WHERE e.version IS NOT NULL), "
		SQL_REBUILT ", "
		"rows AS (SELECT o.id, to_jsonb(o) - '{password_hash,behind,blind}'::text[] AS row"
		"  FROM ids JOIN users o ON o.id = ids.id), "
		"judged AS (SELECT ids.id, CASE"
		"  WHEN r.user_id IS NULL AND rows.id IS NOT NULL THEN 'a row without events'"
		"  WHEN NOT r.gapless THEN 'versions with gaps'"
		"  WHEN r.gone AND rows.id IS NOT NULL THEN 'deleted by its events, but there'"
		"  WHEN NOT r.gone AND rows.id IS NULL THEN 'not deleted by its events, but gone'"
		"  WHEN NOT r.gone THEN (SELECT 'differs in ' || string_agg(k, ', ' ORDER BY k)"
		"   FROM jsonb_object_keys(rows.row) k"
		"   WHERE rows.row -> k IS DISTINCT FROM COALESCE(r.state -> k, 'null')) END AS wrong"
		"  FROM ids LEFT JOIN rebuilt r ON r.user_id = ids.id LEFT JOIN rows ON rows.id = ids.id) "
		"SELECT judged.id" USER_INPUT(USER_COLUMN_OF_U) USER_RIGHTS(USER_COLUMN_OF_U)
		USER_KEPT(USER_COLUMN_OF_U) ", u.version, u.behind, wrong"
		" FROM judged LEFT JOIN users u ON u.id = judged.id ORDER BY judged.id", 1, false },
};
const struct db_set REPLAY_STATEMENTS = { SQL, NELEM(SQL) };

struct id {
	int64_t id;
};

static const struct shape ID = SHAPE(struct id, { F(struct id, id), .use = 1 });

#define VERIFIED_ROW(member_, kind_, ...) \
	{ .name = #member_, .off = offsetof(struct verified, user.member_), .kind = K_##kind_, .use = 1 },

static const struct shape VERIFIED = SHAPE(struct verified,
	{ .name = "id", .off = offsetof(struct verified, user.id), .kind = K_INT, .use = 1 },
	USER_INPUT(VERIFIED_ROW)
	USER_RIGHTS(VERIFIED_ROW)
	USER_KEPT(VERIFIED_ROW)
	{ .name = "version", .off = offsetof(struct verified, user.version), .kind = K_INT, .use = 1 },
	{ .name = "behind", .off = offsetof(struct verified, user.behind), .kind = K_INT, .use = 1 },
	{ F(struct verified, wrong), .use = 1 });
/* clang-format on */

enum err
replay_user(struct ctx *c, int64_t id, int64_t version, const char *at, struct user *out_r)
{
	return db_one(c->db, c->arena, &SQL[USER_AT],
		      ARGS(db_int(c->arena, id), db_int(c->arena, version), at), &USER, IN_ROW,
		      out_r);
}

enum err
replay_page(struct ctx *c, int64_t id, const struct moment *when, struct page *page_r)
{
	bool both = when->version != NO_INT && when->at != NULL;
	struct user u;
	enum err e;

	if (both)
		fault_add(&c->faults, "query", "at", MSG_WITH_VERSION, NULL);
	if (both)
		return E_INVALID;
	e = replay_user(c, id, when->version, when->at, &u);
	if (e == E_INVALID)
		fault_add(&c->faults, "query", "at", MSG_TIME, NULL);
	if (e == OK && when->version != NO_INT && when->version != u.version)
		e = E_NOT_FOUND;
	if (e == OK)
		user_page_print(c, &u, 0, page_r);
	return e;
}

/* What Redis has against the row. */
static const char *
stale(struct ctx *c, const struct cached *r, const struct user *row)
{
	bool there = row->version != NO_INT;
	struct page page;

	if (r->heard == HEARD_GONE)
		return there ? "Redis: no such user" : NULL;
	if (r->heard != HEARD || r->waits)
		return NULL;
	if (!there)
		return "Redis: still there";
	user_page_print(c, row, 0, &page);
	if (r->page.version != row->version || r->page.pending != 0)
		return arena_printf(c->arena, "Redis: version %lld.%lld, not %lld",
				    (long long)r->page.version, (long long)r->page.pending,
				    (long long)row->version);
	if (r->page.len != page.len || memcmp(r->page.body, page.body, page.len) != 0)
		return "Redis: another page of the same version";
	return NULL;
}

enum err
replay_verify(struct ctx *c, int64_t after, int most, struct verified **rows_r, int *n_r)
{
	struct id *found;
	struct cached *cached;
	int64_t *ids;
	bool known;
	enum err e =
		db_many(c->db, c->arena, &SQL[IDS],
			ARGS(db_int(c->arena, after), db_int(c->arena, most)), &ID, 1, &found, n_r);

	if (e != OK || *n_r == 0)
		return e;
	ids = arena_get(c->arena, (size_t)*n_r * sizeof(*ids));
	for (int i = 0; i < *n_r; i++)
		ids[i] = found[i].id;
	known = user_cached(c, ids, *n_r, &cached) == OK;
	e = db_many(c->db, c->arena, &SQL[COMPARE], ARGS(db_array(c->arena, ids, *n_r)), &VERIFIED,
		    1, rows_r, n_r);
	for (int i = 0; e == OK && known && i < *n_r; i++) {
		(*rows_r)[i].stale = stale(c, &cached[i], &(*rows_r)[i].user);
		(*rows_r)[i].waits = cached[i].waits;
	}
	return e;
}
