/* behind: the scripts, the change in Redis, and the flush. */
#include "behind.h"

#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "doc.h"
#include "kv.h"
#include "log.h"
#include "metric.h"
#include "rnd.h"
#include "text.h"

#include "event.h"
#include "settings.h"

enum {
	TRIES = 5,	 /* of a change that others overtake */
	HOLD_MS = 15000, /* longer than a change may take: lock, statement, and their retries */
};

#define ENDLESS INT64_C(9007199254740991) /* a version newer than any: 2^53 - 1, exact in Lua */

enum { CLAIM, FLUSH };

/* clang-format off */
/* $1 what is owed, as behind_json makes it. Each user is a change like any other: its row, its
 * activity, its event. Who was flushed already is answered as it is, who is gone is not. */
static const struct db_stmt SQL[] = {
	[CLAIM] = { "behind_claim",
		"SELECT (EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
		"  AND classid = 7305 AND objid = 809 AND objsubid = 2 AND granted)"
		" OR pg_try_advisory_lock(7305, 809))::int", 0, false },
	[FLUSH] = { "behind_flush",
		"WITH x AS (SELECT * FROM " SQL_OWED("$1", "x") "), "
		"old AS (SELECT o.id AS user_id, o.behind, o.blind FROM users o"
		"  WHERE o.id IN (SELECT id FROM x) ORDER BY o.id FOR NO KEY UPDATE), "
		"due AS (SELECT x.*, " SQL_DUE("old", "x.fields") " AS d FROM old"
		"  JOIN x ON x.id = old.user_id WHERE x.stamp > old.behind), "
		"u AS (UPDATE users SET (updated_at" USER_INPUT(USER_COLUMN) USER_RIGHTS(USER_COLUMN) ")"
		"  = (SELECT now()" USER_INPUT(USER_COLUMN_OF_R) USER_RIGHTS(USER_COLUMN_OF_R)
		"     FROM jsonb_populate_record(users, due.d) r), behind = due.stamp"
		"  FROM due WHERE users.id = due.id"
		"  RETURNING users.*, due.d, due.event_id, due.request_id, due.traceparent), "
		SQL_ACTIVITY("user_updated", "사용자 정보 수정",
			     "jsonb_build_object('fields', (SELECT jsonb_agg(k) FROM jsonb_object_keys(d) k))",
			     "u")
		"e AS (INSERT INTO events (event_id, event_type, user_id, version, data, request_id, traceparent)"
		"  SELECT event_id, 'user_updated', id, version, d, request_id, traceparent FROM u RETURNING *),"
		SQL_OUTBOX
		"SELECT " USER_COLUMNS ", true FROM u UNION ALL SELECT " USER_COLUMNS ", false FROM users u"
		" WHERE u.id IN (SELECT id FROM x) AND NOT EXISTS (SELECT FROM due WHERE due.id = u.id)",
		1, true },
};
/* clang-format on */
const struct db_set BEHIND_STATEMENTS = { SQL, NELEM(SQL) };

/* KEYS: hashes. Answers of each the number of its words, then these. */
static const char READ[] = "local out = {} for i = 1, #KEYS do "
			   "local h = redis.call('HGETALL', KEYS[i]) out[#out + 1] = #h "
			   "for j = 1, #h do out[#out + 1] = h[j] end end return out";

/* KEYS: the user's hash, its hold. ARGV: token, ms. */
static const char HOLD[] = "redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2]) "
			   "local h = redis.call('HGETALL', KEYS[1]) local out = { #h } "
			   "for j = 1, #h do out[#out + 1] = h[j] end return out";
static const char LET_GO[] = "if redis.call('GET', KEYS[1]) == ARGV[1] then "
			     "redis.call('DEL', KEYS[1]) end return 1";

/* KEYS: the user's record and hash. Answers the record ('' for none) and the hash's words. */
static const char LOOK[] = "local out = redis.call('HGETALL', KEYS[2]) "
			   "table.insert(out, 1, redis.call('GET', KEYS[1]) or '') return out";

enum { CONFLICT, TAKEN, TOO_MANY, HELD };

/* KEYS: record, hash, who has such, hold. ARGV: version, pending and behind of the page that the
 * new record was made from; the record, its seconds; id; how many users may wait; request id,
 * trace; then names and values. Taken only where that page is still the newest. */
