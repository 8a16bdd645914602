/* profile: the rows of the second database, and what is carried between the two. */
#include "profile.h"

#include "db.h"
#include "log.h"
#include "metric.h"

#include "event.h"
#include "rules.h"
#include "settings.h"
#include "user.h"

enum { CARRY_AT_ONCE = 16 };

/* clang-format off */
const struct shape PROFILE = SHAPE(struct profile,
	{ F(struct profile, user_id), .use = SHOWN, .example = "1" },
	{ F(struct profile, bio), .use = SHOWN | IN_REPLACE, .nullable = true, .max = 1000,
	  .rule = rule_lines, .help = "a few words of oneself", .example = "등산을 좋아합니다" },
	{ F(struct profile, avatar_url), .use = SHOWN | IN_REPLACE, .nullable = true, .min = 1, .max = 500,
	  .rule = rule_url, .help = "http or https", .example = "https://example.com/hong.png" },
	{ F(struct profile, locale), .use = SHOWN | IN_REPLACE, .nullable = true, .min = 1, .max = 35,
	  .rule = rule_locale, .help = "a language tag", .example = "ko-KR" },
	{ F(struct profile, timezone), .use = SHOWN | IN_REPLACE, .nullable = true, .min = 1, .max = 64,
	  .rule = rule_timezone, .help = "in the form of a name of the IANA database; whether there is such a zone is not looked up", .example = "Asia/Seoul" },
	{ F_AS(struct profile, links, K_LIST), .use = SHOWN | IN_REPLACE, .max = 10, .rule = rule_url,
	  .help = "at most 10 addresses of pages", .example = "[\"https://example.com\"]" },
	{ F_AS(struct profile, updated_at, K_TIME), .use = SHOWN, .help = "RFC 3339, UTC",
	  .example = "2026-01-01T00:00:00.000000Z" },
	{ F(struct profile, changed), .use = IN_CHANGED_ROW });

enum { KNOWN, TAKE, REMOVALS, REMOVED };

/* Of the first database. */
static const struct db_stmt SQL[] = {
	[KNOWN] = { "profile_user_known", "SELECT id FROM users WHERE id = $1::bigint", 1, false },
	/* $5 type, $6 user, $7 data: only while the user is there */
	[TAKE] = { "profile_take_event",
		"WITH u AS (SELECT id FROM users WHERE id = $6::bigint FOR KEY SHARE), "
		SQL_EVENT_OF("$5", "u.id", "NULL::bigint", "$7::jsonb", "u")
		"SELECT event_id FROM e", 7, true },
	[REMOVALS] = { "profile_removals",
		"SELECT user_id FROM profile_removals LIMIT $1::int", 1, false },
	[REMOVED] = { "profile_removed",
		"DELETE FROM profile_removals WHERE user_id = ANY ($1::bigint[])", 1, true },
};
const struct db_set PROFILE_STATEMENTS = { SQL, NELEM(SQL) };

enum { READ, CREATE, REPLACE, WAITING, CARRIED, REMOVE };

#define COLUMNS "user_id, bio, avatar_url, locale, timezone, links, updated_at"
#define SAID(of) of ".bio, " of ".avatar_url, " of ".locale, " of ".timezone, " of ".links"

/* The event of the row `p`, on its way to the first database. */
#define SQL_NOTE(type)                                                                        \
	"o AS (INSERT INTO profile_outbox (event_id, event_type, user_id, data, request_id,"  \
	"  attempt_id, traceparent) SELECT $1::uuid, " type ", user_id,"                      \
	"  to_jsonb(p) - '{user_id,updated_at,is_new}'::text[], $2, $3, $4 FROM p) "

