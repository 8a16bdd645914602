/*
 * session: the copy in Redis, the row in PostgreSQL, and when the copy may be trusted.
 *
 * Who ends a session tells Redis after the commit and before the answer. Where Redis can't be
 * told, an old copy may lie there when it comes back; so the epoch, a number in PostgreSQL, goes
 * up, and copies of an earlier epoch count for nothing. It also goes up when Redis begins a new
 * life, since the last second before its end may be lost. A worker learns the epoch whenever it
 * has connected to Redis, before it trusts a copy heard there: so while Redis answers, a worker
 * that has not heard of the newest epoch can't have had a connection all along. A Redis that can
 * be read and takes no write (its disk full, a replica by now) ends everybody's connection for us,
 * to the same end. Where Redis is away for some and not for others, a worker that looks again each
 * second, and the event, are what tells it (session_repair).
 */
#include "session.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "db.h"
#include "kv.h"
#include "log.h"
#include "text.h"

#include "device.h"
#include "event.h"
#include "settings.h"

enum {
	WORD_SIZE = 24, /* of a record: any 64-bit number fits */
	LOOK_S = 1,
	LOOK_AFTER_FAILURE_S = 30, /* readers of copies must not wait for a PostgreSQL that hangs */
};

enum {
	LOAD,
	OF_USER,
	END_OF_USER,
	END_OTHERS,
	ENDED_BY,
	GIVEN_RIGHTS_BY,
	EPOCH,
	PRESENT,
	NEW_LIFE,
	NEW_EPOCH,
	LIST,
	END,
	WAS_ENDED
};

/* clang-format off */
static const struct db_stmt SQL[] = {
	[LOAD] = { "session_load",
		"SELECT s.id, " USER_COLUMNS " FROM sessions s JOIN users u ON u.id = s.user_id"
		" WHERE s.id = ANY ($1::bigint[]) AND s.ended_at IS NULL AND s.expires_at > now()"
		" AND u.status = 'active'", 1, false },
	[OF_USER] = { "session_of_user",
		"SELECT id FROM sessions WHERE user_id = $1::bigint AND ended_at IS NULL", 1, false },
	[END_OF_USER] = { "session_end_of_user",
		"UPDATE sessions SET ended_at = now() WHERE user_id = $1::bigint AND ended_at IS NULL"
		" RETURNING id", 1, true },
	[END_OTHERS] = { "session_end_others",
		"UPDATE sessions SET ended_at = now() WHERE user_id = $1::bigint AND ended_at IS NULL"
		" AND id <> $2::bigint RETURNING id", 2, true },
	/* A user's rows are gone with it; which they were is in its last event. */
	[ENDED_BY] = { "session_ended_by",
		"WITH e AS (SELECT * FROM events WHERE event_id = ANY ($1::uuid[]))"
		" SELECT sid::bigint FROM e, jsonb_array_elements_text(e.data -> 'sessions') sid"
		"  WHERE e.event_type = 'user_deleted'"
		" UNION SELECT s.id FROM e JOIN sessions s USING (user_id)"
		"  WHERE s.ended_at > now() - make_interval(secs => $2::bigint)", 2, false },
	[GIVEN_RIGHTS_BY] = { "session_given_rights_by",
		"SELECT s.id, " USER_COLUMNS " FROM sessions s JOIN users u ON u.id = s.user_id"
		" WHERE u.id IN (SELECT user_id FROM events WHERE event_id = ANY ($1::uuid[])"
		"  AND event_type = 'user_updated' AND data ?| '{role,status}')"
		" AND s.ended_at IS NULL AND s.expires_at > now() AND u.status = 'active'", 1, false },
	[EPOCH] = { "session_epoch",
		"SELECT epoch FROM session_epoch WHERE redis_life = $1", 1, false },
	[PRESENT] = { "session_present_epoch", "SELECT epoch FROM session_epoch", 0, false },
	[NEW_LIFE] = { "session_new_life",
		"UPDATE session_epoch SET epoch = epoch + (redis_life <> $1)::int, redis_life = $1"
		" RETURNING epoch", 1, true },
	[NEW_EPOCH] = { "session_new_epoch", "UPDATE session_epoch SET epoch = epoch + 1", 0, true },
	[LIST] = { "session_list",
		"SELECT id, user_agent, ip, created_at, last_used_at, expires_at, id = $2::bigint"
		" FROM sessions WHERE user_id = $1::bigint AND ended_at IS NULL AND expires_at > now()"
		" ORDER BY last_used_at DESC, id DESC LIMIT 1000", 2, false },
	/* $5 user, $6 scope, $7 the session that is this one, or the one */
	[END] = { "session_end",
		"WITH over AS (UPDATE sessions SET ended_at = now(), ended_attempt = $3"
		"  WHERE user_id = $5::bigint AND ended_at IS NULL AND expires_at > now() AND"
		"  CASE $6 WHEN 'all' THEN true WHEN 'others' THEN id <> $7::bigint ELSE id = $7::bigint END"
		"  RETURNING id, user_id), "
		"one AS (SELECT user_id, jsonb_agg(id ORDER BY id) AS ids FROM over GROUP BY user_id), "
		SQL_EVENT("user_logout", "one.user_id", "NULL::bigint",
			  "jsonb_build_object('scope', $6::text, 'sessions', one.ids)", "one")
		"SELECT id FROM over", 7, true },
	[WAS_ENDED] = { "session_was_ended",
		"SELECT id FROM sessions WHERE id = $1::bigint AND user_id = $2::bigint AND ended_at IS NOT NULL"
		" AND ($3::text IS NULL OR ended_attempt = $3)", 3, false },
};
/* clang-format on */
const struct db_set SESSION_STATEMENTS = { SQL, NELEM(SQL) };

