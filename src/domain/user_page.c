/*
 * user_page: the pages of users in Redis.
 *
 * A record is `version[.pending][+behind] LF body`. No body: there is no such user. A '?':
 * there is one, but what was here is stale. `pending` counts the written-behind changes that
 * the body has and the version has not, `behind` those that had reached the version; both
 * are left out where they are 0. (version, pending) only grows, whoever puts.
 */
#include "user.h"

#include <stdio.h>
#include <string.h>

#include "db.h"
#include "doc.h"
#include "kv.h"
#include "log.h"
#include "metric.h"
#include "rnd.h"
#include "text.h"

#include "behind.h"
#include "settings.h"

enum { TOMBSTONE_S = 30, DIGITS_MOST = 19, HEAD_MOST = 62 };

#define STALE_MARK "?"
#define ANY_BEHIND "9007199254740991" /* 2^53 - 1: no change is left beside a record with it */

enum { LOAD, LOAD_BEHIND };

/* clang-format off */
static const struct db_stmt SQL[] = {
	[LOAD] = { "user_load",
		"SELECT " USER_COLUMNS " FROM users u WHERE u.id = ANY ($1::bigint[])", 1, false },
	/* $1 what is owed, as by behind_json */
	[LOAD_BEHIND] = { "user_load_behind",
		"SELECT " USER_COLUMNS " FROM " SQL_OWED("$1", "x") " JOIN users o ON o.id = x.id,"
		" LATERAL jsonb_populate_record(o, " SQL_DUE("o", "x.fields") ") u", 1, false },
};
const struct db_set USER_PAGE_STATEMENTS = { SQL, NELEM(SQL) };

/*
 * KEYS: the record, the user's written-behind changes, who has such. ARGV: version, value,
 * seconds; the page's pending; the row's behind, or '' where that is not known; the user's id.
 *
 * First what the row has, as its `behind` tells, is taken off the changes. Are there others than
 * the page has, then it is no page to go by: a mark is put in its place.
 */
static const char PUT_PAGE[] =
	"local v, p, b = tonumber(ARGV[1]), tonumber(ARGV[4]), tonumber(ARGV[5]) "
	"local value, ttl, owed, last = ARGV[2], tonumber(ARGV[3]), false, 0 "
	"local h = b and redis.call('HGETALL', KEYS[2]) or {} "
	"for i = 1, #h, 2 do "
	"  local stamp = tonumber(string.match(h[i + 1], '^%[(%d+),')) "
	"  if h[i] == '_stamp' then last = tonumber(h[i + 1]) "
	"  elseif string.sub(h[i], 1, 1) == '_' then "
	"  elseif stamp and stamp > b then owed = true "
	"  else redis.call('HDEL', KEYS[2], h[i]) end "
	"end "
	"if #h > 0 and not owed then redis.call('DEL', KEYS[2]) redis.call('ZREM', KEYS[3], ARGV[6]) end "
	"if p > 0 and not owed then return 0 end "
	"if owed and last ~= b + p then value = string.format('%.0f\\n?', v - 1) p = 0 end "
	"if owed and ttl < 60 then ttl = 60 end "
	SCRIPT_HEAD
	"if n and (n > v or (n == v and q >= p)) then return 0 end "
	"redis.call('SET', KEYS[1], value, 'EX', ttl) return 1";
/* clang-format on */

static const char *
user_key(struct ctx *c, int64_t id)
{
	return arena_printf(c->arena, "user:%lld", (long long)id);
}

/*
 * Records
 */

void
user_page_print(struct ctx *c, const struct user *u, int64_t pending, struct page *page_r)
{
	struct buf b = buf_new(c->arena, 384);

	doc_print(&b, &USER, SHOWN, u);
	*page_r = (struct page){ .id = u->id,
				 .version = u->version,
				 .pending = pending,
				 .behind = u->behind,
				 .body = b.text,
				 .len = b.len };
}

const char *
user_record_print(struct ctx *c, const struct page *p)
{
	struct buf b = buf_new(c->arena, p->len + HEAD_MOST + 2);

	buf_int(&b, p->version);
	if (p->pending > 0)
		buf_printf(&b, ".%lld", (long long)p->pending);
	if (p->behind > 0)
		buf_printf(&b, "+%lld", (long long)p->behind);
	buf_char(&b, '\n');
	buf_put(&b, p->body, p->len);
	return b.text;
}