static const char CHANGE[] =
	"if redis.call('EXISTS', KEYS[4]) == 1 then return 3 end "
	"local v, p, b = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]) "
	"local last = tonumber(redis.call('HGET', KEYS[2], '_stamp') or '0') "
	"if math.max(last, b) ~= b + p then return 0 end " SCRIPT_HEAD
	"if n and (n > v or (n == v and q == math.huge)) then return 0 end "
	"if p == 0 and redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[7]) then return 2 end "
	"local t = redis.call('TIME') "
	"local ms = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)) "
	"local stamp = string.format('%.0f', b + p + 1) "
	"for i = 10, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i],"
	" '[' .. stamp .. ',' .. ms .. ',' .. ARGV[i + 1] .. ']') end "
	"redis.call('HSET', KEYS[2], '_stamp', stamp, '_request', ARGV[8], '_trace', ARGV[9]) "
	"redis.call('ZADD', KEYS[3], 'NX', ms, ARGV[6]) "
	"redis.call('SET', KEYS[1], ARGV[4], 'EX', ARGV[5]) return 1";

/* KEYS: who has such. ARGV: ms that they must have waited, how many. Answers of each id, the
 * number of its hash's words, and these. One without a hash is taken off. */
static const char TAKE[] =
	"local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
	"local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1]),"
	" 'LIMIT', 0, ARGV[2]) local out = {} "
	"for i = 1, #ids do local h = redis.call('HGETALL', 'dirty:' .. ids[i]) "
	"if #h == 0 then redis.call('ZREM', KEYS[1], ids[i]) else "
	"out[#out + 1] = ids[i] out[#out + 1] = #h "
	"for j = 1, #h do out[#out + 1] = h[j] end end end return out";

/* KEYS: who has such. Answers how many, and for how many ms the first. */
static const char STATE[] =
	"local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
	"local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES') "
	"return { redis.call('ZCARD', KEYS[1]), first[2] and math.max(0, now - first[2]) or 0 }";

static const char *
key_of(struct ctx *c, const char *prefix, int64_t id)
{
	return arena_printf(c->arena, "%s:%lld", prefix, (long long)id);
}

const char *
behind_key(struct ctx *c, int64_t id)
{
	return key_of(c, "dirty", id);
}

#define SCRIPT(text, keys, n_keys, args, n_args) \
	&(const struct kv_script)                \
	{                                        \
		text, keys, n_keys, args, n_args \
	}

/*
 * What is owed
 */

static const char *
word_or_null(const char *word)
{
	return *word == '\0' ? NULL : word;
}

/* The words of a user's hash. Members of ours begin with '_', the others are fields, whose values
 * the script has written as JSON. */
static void
read_hash(struct ctx *c, const char *const *word, int n, struct owed *o)
{
	struct buf b = buf_new(c->arena, 256);

	for (int i = 0; i + 1 < n; i += 2) {
		const char *name = word[i], *value = word[i + 1];

		if (strcmp(name, "_stamp") == 0 && !text_to_int(value, &o->stamp))
			o->stamp = 0;
		else if (strcmp(name, "_request") == 0)
			o->request_id = word_or_null(value);
		else if (strcmp(name, "_trace") == 0)
			o->traceparent = word_or_null(value);
		if (*name == '_')
			continue;
		buf_char(&b, b.len == 0 ? '{' : ',');
		buf_json(&b, name);
		buf_char(&b, ':');
		buf_text(&b, value);
	}
	if (b.len == 0)
		o->stamp = 0;
	else
		buf_char(&b, '}');
	o->fields = b.len == 0 ? NULL : b.text;
}

/* A hash's number of words and these, from *at on; how many are read. */
static int
read_counted(struct ctx *c, const char *const *word, int n, struct owed *o)
{
	int64_t words = 0;

	if (n < 1 || !text_to_int(word[0], &words) || words < 0 || words > n - 1)
		return n;
	read_hash(c, word + 1, (int)words, o);
	return 1 + (int)words;
}

void
behind_ask(struct ctx *c)
{
	kv_ask_size(c->kv, DIRTY_USERS);
}