/* Of the second. */
static const struct db_stmt STORE[] = {
	[READ] = { "profile_read", "SELECT " COLUMNS " FROM profiles WHERE user_id = $1::bigint", 1, false },
	/* $5 user, $6 what it says, as JSON, $7 the time */
	[CREATE] = { "profile_create",
		"WITH p AS (INSERT INTO profiles (user_id, bio, avatar_url, locale, timezone, links, created_at, updated_at)"
		" SELECT $5::bigint, r.bio, r.avatar_url, r.locale, r.timezone, COALESCE(r.links, '[]'),"
		"  $7::timestamptz, $7::timestamptz FROM jsonb_populate_record(NULL::profiles, $6::jsonb) r"
		" ON CONFLICT (user_id) DO NOTHING RETURNING " COLUMNS "), "
		SQL_NOTE("'profile_created'")
		"SELECT user_id FROM p", 7, true },
	/* $5 user, $6 to $10 what it says. xmax is 0 in a row that nobody had before. */
	[REPLACE] = { "profile_replace",
		"WITH p AS (INSERT INTO profiles (user_id, bio, avatar_url, locale, timezone, links)"
		" VALUES ($5::bigint, $6, $7, $8, $9, $10::jsonb) ON CONFLICT (user_id) DO UPDATE SET"
		" bio = EXCLUDED.bio, avatar_url = EXCLUDED.avatar_url, locale = EXCLUDED.locale,"
		" timezone = EXCLUDED.timezone, links = EXCLUDED.links, updated_at = now()"
		" WHERE (" SAID("profiles") ") IS DISTINCT FROM (" SAID("EXCLUDED") ")"
		" RETURNING " COLUMNS ", xmax = 0 AS is_new), "
		SQL_NOTE("CASE WHEN is_new THEN 'profile_created' ELSE 'profile_updated' END")
		"SELECT " COLUMNS ", true FROM p UNION ALL SELECT " COLUMNS ", false FROM profiles"
		" WHERE user_id = $5::bigint AND NOT EXISTS (SELECT FROM p)", 10, true },
	[WAITING] = { "profile_waiting",
		"SELECT seq, event_id, event_type, user_id, data, request_id, attempt_id, traceparent"
		" FROM profile_outbox ORDER BY seq LIMIT $1::int", 1, false },
	[CARRIED] = { "profile_carried",
		"DELETE FROM profile_outbox WHERE seq = ANY ($1::bigint[])", 1, true },
	[REMOVE] = { "profile_remove",
		"DELETE FROM profiles WHERE user_id = ANY ($1::bigint[])", 1, true },
};
static const struct db_set STORE_SET = { STORE, NELEM(STORE) };
static const struct db_set *const STORE_SETS[] = { &STORE_SET, NULL };

struct waiting {
	int64_t seq;
	const char *event_id, *event_type;
	int64_t user_id;
	const char *data, *request_id, *attempt_id, *traceparent;
};

static const struct shape WAITING_ROW = SHAPE(struct waiting,
	{ F(struct waiting, seq), .use = 1 },
	{ F(struct waiting, event_id), .use = 1 },
	{ F(struct waiting, event_type), .use = 1 },
	{ F(struct waiting, user_id), .use = 1 },
	{ F(struct waiting, data), .use = 1 },
	{ F(struct waiting, request_id), .use = 1 },
	{ F(struct waiting, attempt_id), .use = 1 },
	{ F(struct waiting, traceparent), .use = 1 });

struct removal {
	int64_t user_id;
};

static const struct shape REMOVAL = SHAPE(struct removal, { F(struct removal, user_id), .use = 1 });
/* clang-format on */

struct db *
profile_open(const struct settings *s, const char *program, struct db_conf *conf_r)
{
	*conf_r = (struct db_conf){ .url = s->profile_database_url,
				    .program = program,
				    .sets = STORE_SETS,
				    .log_sql = s->log_sql,
				    .slow_us = s->slow_ms * 1000 };
	return s->profile_database_url == NULL ? NULL : db_open(conf_r);
}

enum err
profile_store_is_set(struct ctx *c)
{
	if (c->profiles != NULL)
		return OK;
	return log_fail(E_UNAVAILABLE, EV("profile.no_store"),
			KS("mend", "set PROFILE_DATABASE_URL"));
}

/* Is there such a user, and a store for what it says? */
static enum err
look_at_user(struct ctx *c, int64_t user_id)
{
	int64_t known = 0;
	enum err e = profile_store_is_set(c);

	if (e == OK)
		e = db_do(c->db, &SQL[KNOWN], ARGS(db_int(c->arena, user_id)), &known);
	return e == OK && known == 0 ? E_NOT_FOUND : e;
}

enum err
profile_read(struct ctx *c, int64_t user_id, struct profile *out_r)
{
	enum err e = look_at_user(c, user_id);

	if (e != OK)
		return e;
	e = db_one(c->profiles, c->arena, &STORE[READ], ARGS(db_int(c->arena, user_id)), &PROFILE,
		   SHOWN, out_r);
	return e == E_NOT_FOUND ? E_NO_PROFILE : e;
}