/* Spread by a tenth either way, so that what was put together does not end together. */
int64_t
user_record_ttl_s(const struct ctx *c)
{
	int64_t ttl_s = c->conf->cache_ttl_seconds;
	uint32_t tenth = (uint32_t)(ttl_s / 10);

	return ttl_s - tenth + rnd_below(2 * tenth + 1);
}

static const struct kv_script *
put_page(struct ctx *c, int64_t id, int64_t pending, const char *behind)
{
	struct kv_script *s = arena_get(c->arena, sizeof(*s));
	const char **keys = arena_get(c->arena, 2 * sizeof(*keys));
	const char **args = arena_get(c->arena, 3 * sizeof(*args));

	keys[0] = behind_key(c, id);
	keys[1] = DIRTY_USERS;
	args[0] = db_int(c->arena, pending);
	args[1] = behind;
	args[2] = db_int(c->arena, id);
	*s = (struct kv_script){ PUT_PAGE, keys, 2, args, 3 };
	return s;
}

static struct kv_put
put_of_page(struct ctx *c, const struct page *p)
{
	const char *value = user_record_print(c, p);

	return (struct kv_put){
		.key = user_key(c, p->id),
		.version = p->version,
		.value = value,
		.len = strlen(value),
		.ttl_s = user_record_ttl_s(c),
		.by = put_page(c, p->id, p->pending, db_int(c->arena, p->behind)),
	};
}

/* A record without a page: gone, or stale. `version` is what a newer page must exceed. */
static struct kv_put
put_of_mark(struct ctx *c, int64_t id, int64_t version, int64_t floor, const char *mark,
	    const char *behind)
{
	const char *value = arena_printf(c->arena, "%lld\n%s", (long long)floor, mark);

	return (struct kv_put){ .key = user_key(c, id),
				.version = version,
				.value = value,
				.len = strlen(value),
				.ttl_s = TOMBSTONE_S,
				.by = put_page(c, id, 0, behind) };
}

/* The next number of a record's head, which ends before one of `ends`; it has no leading zero. */
static bool
head_number(const char **p, const char *ends, int64_t *out_r)
{
	char digits[DIGITS_MOST + 1];
	size_t len = strspn(*p, "0123456789");

	if (len == 0 || len > DIGITS_MOST || (*p)[len] == '\0' || strchr(ends, (*p)[len]) == NULL)
		return false;
	memcpy(digits, *p, len);
	digits[len] = '\0';
	*p += len;
	return text_to_int(digits, out_r);
}

/* "7", "7.2", "7.2+5", "7+5": a part that is there is at least 1. */
static bool
read_head(const char *head, struct page *out_r)
{
	if (!head_number(&head, ".+\n", &out_r->version))
		return false;
	if (*head == '.' &&
	    (head++, !head_number(&head, "+\n", &out_r->pending) || out_r->pending < 1))
		return false;
	if (*head == '+' &&
	    (head++, !head_number(&head, "\n", &out_r->behind) || out_r->behind < 1))
		return false;
	return true;
}

enum heard
user_record_read(const char *text, size_t len, int64_t id, struct page *page_r)
{
	const char *lf = memchr(text, '\n', len < HEAD_MOST ? len : HEAD_MOST);
	struct page p = { .id = id, .hit = true };

	if (lf == NULL || !read_head(text, &p) || memchr(text, '\0', (size_t)(lf - text)) != NULL)
		return HEARD_STALE;
	len -= (size_t)(lf + 1 - text);
	if (len == 0)
		return HEARD_GONE;
	if (lf[1] != '{' || lf[len] != '}')
		return HEARD_STALE; /* the mark, or nothing of ours */
	p.body = lf + 1;
	p.len = len;
	*page_r = p;
	return HEARD;
}

/*
 * Reading
 */

int
user_ask(struct ctx *c, int64_t id)
{
	char key[32];

	snprintf(key, sizeof(key), "user:%lld", (long long)id);
	return kv_ask(c->kv, key);
}

enum heard
user_heard(struct ctx *c, int slot, int64_t id, struct page *page_r)
{
	size_t len;
	const char *text = kv_heard(c->kv, slot, &len);
	enum heard h = text == NULL ? MISSED : user_record_read(text, len, id, page_r);

	metric_add(h == HEARD || h == HEARD_GONE ? METRIC_CACHE_HITS : METRIC_CACHE_MISSES, 1);
	return h;
}

static void
take_page(struct wanted *w, const struct page *page)
{
	w->page = *page;
	w->found = true;
}