bool
behind_any(struct ctx *c)
{
	return kv_size(c->kv) > 0;
}

bool
behind_none(struct ctx *c)
{
	return kv_size(c->kv) == 0;
}

static struct owed *
nothing_owed(struct ctx *c, const int64_t *ids, int n)
{
	struct owed *owed = arena_get(c->arena, (size_t)n * sizeof(*owed) + 1);

	for (int i = 0; i < n; i++)
		owed[i] = (struct owed){ .id = ids[i] };
	return owed;
}

enum err
behind_read(struct ctx *c, const int64_t *ids, int n, struct owed **owed_r)
{
	const char **keys = arena_get(c->arena, (size_t)n * sizeof(*keys) + 1), **word;
	int words, at = 0;
	enum err e;

	*owed_r = nothing_owed(c, ids, n);
	if (kv_size(c->kv) == NO_SIZE)
		return E_UNAVAILABLE;
	if (kv_size(c->kv) == 0)
		return OK;
	for (int i = 0; i < n; i++)
		keys[i] = behind_key(c, ids[i]);
	e = kv_run(c->kv, c->arena, SCRIPT(READ, keys, n, NULL, 0), &word, &words);
	for (int i = 0; e == OK && i < n; i++)
		at += read_counted(c, word + at, words - at, &(*owed_r)[i]);
	return e;
}

enum err
behind_hold(struct ctx *c, int64_t id, struct owed **owed_r, const char **hold_r)
{
	const char *token = event_new_id(c), **word;
	const char *const keys[] = { behind_key(c, id), key_of(c, "hold", id) };
	const char *const args[] = { token, arena_printf(c->arena, "%d", HOLD_MS) };
	int words;

	*owed_r = nothing_owed(c, &id, 1);
	*hold_r = NULL;
	if (kv_run(c->kv, c->arena, SCRIPT(HOLD, keys, 2, args, 2), &word, &words) != OK)
		return E_UNAVAILABLE;
	read_counted(c, word, words, *owed_r);
	*hold_r = token;
	return OK;
}

void
behind_let_go(struct ctx *c, int64_t id, const char *hold)
{
	const char *const keys[] = { key_of(c, "hold", id) };
	const char **word;
	int words;

	if (hold != NULL &&
	    kv_run(c->kv, c->arena, SCRIPT(LET_GO, keys, 1, &hold, 1), &word, &words) != OK)
		log_warn(EV("behind.not_let_go"), KI("user", id));
}

int64_t
behind_pending(const struct owed *o, const struct user *u)
{
	return o->stamp > u->behind ? o->stamp - u->behind : 0;
}

const char *
behind_json(struct ctx *c, const struct owed *owed, int n)
{
	struct buf b = buf_new(c->arena, (size_t)n * 256);
	bool any = false;

	buf_char(&b, '[');
	for (int i = 0; i < n; i++) {
		any = any || owed[i].stamp > 0;
		buf_printf(&b,
			   "%s{\"id\":%lld,\"stamp\":%lld,\"event_id\":\"%s\",\"fields\":%s,"
			   "\"request_id\":",
			   i > 0 ? "," : "", (long long)owed[i].id, (long long)owed[i].stamp,
			   event_new_id(c), owed[i].fields == NULL ? "null" : owed[i].fields);
		buf_json(&b, owed[i].request_id);
		buf_lit(&b, ",\"traceparent\":");
		buf_json(&b, owed[i].traceparent);
		buf_char(&b, '}');
	}
	buf_char(&b, ']');
	return any ? b.text : NULL;
}

/*
 * The change
 */

bool
behind_may(const struct user *in)
{
	for (const struct field *f = USER.field; f->name != NULL; f++) {
		if ((in->given.set >> (f - USER.field) & 1) != 0 && (f->use & BEHIND) == 0)
			return false;
	}
	return in->given.set != 0;
}