/* Bring the event over at once, so that nobody need wait for the daemon. */
static void
carry_now(struct ctx *c, int64_t user_id)
{
	int n;

	if (profile_carry(c, CARRY_AT_ONCE, &n) != OK)
		log_warn(EV("profile.event_waits"), KI("user", user_id));
}

enum err
profile_create(struct ctx *c, int64_t user_id, const char *says, const char *at)
{
	int64_t made = 0;
	enum err e = profile_store_is_set(c);

	if (e == OK)
		e = db_do(c->profiles, &STORE[CREATE],
			  ARGS(EVENT_ARGS(c), db_int(c->arena, user_id), says, at), &made);
	if (e != OK || made == 0)
		return e;
	log_info(EV("profile.created"), KI("user", user_id));
	carry_now(c, user_id);
	return OK;
}

enum err
profile_remove(struct ctx *c, int64_t user_id)
{
	enum err e = profile_store_is_set(c);

	return e != OK ? e
		       : db_do(c->profiles, &STORE[REMOVE], ARGS(db_array(c->arena, &user_id, 1)),
			       NULL);
}

enum err
profile_replace(struct ctx *c, int64_t user_id, const struct profile *in, struct profile *out_r)
{
	const char *links = in->links == NULL ? "[]" : in->links;
	enum err e = look_at_user(c, user_id);

	if (e != OK)
		return e;
	e = db_one(c->profiles, c->arena, &STORE[REPLACE],
		   ARGS(EVENT_ARGS(c), db_int(c->arena, user_id), in->bio, in->avatar_url,
			in->locale, in->timezone, links),
		   &PROFILE, SHOWN | IN_CHANGED_ROW, out_r);
	if (e != OK || !out_r->changed)
		return e;
	log_info(EV("profile.replaced"), KI("user", user_id));
	carry_now(c, user_id);
	return OK;
}

/*
 * Carrying
 */

/* The event store takes each id once. A user who went away meanwhile leaves no profile. */
static enum err
carry_event(struct ctx *c, const struct waiting *w)
{
	int64_t taken;
	enum err e = db_do(c->db, &SQL[TAKE],
			   ARGS(w->event_id, w->request_id, w->attempt_id, w->traceparent,
				w->event_type, db_int(c->arena, w->user_id), w->data),
			   &taken);

	if (e == E_CONFLICT)
		return OK; /* it is there */
	if (e == OK && taken == 0)
		e = db_do(c->profiles, &STORE[REMOVE], ARGS(db_array(c->arena, &w->user_id, 1)),
			  NULL);
	return e;
}

static enum err
carry_events(struct ctx *c, int most, int *n_r)
{
	struct waiting *rows;
	int64_t *seqs;
	enum err e = db_many(c->profiles, c->arena, &STORE[WAITING], ARGS(db_int(c->arena, most)),
			     &WAITING_ROW, 1, &rows, n_r);

	metric_set(METRIC_PROFILE_STORE, e == E_UNAVAILABLE ? STATE_AWAY : STATE_THERE);
	if (e != OK || *n_r == 0)
		return e;
	seqs = arena_get(c->arena, (size_t)*n_r * sizeof(*seqs));
	for (int i = 0; i < *n_r; i++) {
		if ((e = carry_event(c, &rows[i])) != OK)
			return e;
		seqs[i] = rows[i].seq;
	}
	return db_do(c->profiles, &STORE[CARRIED], ARGS(db_array(c->arena, seqs, *n_r)), NULL);
}

static enum err
carry_removals(struct ctx *c, int most, int *n_r)
{
	struct removal *rows;
	const char *users;
	enum err e = db_many(c->db, c->arena, &SQL[REMOVALS], ARGS(db_int(c->arena, most)),
			     &REMOVAL, 1, &rows, n_r);

	if (e != OK || *n_r == 0)
		return e;
	users = db_array(c->arena, &rows->user_id, *n_r); /* a row is its one number */
	e = db_do(c->profiles, &STORE[REMOVE], ARGS(users), NULL);
	return e != OK ? e : db_do(c->db, &SQL[REMOVED], ARGS(users), NULL);
}

enum err
profile_carry(struct ctx *c, int most, int *n_r)
{
	int events = 0, removals = 0;
	enum err e = profile_store_is_set(c);

	if (e == OK)
		e = carry_events(c, most, &events);
	if (e == OK)
		e = carry_removals(c, most, &removals);
	*n_r = events + removals;
	return e;
}