struct id {
	int64_t id;
};

static const struct shape ID = SHAPE(struct id, { F(struct id, id), .use = 1 });

/* What this process goes by. No epoch is 0. */
static struct {
	int64_t epoch, connection; /* learned when Redis was connected to so often */
	int64_t look_us;	   /* when to look again though the connection is the same */
	bool known;		   /* ever learned */
} trust;

#define NO_CONNECTION INT64_C(-1)

#define ENDED_VERSION INT64_C(9007199254740991) /* newer than any: 2^53 - 1, exact in Lua */

static const char *
session_key(struct ctx *c, int64_t sid)
{
	return arena_printf(c->arena, "session:%lld", (long long)sid);
}

int
session_ask(struct ctx *c, int64_t sid)
{
	char key[40];

	snprintf(key, sizeof(key), "session:%lld", (long long)sid);
	return kv_ask(c->kv, key);
}

/* The next word of a record into `out`; false where it does not end with `end`, which is
 * passed over. */
static bool
next_word(const char **text, char end, char out[WORD_SIZE])
{
	size_t len = strcspn(*text, "\n ");

	if (len >= WORD_SIZE || (*text)[len] != end)
		return false;
	memcpy(out, *text, len);
	out[len] = '\0';
	*text += len + (end != '\0');
	return true;
}

static bool
next_number(const char **text, char end, int64_t *out_r)
{
	char digits[WORD_SIZE];

	return next_word(text, end, digits) && text_to_int(digits, out_r) && *out_r >= 1;
}

/* "version LF user_id role status epoch", or of an ended one "version LF"; text ends in NUL. */
enum heard
session_record_read(const char *text, size_t len, int64_t sid, struct session *out_r)
{
	char role[WORD_SIZE], status[WORD_SIZE];
	int64_t version, user_id, epoch;

	if (strlen(text) != len || !next_number(&text, '\n', &version))
		return HEARD_STALE;
	if (*text == '\0')
		return HEARD_GONE;
	if (!next_number(&text, ' ', &user_id) || !next_word(&text, ' ', role) ||
	    !next_word(&text, ' ', status) || !next_number(&text, '\0', &epoch) ||
	    !text_among(role, "user admin") || !text_among(status, "active inactive"))
		return HEARD_STALE;
	*out_r = (struct session){ .id = sid,
				   .epoch = epoch,
				   .user = { .id = user_id, .version = version } };
	out_r->user.role = strcmp(role, "admin") == 0 ? "admin" : "user";
	out_r->user.status = strcmp(status, "active") == 0 ? "active" : "inactive";
	return strcmp(status, "active") == 0 ? HEARD : HEARD_GONE;
}