/* The newest page there is: the record, where it has all changes, else the row with them. */
static enum err
look(struct ctx *c, int64_t id, struct page *page_r)
{
	const char *const keys[] = { key_of(c, "user", id), behind_key(c, id) };
	const char **word;
	struct owed owed = { .id = id };
	struct wanted w = { .id = id, .stale = true };
	int words;
	enum err e = kv_run(c->kv, c->arena, SCRIPT(LOOK, keys, 2, NULL, 0), &word, &words);

	if (e != OK)
		return e;
	read_hash(c, (const char *const *)word + 1, words - 1, &owed);
	if (user_record_read(word[0], strlen(word[0]), id, page_r) == HEARD &&
	    (owed.stamp > page_r->behind ? owed.stamp : page_r->behind) ==
		    page_r->behind + page_r->pending)
		return OK;
	if ((e = user_load(c, &w, 1)) != OK)
		return e;
	*page_r = w.page;
	return w.found ? OK : E_NOT_FOUND;
}

/* `in` over the page's user, as the next page. */
static enum err
apply(struct ctx *c, const struct user *in, const struct page *old, struct page *page_r)
{
	struct faults faults = { 0 };
	struct user u;

	if (doc_pick(c->arena, &USER, SHOWN, old->body, old->len, &u, &faults) != OK)
		return log_fail(E_BUG, EV("cache.not_a_page"), KI("user", old->id));
	for (const struct field *f = USER.field; f->name != NULL; f++) {
		if ((in->given.set >> (f - USER.field) & 1) != 0)
			field_copy(f, &u, in);
	}
	u.id = old->id;
	u.version = old->version;
	u.behind = old->behind;
	user_page_print(c, &u, old->pending + 1, page_r);
	return OK;
}

static const char *
field_json(struct ctx *c, const struct field *f, const struct user *in)
{
	struct buf b = buf_new(c->arena, 64);

	field_print(&b, f, in);
	return b.text;
}

static const char *
text_or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

/* Offer the next page to Redis; how it ended, or an error. */
static enum err
offer(struct ctx *c, const struct user *in, const struct page *old, const struct page *new,
      int *end_r)
{
	enum { FIXED = 9 };
	const char *const keys[] = { key_of(c, "user", old->id), behind_key(c, old->id),
				     DIRTY_USERS, key_of(c, "hold", old->id) };
	int64_t ttl_s = user_record_ttl_s(c);
	const char *args[FIXED + 2 * 64] = { db_int(c->arena, old->version),
					     db_int(c->arena, old->pending),
					     db_int(c->arena, old->behind),
					     user_record_print(c, new),
					     db_int(c->arena, ttl_s < 60 ? 60 : ttl_s),
					     db_int(c->arena, old->id),
					     db_int(c->arena, c->conf->flush_backlog),
					     text_or_empty(c->request_id),
					     text_or_empty(c->traceparent) };
	const char **word;
	int n = FIXED, words;
	enum err e;

	for (const struct field *f = USER.field; f->name != NULL; f++) {
		if ((in->given.set >> (f - USER.field) & 1) == 0)
			continue;
		args[n++] = f->name;
		args[n++] = field_json(c, f, in);
	}
	e = kv_run(c->kv, c->arena, SCRIPT(CHANGE, keys, 4, args, n), &word, &words);
	*end_r = e == OK && words == 1 ? atoi(word[0]) : HELD;
	return e;
}

/* CONFLICT: others were faster each time. */
static enum err
take(struct ctx *c, int64_t id, const struct user *in, const struct page *heard,
     struct page *page_r, int *end_r)
{
	struct page old;
	enum err e;

	*end_r = CONFLICT;
	for (int try = 0; try < TRIES && *end_r == CONFLICT; try++) {
		if (try == 0 && heard != NULL)
			old = *heard;
		else if ((e = look(c, id, &old)) != OK)
			return e;
		if ((e = apply(c, in, &old, page_r)) != OK)
			return e;
		if (page_r->len == old.len && memcmp(page_r->body, old.body, old.len) == 0) {
			*page_r = old; /* it is so already */
			*end_r = TAKEN;
		} else if ((e = offer(c, in, &old, page_r, end_r)) != OK)
			return e;
	}
	return OK;
}

enum err
behind_change(struct ctx *c, int64_t id, const struct user *in, const struct page *page,
	      struct page *page_r, bool *behind_r)
{
	int end = HELD;
	enum err e = take(c, id, in, page, page_r, &end);

	*behind_r = e == OK && end == TAKEN;
	metric_add(*behind_r ? METRIC_BEHIND_TAKEN : METRIC_BEHIND_SYNC, 1);
	return *behind_r ? OK : user_change(c, id, in, NULL, page_r);
}