static void
keep(struct ctx *c, struct wanted *w, const struct page *page)
{
	struct kv_put put = put_of_page(c, page);

	put.if_absent = !w->stale && page->pending == 0;
	kv_put_later(c->kv, &put);
}

void
user_page_keep(struct ctx *c, const struct user *u, struct wanted *w)
{
	struct page page;

	user_page_print(c, u, 0, &page);
	take_page(w, &page);
	if (behind_none(c))
		keep(c, w, &page);
}

static struct wanted *
wanted_with(struct wanted *w, int n, int64_t id)
{
	for (int i = 0; i < n; i++) {
		if (w[i].id == id)
			return &w[i];
	}
	return NULL;
}

/* "No such user" is remembered too, at version 0, which any creation exceeds. */
static void
keep_absence(struct ctx *c, int64_t id)
{
	struct kv_put put = put_of_mark(c, id, 0, 0, "", "");

	kv_put_later(c->kv, &put);
}

/* The rows with what they are owed applied. */
static enum err
load_rows(struct ctx *c, const int64_t *ids, const struct owed *owed, int n, struct user **rows_r,
	  int *n_r)
{
	const char *json = behind_json(c, owed, n);

	if (json == NULL)
		return db_many(c->db, c->arena, &SQL[LOAD], ARGS(db_array(c->arena, ids, n)), &USER,
			       IN_ROW, rows_r, n_r);
	return db_many(c->db, c->arena, &SQL[LOAD_BEHIND], ARGS(json), &USER, IN_ROW, rows_r, n_r);
}

/* Redis is asked for changes before PostgreSQL is asked for rows: a change that is flushed in
 * between is then in both, and applied once, and never in neither. */
enum err
user_load(struct ctx *c, struct wanted *w, int n)
{
	int64_t *ids = arena_get(c->arena, (size_t)n * sizeof(*ids));
	struct owed *owed;
	struct user *rows;
	bool known;
	int found;
	enum err e;

	for (int i = 0; i < n; i++)
		ids[i] = w[i].id;
	known = behind_read(c, ids, n, &owed) == OK;
	if ((e = load_rows(c, ids, owed, n, &rows, &found)) != OK)
		return e;
	for (int i = 0; i < found; i++) {
		struct wanted *one = wanted_with(w, n, rows[i].id);
		struct page page;

		if (one == NULL)
			continue;
		user_page_print(c, &rows[i], behind_pending(&owed[one - w], &rows[i]), &page);
		take_page(one, &page);
		if (known)
			keep(c, one, &page);
	}
	for (int i = 0; i < n; i++) {
		if (!w[i].found)
			keep_absence(c, w[i].id);
	}
	return OK;
}

/* Loaded anew, since Redis must be asked before PostgreSQL. One that is gone meanwhile stays as it
 * was when the list was made. */
enum err
user_refresh(struct ctx *c, struct user *rows, int n)
{
	int64_t *ids = arena_get(c->arena, (size_t)n * sizeof(*ids) + 1);
	struct owed *owed;
	struct user *fresh;
	int found;
	enum err e;

	if (n == 0 || !behind_any(c))
		return OK;
	for (int i = 0; i < n; i++)
		ids[i] = rows[i].id;
	if (behind_read(c, ids, n, &owed) != OK || behind_json(c, owed, n) == NULL)
		return OK;
	if ((e = load_rows(c, ids, owed, n, &fresh, &found)) != OK)
		return e;
	for (int i = 0; i < n; i++) {
		for (int j = 0; j < found; j++) {
			if (fresh[j].id != rows[i].id)
				continue;
			fresh[j].activities = rows[i].activities;
			rows[i] = fresh[j];
		}
	}
	return OK;
}

/* KEYS: records and changes, in turn. Answers of each pair the record, '' for none, and whether
 * there are changes. */
static const char CACHED[] = "local out = {} for i = 1, #KEYS, 2 do "
			     "out[i] = redis.call('GET', KEYS[i]) or '' "
			     "out[i + 1] = redis.call('EXISTS', KEYS[i + 1]) end return out";