/* A worker that has not reached PostgreSQL since it started trusts all copies: cached reads go on
 * without the truth, and nobody can end a session without it. What was ended before, and Redis not
 * told, it can't know. */
static bool
is_trusted(const struct session *s)
{
	return !trust.known || s->epoch == trust.epoch;
}

enum heard
session_heard(struct ctx *c, int slot, int64_t sid, struct session *out_r)
{
	size_t len;
	const char *text = kv_heard(c->kv, slot, &len);
	enum heard h = text == NULL ? MISSED : session_record_read(text, len, sid, out_r);

	return h == HEARD && !is_trusted(out_r) ? HEARD_STALE : h;
}

struct epoch {
	int64_t n;
};

static const struct shape EPOCH_ROW = SHAPE(struct epoch, { F(struct epoch, n), .use = 1 });

static void
look_again_in(int64_t seconds)
{
	trust.look_us = clock_read_us() + seconds * INT64_C(1000000);
}

/* Where PostgreSQL does not answer, what was known stays. */
static void
look_again(struct ctx *c)
{
	struct epoch epoch;
	enum err e;

	if (clock_mono_us() < trust.look_us)
		return;
	e = db_one(c->db, c->arena, &SQL[PRESENT], NULL, &EPOCH_ROW, 1, &epoch);
	if (e == OK)
		trust.epoch = epoch.n;
	look_again_in(e == OK ? LOOK_S : LOOK_AFTER_FAILURE_S);
}

void
session_learn_epoch(struct ctx *c)
{
	int64_t connection = kv_connection(c->kv);
	struct epoch epoch;
	enum err e;

	if (connection == trust.connection) {
		look_again(c);
		return;
	}
	e = db_one(c->db, c->arena, &SQL[EPOCH], ARGS(kv_life(c->kv)), &EPOCH_ROW, 1, &epoch);
	if (e == E_NOT_FOUND)
		e = db_one(c->db, c->arena, &SQL[NEW_LIFE], ARGS(kv_life(c->kv)), &EPOCH_ROW, 1,
			   &epoch);
	trust.epoch = e == OK ? epoch.n : 0;
	if (e != OK)
		return; /* asked again in the next turn */
	trust.known = true;
	trust.connection = connection;
	look_again_in(LOOK_S);
}

static int64_t
token_life_s(const struct ctx *c)
{
	return c->conf->jwt_expire_minutes * 60;
}

static struct kv_put
put_of_session(struct ctx *c, int64_t sid, const struct user *u)
{
	const char *value =
		arena_printf(c->arena, "%lld\n%lld %s %s %lld", (long long)u->version,
			     (long long)u->id, u->role, u->status, (long long)trust.epoch);

	return (struct kv_put){ .key = session_key(c, sid),
				.version = u->version,
				.value = value,
				.len = strlen(value),
				.ttl_s = token_life_s(c) };
}

static struct kv_put
put_of_end(struct ctx *c, int64_t sid)
{
	const char *value = arena_printf(c->arena, "%lld\n", (long long)ENDED_VERSION);

	return (struct kv_put){ .key = session_key(c, sid),
				.version = ENDED_VERSION,
				.value = value,
				.len = strlen(value),
				.ttl_s = token_life_s(c) };
}

const struct shape SESSION_ROW = SHAPE(struct session, SESSION_ROWS);

/* One that was heard would not have been loaded, unless it was stale: then the row takes its
 * place, though it may be of the same version. */
static void
keep(struct ctx *c, const struct session *s, const struct session_wanted *w)
{
	struct kv_put put = put_of_session(c, s->id, &s->user);

	put.version += w->stale;
	put.if_absent = !w->stale;
	kv_put_later(c->kv, &put);
}

enum err
session_load(struct ctx *c, const struct session_wanted *w, int n, struct session **rows_r,
	     int *found_r)
{
	int64_t *sids = arena_get(c->arena, (size_t)n * sizeof(*sids));
	enum err e;

	for (int i = 0; i < n; i++)
		sids[i] = w[i].id;
	e = db_many(c->db, c->arena, &SQL[LOAD], ARGS(db_array(c->arena, sids, n)), &SESSION_ROW, 1,
		    rows_r, found_r);
	for (int i = 0; e == OK && i < *found_r; i++) {
		int at = 0;

		while (at < n && w[at].id != (*rows_r)[i].id)
			at++;
		if (at < n)
			keep(c, &(*rows_r)[i], &w[at]);
	}
	return e;
}