/*
 * The flush
 */

struct answer {
	int64_t yes;
};

static const struct shape ANSWER = SHAPE(struct answer, { F(struct answer, yes), .use = 1 });

static enum err
claim(struct ctx *c)
{
	struct answer a;
	enum err e = db_one(c->db, c->arena, &SQL[CLAIM], NULL, &ANSWER, 1, &a);

	return e != OK ? e : a.yes == 1 ? OK : E_BUSY;
}

static enum err
take_batch(struct ctx *c, int64_t age_ms, int most, struct owed **owed_r, int *n_r)
{
	const char *const key = DIRTY_USERS;
	const char *const args[] = { db_int(c->arena, age_ms), db_int(c->arena, most) };
	const char **word;
	int words;
	enum err e = kv_run(c->kv, c->arena, SCRIPT(TAKE, &key, 1, args, 2), &word, &words);

	*n_r = 0;
	*owed_r = arena_get(c->arena, (size_t)most * sizeof(**owed_r));
	for (int at = 0; e == OK && at + 1 < words && *n_r < most; (*n_r)++) {
		struct owed *o = &(*owed_r)[*n_r];

		*o = (struct owed){ 0 };
		if (!text_to_int(word[at], &o->id))
			o->id = 0; /* nobody's: dropped as of a user that is gone */
		at += 1 + read_counted(c, word + at + 1, words - at - 1, o);
	}
	return e;
}

/* Take off what belongs to nobody any more. */
static void
drop_gone(struct ctx *c, const struct owed *owed, int n, const struct user *rows, int found)
{
	for (int i = 0; i < n; i++) {
		bool there = false;

		for (int j = 0; j < found && !there; j++)
			there = rows[j].id == owed[i].id;
		if (there)
			continue;
		log_warn(EV("behind.dropped"), KI("user", owed[i].id));
		metric_add(METRIC_BEHIND_DROPPED, 1);
		user_unpublish(c, owed[i].id, ENDLESS);
	}
	ctx_settle(c);
}

static enum err
flush(struct ctx *c, const struct owed *owed, int n)
{
	const char *json = behind_json(c, owed, n);
	struct user *rows;
	int found;
	enum err e = db_many(c->db, c->arena, &SQL[FLUSH], ARGS(json == NULL ? "[]" : json), &USER,
			     IN_ROW | IN_CHANGED_ROW, &rows, &found);

	if (e != OK)
		return e;
	for (int i = 0; i < found; i++)
		metric_add(METRIC_BEHIND_FLUSHED, rows[i].changed ? 1 : 0);
	user_publish_all(c, rows, found);
	if (found < n)
		drop_gone(c, owed, n, rows, found);
	return OK;
}

static bool
is_passing(enum err e)
{
	return e == E_UNAVAILABLE || e == E_BUSY || e == E_UNCERTAIN;
}

enum err
behind_flush(struct ctx *c, int64_t age_ms, int most, int *n_r)
{
	struct owed *owed;
	enum err e;

	*n_r = 0;
	if ((e = claim(c)) != OK || (e = take_batch(c, age_ms, most, &owed, n_r)) != OK ||
	    *n_r == 0)
		return e;
	e = flush(c, owed, *n_r);
	if (e == OK || is_passing(e))
		return e;
	for (int i = 0; i < *n_r;
	     i++) { /* one that the database refuses must not stop the others */
		if ((e = flush(c, &owed[i], 1)) != OK && is_passing(e))
			return e;
		if (e != OK)
			log_error(EV("behind.refused"), KI("user", owed[i].id),
				  KS("why", err_row(e)->name));
	}
	return OK;
}

enum err
behind_state(struct ctx *c, struct behind_state *out_r)
{
	const char *const key = DIRTY_USERS;
	const char **word;
	int words;
	enum err e = kv_run(c->kv, c->arena, SCRIPT(STATE, &key, 1, NULL, 0), &word, &words);

	if (e == OK && (words != 2 || !text_to_int(word[0], &out_r->depth) ||
			!text_to_int(word[1], &out_r->oldest_ms)))
		e = E_UNAVAILABLE;
	return e;
}
