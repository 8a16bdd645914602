/* effect: the table of what follows, and the one statement that makes it so. */
#include "effect.h"

#include <string.h>

#include "db.h"
#include "doc.h"
#include "kv.h"
#include "log.h"
#include "metric.h"
#include "text.h"

#include "session.h"
#include "settings.h"
#include "user.h"

/* What follows from an event of a type; a type that is not here is counted as "event". */
static const struct follows {
	const char *type;
	bool settings;	  /* the user's settings row */
	const char *mail; /* kind of mail to its user */
	const char *stat; /* counted besides "event" */
} FOLLOWS[] = {
	{ "user_created", true, "welcome", "new_user" },
	{ "user_login", false, NULL, "login" },
	{ "user_login_failed", false, NULL, "login_failed" },
	{ "user_updated", false, NULL, "update" },
	{ "user_password_reset_requested", false, "reset_password", NULL },
	{ "user_password_changed", false, "password_changed", NULL },
	{ "user_session_reused", false, "session_reused", NULL },
};

static const struct follows NOTHING = { "", false, NULL, NULL };

enum { APPLY, COUNTS };

/* clang-format off */
/* By position: $1 ids, $2 users, $3 times, $4 settings row?, $5 mail or '', $6 stat or ''. */
static const struct db_stmt SQL[] = {
	[APPLY] = { "effect_apply",
		"WITH heard AS (SELECT DISTINCT ON (event_id) * FROM unnest($1::uuid[], $2::bigint[],"
		"  $3::timestamptz[], $4::bool[], $5::text[], $6::text[])"
		"  AS h(event_id, user_id, at, settings, mail, stat)), "
		"fresh AS (INSERT INTO processed_events (consumer, event_id)"
		"  SELECT 'effects', event_id FROM heard ON CONFLICT DO NOTHING RETURNING event_id), "
		"new AS (SELECT heard.* FROM heard JOIN fresh USING (event_id)), "
		"spoken AS (SELECT new.event_id, CASE WHEN e.data ->> 'language' IN ('en', 'ko')"
		"  THEN e.data ->> 'language' ELSE $7 END AS language"
		"  FROM new LEFT JOIN events e USING (event_id) WHERE new.settings OR new.mail <> ''), "
		"settings AS (INSERT INTO user_settings (user_id, language) SELECT u.id, spoken.language"
		"  FROM new JOIN spoken USING (event_id) JOIN users u ON u.id = new.user_id WHERE new.settings"
		"  ON CONFLICT DO NOTHING), "
		"mail AS (INSERT INTO mail_outbox (event_id, kind, user_id, recipient, language)"
		"  SELECT new.event_id, new.mail, u.id, u.email, COALESCE(s.language, spoken.language)"
		"  FROM new JOIN spoken USING (event_id) JOIN users u ON u.id = new.user_id"
		"  LEFT JOIN user_settings s ON s.user_id = u.id"
		"  WHERE new.mail <> '' AND NOT (new.mail = 'welcome' AND EXISTS (SELECT FROM user_activities i"
		"   WHERE i.user_id = u.id AND i.activity_type = '" ACTIVITY_IMPORTED "'))"
		"  ON CONFLICT DO NOTHING), "
		"counted AS (SELECT (at AT TIME ZONE 'UTC')::date AS day, what, count(*) AS n FROM ("
		"  SELECT at, 'event' AS what FROM new UNION ALL SELECT at, stat FROM new WHERE stat <> '')"
		"  x GROUP BY 1, 2), "
		"stats AS (INSERT INTO stats_daily AS s (day, what, n) SELECT day, what, n FROM counted"
		"  ORDER BY day, what ON CONFLICT (day, what) DO UPDATE SET n = s.n + EXCLUDED.n"
		"  RETURNING s.day) "
		"SELECT DISTINCT day::text, (SELECT count(*) FROM fresh) FROM stats", 7, true },
	/* Whole days, as they are committed: who changes any count of a day changes "event" too. */
	[COUNTS] = { "effect_counts",
		"SELECT day::text, max(n) FILTER (WHERE what = 'event'), json_object_agg(what, n)::text"
		" FROM stats_daily WHERE day = ANY ($1::date[]) GROUP BY day", 1, false },
};
/* clang-format on */
const struct db_set EFFECT_STATEMENTS = { SQL, NELEM(SQL) };