/* Rows of one id each, as numbers. */
static struct session_ids
ids_of(struct ctx *c, const struct id *rows, int n)
{
	struct session_ids ids = { n, arena_get(c->arena, (size_t)n * sizeof(*ids.id) + 1) };

	for (int i = 0; i < n; i++)
		ids.id[i] = rows[i].id;
	return ids;
}

enum err
session_of_user(struct ctx *c, int64_t user_id, bool end, struct session_ids *out_r)
{
	struct id *rows;
	int n;
	enum err e = db_many(c->db, c->arena, &SQL[end ? END_OF_USER : OF_USER],
			     ARGS(db_int(c->arena, user_id)), &ID, 1, &rows, &n);

	if (e == OK)
		*out_r = ids_of(c, rows, n);
	return e;
}

enum err
session_end_others(struct ctx *c, int64_t user_id, int64_t but, struct session_ids *out_r)
{
	struct id *rows;
	enum err e = db_many(c->db, c->arena, &SQL[END_OTHERS],
			     ARGS(db_int(c->arena, user_id), db_int(c->arena, but)), &ID, 1, &rows,
			     &out_r->n);

	if (e == OK)
		*out_r = ids_of(c, rows, out_r->n);
	return e;
}

/* Redis must know it before anybody is answered. Where it can't be reached the epoch makes what
 * lies there worthless; and then once more, for who connected before the epoch was a new one. */
static void
tell(struct ctx *c, const struct kv_put *puts, int n)
{
	kv_insist(c->kv);
	if (kv_put(c->kv, puts, n) == OK)
		return;
	if (db_do(c->db, &SQL[NEW_EPOCH], ARGS(NULL), NULL) != OK)
		log_error(EV("session.not_told"), KI("sessions", n));
	trust.connection = NO_CONNECTION; /* ours may be the one that went on all along */
	kv_insist(c->kv);
	if (kv_put(c->kv, puts, n) == OK || kv_drop(c->kv, puts, n) == OK)
		return;
	log_warn(EV("session.told_by_epoch"), KI("sessions", n),
		 KS("felt", kv_part_all(c->kv) == OK ? "at once" : "within a second"));
}

/* One record for each session; `u` NULL: over. */
static struct kv_put *
puts_of(struct ctx *c, const struct session_ids *ids, const struct user *u)
{
	struct kv_put *puts = arena_get(c->arena, (size_t)ids->n * sizeof(*puts) + 1);

	for (int i = 0; i < ids->n; i++)
		puts[i] = u == NULL ? put_of_end(c, ids->id[i]) : put_of_session(c, ids->id[i], u);
	return puts;
}

static void
tell_all(struct ctx *c, const struct session_ids *ids, const struct user *u)
{
	if (ids->n > 0)
		tell(c, puts_of(c, ids, u), ids->n);
}

void
session_rights_changed(struct ctx *c, const struct session_ids *ids, const struct user *u)
{
	tell_all(c, ids, strcmp(u->status, "active") == 0 ? u : NULL);
}

void
session_gone(struct ctx *c, const struct session_ids *ids)
{
	tell_all(c, ids, NULL);
}

static enum err
repair_ended(struct ctx *c, const char *event_ids)
{
	struct session_ids ids;
	struct id *rows;
	int n;
	enum err e = db_many(c->db, c->arena, &SQL[ENDED_BY],
			     ARGS(event_ids, db_int(c->arena, token_life_s(c))), &ID, 1, &rows, &n);

	if (e != OK)
		return e;
	ids = ids_of(c, rows, n);
	return n == 0 ? OK : kv_put(c->kv, puts_of(c, &ids, NULL), n);
}

