/* session: the record in Redis, the row in PostgreSQL. */
#include "session.h"

#include <stdio.h>
#include <string.h>

#include "db.h"
#include "kv.h"
#include "log.h"
#include "text.h"

#include "settings.h"

enum { WORD_SIZE = 24 }; /* of a record: any 64-bit number fits */

enum { LOAD, OF_USER, END_OF_USER, ENDED_BY, GIVEN_RIGHTS_BY };

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
};
/* clang-format on */
const struct db_set SESSION_STATEMENTS = { SQL, NELEM(SQL) };

struct id {
	int64_t id;
};

static const struct shape ID = SHAPE(struct id, { F(struct id, id), .use = 1 });

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

/* "version LF user_id role status", or of an ended one "version LF"; text ends in NUL. */
enum heard
session_record_read(const char *text, size_t len, int64_t sid, struct session *out_r)
{
	char role[WORD_SIZE], status[WORD_SIZE];
	int64_t version, user_id;

	if (strlen(text) != len || !next_number(&text, '\n', &version))
		return MISSED;
	if (*text == '\0')
		return HEARD_GONE;
	if (!next_number(&text, ' ', &user_id) || !next_word(&text, ' ', role) ||
	    !next_word(&text, '\0', status) || !text_among(role, "user admin") ||
	    !text_among(status, "active inactive"))
		return MISSED;
	*out_r = (struct session){ .id = sid, .user = { .id = user_id, .version = version } };
	out_r->user.role = strcmp(role, "admin") == 0 ? "admin" : "user";
	out_r->user.status = strcmp(status, "active") == 0 ? "active" : "inactive";
	return strcmp(status, "active") == 0 ? HEARD : HEARD_GONE;
}

enum heard
session_heard(struct ctx *c, int slot, int64_t sid, struct session *out_r)
{
	size_t len;
	const char *text = kv_heard(c->kv, slot, &len);

	return text == NULL ? MISSED : session_record_read(text, len, sid, out_r);
}

static int64_t
token_life_s(const struct ctx *c)
{
	return c->conf->jwt_expire_minutes * 60;
}

static struct kv_put
put_of_session(struct ctx *c, int64_t sid, const struct user *u)
{
	const char *value = arena_printf(c->arena, "%lld\n%lld %s %s", (long long)u->version,
					 (long long)u->id, u->role, u->status);

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

/* A row is the session's id and then the user's columns: read by a shape of both. */
/* clang-format off */
#define SESSION_USER_ROW(member_, kind_, ...) \
	{ .name = #member_, .off = offsetof(struct session, user.member_), .kind = K_##kind_, .use = 1 },

const struct shape SESSION_ROW = SHAPE(struct session,
	{ F(struct session, id), .use = 1 },
	{ .name = "user_id", .off = offsetof(struct session, user.id), .kind = K_INT, .use = 1 },
	USER_INPUT(SESSION_USER_ROW)
	USER_RIGHTS(SESSION_USER_ROW)
	USER_KEPT(SESSION_USER_ROW)
	{ .name = "version", .off = offsetof(struct session, user.version), .kind = K_INT, .use = 1 },
	{ .name = "behind", .off = offsetof(struct session, user.behind), .kind = K_INT, .use = 1 });
/* clang-format on */

enum err
session_load(struct ctx *c, const int64_t *sids, int n, struct session **rows_r, int *found_r)
{
	enum err e = db_many(c->db, c->arena, &SQL[LOAD], ARGS(db_array(c->arena, sids, n)),
			     &SESSION_ROW, 1, rows_r, found_r);

	for (int i = 0; e == OK && i < *found_r; i++) {
		struct session *s = &(*rows_r)[i];
		struct kv_put put = put_of_session(c, s->id, &s->user);

		put.if_absent = true; /* one that was there would have been heard */
		kv_put_later(c->kv, &put);
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
	enum err e = db_many(c->db, c->arena, &SQL[end ? END_OF_USER : OF_USER],
			     ARGS(db_int(c->arena, user_id)), &ID, 1, &rows, &out_r->n);

	if (e == OK)
		*out_r = ids_of(c, rows, out_r->n);
	return e;
}

/* Put one record for each session; `u` NULL: over. */
static enum err
put_all(struct ctx *c, const struct session_ids *ids, const struct user *u)
{
	struct kv_put *puts = arena_get(c->arena, (size_t)ids->n * sizeof(*puts) + 1);

	if (ids->n == 0)
		return OK;
	for (int i = 0; i < ids->n; i++)
		puts[i] = u == NULL ? put_of_end(c, ids->id[i]) : put_of_session(c, ids->id[i], u);
	return kv_put(c->kv, puts, ids->n);
}

/* After the commit: the event repairs what Redis does not hear. */
static void
tell_all(struct ctx *c, const struct session_ids *ids, const struct user *u)
{
	if (put_all(c, ids, u) != OK)
		log_error(EV("session.not_updated"), KI("sessions", ids->n));
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
	return put_all(c, &ids, NULL);
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