static const struct shape INCOMING =
	SHAPE(struct incoming, { F(struct incoming, event_id), .use = 1, .need = 1 },
	      { F(struct incoming, event_type), .use = 1, .need = 1, .min = 1, .max = 100 },
	      { F(struct incoming, user_id), .use = 1, .nullable = true },
	      { F(struct incoming, version), .use = 1, .nullable = true },
	      { F(struct incoming, timestamp), .use = 1, .need = 1, .min = 20, .max = 40 });

/* RFC 3339, by its form: no "infinity", and nothing that would end a text in an array. */
static bool
is_time(const char *text)
{
	static const char FORM[] = "dddd-dd-ddTdd:dd:dd";

	if (!text_begins_like(text, FORM))
		return false;
	text += sizeof(FORM) - 1;
	if (*text == '.') {
		size_t n = strspn(++text, "0123456789");

		if (n == 0)
			return false;
		text += n;
	}
	if (strcmp(text, "Z") == 0)
		return true;
	return strlen(text) == 6 &&
	       (text_begins_like(text, "+dd:dd") || text_begins_like(text, "-dd:dd"));
}

enum err
effect_decode(struct arena *a, const char *value, size_t len, struct incoming *out_r,
	      const char **why_r)
{
	struct faults faults = { 0 };

	*why_r = "not an event: not JSON";
	if (value == NULL) {
		*why_r = "no value";
		return E_INVALID;
	}
	switch (doc_pick(a, &INCOMING, 1, value, len, out_r, &faults)) {
	case OK:
		*why_r = text_is_uuid(out_r->event_id)
				 ? "not an event: timestamp is no time (RFC 3339)"
				 : "not an event: event_id is no UUID";
		return text_is_uuid(out_r->event_id) && is_time(out_r->timestamp) ? OK : E_INVALID;
	case E_INVALID:
		*why_r = arena_printf(a, "not an event: %s: %s",
				      faults.at[0].name == NULL ? "value" : faults.at[0].name,
				      msg_type(faults.at[0].msg));
		return E_INVALID;
	default:
		return E_INVALID;
	}
}

static const struct follows *
follows(const char *type)
{
	for (size_t i = 0; i < NELEM(FOLLOWS); i++) {
		if (strcmp(FOLLOWS[i].type, type) == 0)
			return &FOLLOWS[i];
	}
	return &NOTHING;
}

struct day {
	const char *day;
	int64_t fresh, events;
	const char *counts;
};

enum { OF_APPLY = 1, OF_COUNTS = 2 };

static const struct shape DAY =
	SHAPE(struct day, { F(struct day, day), .use = OF_APPLY | OF_COUNTS },
	      { F(struct day, fresh), .use = OF_APPLY }, { F(struct day, events), .use = OF_COUNTS },
	      { F(struct day, counts), .use = OF_COUNTS });

/* The arrays of the statement, as PostgreSQL writes them. Ids and times were checked to hold
 * no quote; kinds and stats are ours. */
struct columns {
	struct buf id, user, at, settings, mail, stat;
};

static void
put(struct buf *b, const char *text, bool quoted)
{
	buf_char(b, b->len == 0 ? '{' : ',');
	if (quoted)
		buf_char(b, '"');
	buf_text(b, text);
	if (quoted)
		buf_char(b, '"');
}