enum err
session_repair(struct ctx *c, const char *event_ids)
{
	struct session *rows;
	struct kv_put *puts;
	int n;
	enum err e = repair_ended(c, event_ids);

	if (e != OK)
		return e;
	e = db_many(c->db, c->arena, &SQL[GIVEN_RIGHTS_BY], ARGS(event_ids), &SESSION_ROW, 1, &rows,
		    &n);
	if (e != OK || n == 0)
		return e;
	puts = arena_get(c->arena, (size_t)n * sizeof(*puts));
	for (int i = 0; i < n; i++)
		puts[i] = put_of_session(c, rows[i].id, &rows[i].user);
	return kv_put(c->kv, puts, n);
}

/*
 * What a user does with its sessions
 */

/* clang-format off */
const struct shape SESSION_SEEN = SHAPE(struct session_seen,
	{ F(struct session_seen, id), .use = SHOWN | IN_ROW, .help = "its number" },
	{ F(struct session_seen, user_agent), .use = SHOWN | IN_ROW, .help = "what the program says of itself" },
	{ F(struct session_seen, ip), .use = SHOWN | IN_ROW, .help = "the address it was used from last" },
	{ .name = "created_at", .off = offsetof(struct session_seen, created_at), .kind = K_TIME,
	  .use = SHOWN | IN_ROW, .help = "when it began" },
	{ .name = "last_used_at", .off = offsetof(struct session_seen, last_used_at), .kind = K_TIME,
	  .use = SHOWN | IN_ROW, .help = "when its refresh token was used last" },
	{ .name = "expires_at", .off = offsetof(struct session_seen, expires_at), .kind = K_TIME,
	  .use = SHOWN | IN_ROW, .help = "when it ends if it is not used" },
	{ F(struct session_seen, current), .use = SHOWN | IN_ROW, .help = "is it the one that asks" },
	{ F(struct session_seen, device), .use = SHOWN, .help = "the program and the system, in short" });

const struct shape LOGOUT = SHAPE(struct logout,
	{ F(struct logout, scope), .use = 1, .def = "this", .choices = "this others all",
	  .help = "which sessions end" });
/* clang-format on */

enum err
session_list(struct ctx *c, struct session_seen **rows_r, int *n_r)
{
	enum err e = db_many(c->db, c->arena, &SQL[LIST],
			     ARGS(db_int(c->arena, c->actor), db_int(c->arena, c->session)),
			     &SESSION_SEEN, IN_ROW, rows_r, n_r);

	for (int i = 0; e == OK && i < *n_r; i++)
		(*rows_r)[i].device = device_of(c->arena, (*rows_r)[i].user_agent);
	return e;
}

static enum err
end(struct ctx *c, const char *scope, int64_t sid, int *n_r)
{
	struct id *rows;
	struct session_ids ids;
	enum err e = db_many(c->db, c->arena, &SQL[END],
			     ARGS(EVENT_ARGS(c), db_int(c->arena, c->actor), scope,
				  db_int(c->arena, sid)),
			     &ID, 1, &rows, n_r);

	if (e != OK || *n_r == 0)
		return e;
	ids = ids_of(c, rows, *n_r);
	session_gone(c, &ids);
	log_info(EV("session.ended"), KS("scope", scope), KI("sessions", *n_r));
	return OK;
}

enum err
session_log_out(struct ctx *c, const char *scope)
{
	int n;

	return end(c, scope, c->session, &n);
}

/* Is it one of the user's that is over, ended by `attempt_id` (NULL: by whomever)? */
static enum err
was_ended(struct ctx *c, int64_t sid, const char *attempt_id, enum err otherwise)
{
	struct id *rows;
	int n;
	enum err e = db_many(c->db, c->arena, &SQL[WAS_ENDED],
			     ARGS(db_int(c->arena, sid), db_int(c->arena, c->actor), attempt_id),
			     &ID, 1, &rows, &n);

	return e == OK && n == 0 ? otherwise : e;
}

enum err
session_end_one(struct ctx *c, int64_t sid)
{
	int n;
	enum err e = end(c, "one", sid, &n);

	return e != OK || n > 0 ? e : was_ended(c, sid, NULL, E_NO_SESSION);
}

enum err
session_was_ended_here(struct ctx *c, int64_t sid, enum err otherwise)
{
	return c->attempt_id == NULL ? otherwise : was_ended(c, sid, c->attempt_id, otherwise);
}
