/* stats: two statements over stats_daily. */
#include "stats.h"

#include "db.h"

/* clang-format off */
const struct shape STATS_QUERY = SHAPE(struct stats_query,
	{ F(struct stats_query, days), .use = 1, .min = 1, .max = 366, .def = "7",
	  .help = "how many days, today included" });

const struct shape STATS = SHAPE(struct stats,
	{ F(struct stats, day), .use = STATS_OF_DAY, .help = "in UTC", .example = "2026-01-01" },
	{ F(struct stats, users), .use = STATS_TOTALS, .help = "how many there are now; of more than 100000 about, as PostgreSQL last estimated" },
	{ F(struct stats, new_users), .use = STATS_OF_DAY | STATS_TOTALS },
	{ F(struct stats, logins), .use = STATS_OF_DAY | STATS_TOTALS },
	{ F(struct stats, failed_logins), .use = STATS_OF_DAY | STATS_TOTALS },
	{ F(struct stats, events), .use = STATS_OF_DAY | STATS_TOTALS });

enum { DAYS, TOTALS };

#define SQL_SUM(what) "COALESCE(sum(s.n) FILTER (WHERE s.what = '" what "'), 0)::bigint"
#define SQL_SUMS SQL_SUM("new_user") ", " SQL_SUM("login") ", " SQL_SUM("login_failed") ", " SQL_SUM("event")

static const struct db_stmt SQL[] = {
	[DAYS] = { "stats_days",
		"SELECT (CURRENT_DATE - ago)::text, " SQL_SUMS " FROM generate_series(0, $1::int - 1) ago"
		" LEFT JOIN stats_daily s ON s.day = CURRENT_DATE - ago GROUP BY ago ORDER BY ago DESC",
		1, false },
	[TOTALS] = { "stats_totals",
		"SELECT (SELECT CASE WHEN reltuples <= 100000 THEN (SELECT count(*) FROM users)"
		"  ELSE reltuples::bigint END FROM pg_class WHERE oid = 'users'::regclass), "
		SQL_SUMS " FROM stats_daily s", 0, false },
};
const struct db_set STATS_STATEMENTS = { SQL, NELEM(SQL) };
/* clang-format on */

enum err
stats_read(struct ctx *c, int64_t days, struct stats **days_r, struct stats *totals_r)
{
	int n;
	enum err e = db_many(c->db, c->arena, &SQL[DAYS], ARGS(db_int(c->arena, days)), &STATS,
			     STATS_OF_DAY, days_r, &n);

	return e != OK ? e
		       : db_one(c->db, c->arena, &SQL[TOTALS], NULL, &STATS, STATS_TOTALS,
				totals_r);
}