static void
put_event(struct ctx *c, struct columns *cs, const struct incoming *ev)
{
	const struct follows *f = follows(ev->event_type);
	const char *user = db_int(c->arena, ev->user_id);

	put(&cs->id, ev->event_id, false);
	put(&cs->user, user == NULL ? "NULL" : user, false);
	put(&cs->at, ev->timestamp, true);
	put(&cs->settings, f->settings ? "t" : "f", false);
	put(&cs->mail, f->mail == NULL ? "" : f->mail, true);
	put(&cs->stat, f->stat == NULL ? "" : f->stat, true);
}

static const char *
ended(struct buf *b)
{
	buf_char(b, '}');
	return b->text;
}

/* The rows in PostgreSQL are the truth; the copy is set, never counted up, and only to more. One that
 * can't be made now is made with the next batch. */
static void
copy_to_redis(struct ctx *c, const struct day *changed, int n)
{
	struct buf names = buf_new(c->arena, 64);
	struct day *days;

	for (int i = 0; i < n; i++)
		put(&names, changed[i].day, false);
	if (n == 0 || db_many(c->db, c->arena, &SQL[COUNTS], ARGS(ended(&names)), &DAY, OF_COUNTS,
			      &days, &n) != OK)
		return;
	for (int i = 0; i < n; i++) {
		const char *key = arena_printf(c->arena, "stats:%s", days[i].day);
		const char *value = arena_printf(c->arena, "%lld\n%s", (long long)days[i].events,
						 days[i].counts);
		struct kv_put p = { .key = key,
				    .version = days[i].events,
				    .value = value,
				    .len = strlen(value),
				    .ttl_s = 2 * 86400 };

		kv_put_later(c->kv, &p);
	}
	kv_turn_over(c->kv);
}

enum err
effect_apply(struct ctx *c, const struct incoming *ev, int n, int *fresh_r)
{
	size_t room = (size_t)n * 40;
	struct columns cs = { buf_new(c->arena, room), buf_new(c->arena, room),
			      buf_new(c->arena, room), buf_new(c->arena, room),
			      buf_new(c->arena, room), buf_new(c->arena, room) };
	struct day *days;
	int found;
	enum err e;

	for (int i = 0; i < n; i++)
		put_event(c, &cs, &ev[i]);
	e = db_many(c->db, c->arena, &SQL[APPLY],
		    ARGS(ended(&cs.id), ended(&cs.user), ended(&cs.at), ended(&cs.settings),
			 ended(&cs.mail), ended(&cs.stat), c->conf->default_language),
		    &DAY, OF_APPLY, &days, &found);
	*fresh_r = e == OK && found > 0 ? (int)days[0].fresh : 0;
	for (int i = 0; e == OK && i < n; i++)
		metric_add(METRIC_EVENTS_OTHER, follows(ev[i].event_type) == &NOTHING);
	if (e == OK)
		copy_to_redis(c, days, found);
	return e;
}

/* Events that end sessions, or change what they may. */
static const char *const OF_SESSIONS[] = {
	"user_deleted",		 "user_updated",	"user_logout",
	"user_password_changed", "user_session_reused",
};

static bool
is_of_sessions(const char *type)
{
	for (size_t i = 0; i < NELEM(OF_SESSIONS); i++) {
		if (strcmp(OF_SESSIONS[i], type) == 0)
			return true;
	}
	return false;
}

enum err
effect_repair(struct ctx *c, const struct incoming *ev, int n, int *fresh_r)
{
	struct stale *s = arena_get(c->arena, (size_t)n * sizeof(*s));
	struct buf ids = buf_new(c->arena, 256);
	enum err e;

	*fresh_r = 0;
	for (int i = 0; i < n; i++) {
		if (is_of_sessions(ev[i].event_type))
			put(&ids, ev[i].event_id, false);
		if (ev[i].user_id == NO_INT || ev[i].version == NO_INT)
			continue;
		s[(*fresh_r)++] = (struct stale){ ev[i].user_id, ev[i].version,
						  strcmp(ev[i].event_type, "user_deleted") == 0 };
	}
	e = user_repair(c, s, *fresh_r);
	return e != OK || ids.len == 0 ? e : session_repair(c, ended(&ids));
}