enum err
user_cached(struct ctx *c, const int64_t *ids, int n, struct cached **out_r)
{
	const char **keys = arena_get(c->arena, 2 * (size_t)n * sizeof(*keys) + 1), **word;
	int words;
	enum err e;

	for (int i = 0; i < n; i++) {
		keys[2 * i] = user_key(c, ids[i]);
		keys[2 * i + 1] = behind_key(c, ids[i]);
	}
	e = kv_run(c->kv, c->arena, &(struct kv_script){ CACHED, keys, 2 * n, NULL, 0 }, &word,
		   &words);
	if (e != OK || words != 2 * n)
		return E_UNAVAILABLE;
	*out_r = arena_get(c->arena, (size_t)n * sizeof(**out_r) + 1);
	for (int i = 0; i < n; i++) {
		struct cached *r = &(*out_r)[i];

		r->record = word[2 * i];
		r->waits = *word[2 * i + 1] == '1';
		r->heard = *r->record == '\0' ? MISSED
					      : user_record_read(r->record, strlen(r->record),
								 ids[i], &r->page);
	}
	return OK;
}

/*
 * Writing
 */

static struct kv_put
put_of_change(struct ctx *c, const struct page *page)
{
	if (strcmp(c->conf->cache_write_strategy, "invalidate") != 0)
		return put_of_page(c, page);
	return put_of_mark(c, page->id, page->version, page->version - 1, STALE_MARK,
			   db_int(c->arena, page->behind));
}

void
user_publish(struct ctx *c, const struct user *u, struct page *page_r)
{
	struct kv_put put;

	user_page_print(c, u, 0, page_r);
	put = put_of_change(c, page_r);
	kv_put_soon(c->kv, &put);
}

void
user_publish_all(struct ctx *c, const struct user *u, int n)
{
	struct kv_put *puts = arena_get(c->arena, (size_t)n * sizeof(*puts) + 1);

	for (int i = 0; i < n; i++) {
		struct page page;

		user_page_print(c, &u[i], 0, &page);
		puts[i] = put_of_change(c, &page);
	}
	if (n > 0 && kv_put(c->kv, puts, n) != OK)
		log_warn(EV("cache.not_updated"), KI("pages", n));
}

void
user_unpublish(struct ctx *c, int64_t id, int64_t version)
{
	struct kv_put gone = put_of_mark(c, id, version, version, "", ANY_BEHIND);

	kv_put_soon(c->kv, &gone);
}

/* Where there is no page the mark is put all the same: a slow reader may be on its way with
 * an old one. */
enum err
user_repair(struct ctx *c, const struct stale *s, int n)
{
	struct kv_put *puts = arena_get(c->arena, (size_t)n * sizeof(*puts) + 1);
	enum err e;

	for (int i = 0; i < n; i++)
		puts[i] = s[i].gone ? put_of_mark(c, s[i].id, s[i].version, s[i].version, "",
						  ANY_BEHIND)
				    : put_of_mark(c, s[i].id, s[i].version, s[i].version - 1,
						  STALE_MARK, "");
	e = n == 0 ? OK : kv_put(c->kv, puts, n);
	if (e == OK)
		metric_add(METRIC_CACHE_REPAIRED, (uint64_t)n);
	return e;
}

/* A mark for each page, and not nothing: where there is nothing, a slow reader may put what it loaded
 * before a change whose page was just dropped. ARGV: the cursor of SCAN, seconds. */
static const char FLUSH[] =
	"local found, n = redis.call('SCAN', ARGV[1], 'MATCH', 'user:*', 'COUNT', 500), 0 "
	"for _, key in ipairs(found[2]) do "
	"  local string_there = redis.call('TYPE', key).ok == 'string' "
	"  local v = string_there and string.match(redis.call('GET', key), '^(%d+)[%d.+]*\\n{') "
	"  if v then "
	"    redis.call('SET', key, string.format('%.0f\\n" STALE_MARK
	"', tonumber(v) - 1), 'EX', ARGV[2]) "
	"    n = n + 1 "
	"  elseif not string_there then redis.call('UNLINK', key) end "
	"end "
	"return { found[1], n }";

enum err
user_cache_flush(struct ctx *c, int64_t *n_r)
{
	const char *cursor = "0", **word;
	int64_t some;
	int words;

	*n_r = 0;
	do {
		const char *args[] = { cursor, db_int(c->arena, TOMBSTONE_S) };
		enum err e = kv_run(c->kv, c->arena, &(struct kv_script){ FLUSH, NULL, 0, args, 2 },
				    &word, &words);

		if (e != OK)
			return e;
		if (words != 2 || !text_to_int(word[1], &some))
			return E_UNAVAILABLE;
		cursor = word[0];
		*n_r += some;
	} while (strcmp(cursor, "0") != 0);
	return OK;
}
