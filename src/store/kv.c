/*
 * kv: one connection, one pipeline. Long, because all that knows hiredis is here.
 *
 * hiredis keeps answers in order and a context dead after its first error, which suits
 * us: no answer of an earlier request can be taken for a later one.
 */
#include "kv.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <hiredis/hiredis.h>

#include "clock.h"
#include "log.h"
#include "metric.h"
#include "rnd.h"
#include "text.h"

#include "life.h"

enum {
	ASKED_MOST = 512,
	WORDS_MOST = 16, /* of a put */
	KEY_SIZE = 40,
	BACKOFF_FIRST_MS = 20,
	BACKOFF_MOST_MS = 1000,
};

enum { PUT, RATE, SCRIPTS };

struct address {
	char host[256], password[256], user[64];
	int port, base;
	bool is_path; /* host is a socket's path */
};

struct kv {
	struct address to;
	int wait_ms;
	int64_t slow_us;
	redisContext *c;
	char sha[SCRIPTS][41]; /* the scripts, as Redis knows them on this connection */
	int owed;	       /* answers to puts that nobody waits for */
	int64_t connections;
	char life[41]; /* Redis's run_id */
	bool script_lost;
	int64_t deadline_us; /* of the round trip under way */
	bool away;	     /* said once, until it is back */
	int64_t backoff_ms, next_try_us, tried_us;
	bool failed_fast; /* the last time: no time-out; trying costs little */
	int n_soon;
	bool soon_lost;
	struct kv_put soon[KV_SOON_MOST];
	int asked;
	redisReply *heard;
	struct kv_rate *rates, **rates_end; /* asked for, in this order */
	const char *sized;		    /* the set whose size is asked for */
	int64_t size;
	char key[ASKED_MOST][KEY_SIZE];
};

static const char *const SCRIPT[SCRIPTS] = {
	/* KEYS[1]; ARGV: version, value, seconds. A record without a version is older than any. */
	[PUT] = "local head = redis.call('GETRANGE', KEYS[1], 0, 20) "
		"local old = tonumber(string.match(head, '^(%d+)\\n')) "
		"if old and old >= tonumber(ARGV[1]) then return 0 end "
		"redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) return 1",
	/* KEYS[1]; ARGV: count, seconds. What lies there is when, in microseconds of Redis's
	 * clock, all that has come will have been worked off at the steady rate. Answers: too
	 * many? how many are left; ms until one may come, and until all may. */
	[RATE] = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2] "
		 "local step = math.floor(ARGV[2] * 1000000 / ARGV[1]) "
		 "local span = step * ARGV[1] "
		 "local due = tonumber(redis.call('GET', KEYS[1])) or now "
		 "if due < now or due > now + span then due = now end "
		 "local many = due + step > now + span and 1 or 0 "
		 "if many == 0 then due = due + step "
		 "redis.call('SET', KEYS[1], string.format('%.0f', due),"
		 " 'PX', math.ceil((due - now) / 1000)) end "
		 "local wait = due + step - now - span if wait < 0 then wait = 0 end "
		 "return { many, math.floor((now + span - due) / step),"
		 " math.ceil(wait / 1000), math.ceil((due - now) / 1000) }",
};

/*
 * The address
 */

static bool
copied(char *to, size_t size, const char *from, size_t len)
{
	if (len >= size)
		return false;
	memcpy(to, from, len);
	to[len] = '\0';
	return true;
}

static bool
parse_login(struct address *to, const char *from, const char *end)
{
	const char *colon = memchr(from, ':', (size_t)(end - from));

	if (colon == NULL)
		return false;
	return copied(to->user, sizeof(to->user), from, (size_t)(colon - from)) &&
	       copied(to->password, sizeof(to->password), colon + 1, (size_t)(end - colon - 1));
}

static bool
parse_number(const char *text, size_t len, int most, int *out_r)
{
	char digits[8];
	int64_t n;

	if (!copied(digits, sizeof(digits), text, len) || !text_to_int(digits, &n) || n < 0 ||
	    n > most)
		return false;
	*out_r = (int)n;
	return true;
}

static bool
parse_host(struct address *to, const char *p)
{
	const char *at = strrchr(p, '@'), *slash, *colon;
	size_t len;

	if (at != NULL && !parse_login(to, p, at))
		return false;
	p = at == NULL ? p : at + 1;
	slash = strchr(p, '/');
	len = slash == NULL ? strlen(p) : (size_t)(slash - p);
	colon = memchr(p, ':', len);
	if (slash != NULL && slash[1] != '\0' &&
	    !parse_number(slash + 1, strlen(slash + 1), 9999, &to->base))
		return false;
	if (colon != NULL &&
	    !parse_number(colon + 1, len - (size_t)(colon + 1 - p), 65535, &to->port))
		return false;
	len = colon == NULL ? len : (size_t)(colon - p);
	return len > 0 && copied(to->host, sizeof(to->host), p, len);
}

static bool
parse_url(struct address *to, const char *url)
{
	*to = (struct address){ .port = 6379 };
	if (strncmp(url, "unix://", 7) == 0) {
		to->is_path = true;
		return url[7] == '/' &&
		       copied(to->host, sizeof(to->host), url + 7, strlen(url + 7));
	}
	return strncmp(url, "redis://", 8) == 0 && parse_host(to, url + 8);
}

bool
kv_url_is_good(const char *url)
{
	struct address to;
	bool good = parse_url(&to, url);

	explicit_bzero(&to, sizeof(to));
	return good;
}

/*
 * The connection
 */

struct kv *
kv_open(const char *url, int wait_ms, int64_t slow_us)
{
	struct kv *kv = must_alloc(sizeof(*kv));

	memset(kv, 0, sizeof(*kv));
	kv->rates_end = &kv->rates;
	kv->size = NOT_SIZED;
	kv->wait_ms = wait_ms;
	kv->slow_us = slow_us;
	if (!parse_url(&kv->to, url))
		abort(); /* the settings were checked by kv_url_is_good */
	return kv;
}

static void
hang_up(struct kv *kv)
{
	if (kv->c != NULL)
		redisFree(kv->c);
	kv->c = NULL;
	kv->owed = 0;
	kv->script_lost = false;
}

void
kv_close(struct kv **kv)
{
	if (*kv == NULL)
		return;
	kv_turn_over(*kv);
	hang_up(*kv);
	explicit_bzero(&(*kv)->to, sizeof((*kv)->to));
	free(*kv);
	*kv = NULL;
}

/* Redis could not be used: leave it alone for a while that grows, and say so once. */
static void
back_off(struct kv *kv, const char *why)
{
	int64_t ms = kv->backoff_ms * 2;

	metric_add(METRIC_CACHE_FAILURES, 1);
	if (!kv->away)
		log_warn(EV("redis.unreachable"), KS("why", why));
	kv->away = true;
	kv->backoff_ms = ms < BACKOFF_FIRST_MS	? BACKOFF_FIRST_MS
			 : ms > BACKOFF_MOST_MS ? BACKOFF_MOST_MS
						: ms;
	ms = kv->backoff_ms / 2 + rnd_below((uint32_t)kv->backoff_ms / 2 + 1);
	kv->next_try_us = clock_read_us() + ms * 1000;
	kv->failed_fast = clock_read_us() - kv->tried_us < kv->wait_ms * INT64_C(500);
	hang_up(kv);
}

static bool
said(redisReply *r, int type)
{
	bool good = r != NULL && r->type == type;

	freeReplyObject(r);
	return good;
}

static bool
log_in_there(struct kv *kv)
{
	const struct address *to = &kv->to;

	if (*to->password == '\0')
		return true;
	if (*to->user == '\0')
		return said(redisCommand(kv->c, "AUTH %s", to->password), REDIS_REPLY_STATUS);
	return said(redisCommand(kv->c, "AUTH %s %s", to->user, to->password), REDIS_REPLY_STATUS);
}

static bool
load_scripts(struct kv *kv)
{
	bool good = true;

	for (int i = 0; i < SCRIPTS && good; i++) {
		redisReply *r = redisCommand(kv->c, "SCRIPT LOAD %s", SCRIPT[i]);

		good = r != NULL && r->type == REDIS_REPLY_STRING && r->len == 40;
		if (good)
			memcpy(kv->sha[i], r->str, 41);
		freeReplyObject(r);
	}
	return good;
}

/* Redis names each of its lives anew (run_id); one that does not say has no name. */
static bool
ask_life(struct kv *kv)
{
	redisReply *r = redisCommand(kv->c, "INFO server");
	const char *at =
		r != NULL && r->type == REDIS_REPLY_STRING ? strstr(r->str, "run_id:") : NULL;

	memset(kv->life, 0, sizeof(kv->life));
	if (at != NULL && strcspn(at + 7, "\r\n") < sizeof(kv->life))
		memcpy(kv->life, at + 7, strcspn(at + 7, "\r\n"));
	freeReplyObject(r);
	return r != NULL;
}

/* All that a connection needs, after every connect: hiredis restores none of it. */
static bool
begin(struct kv *kv)
{
	struct timeval wait = { kv->wait_ms / 1000, kv->wait_ms % 1000 * 1000 };

	if (redisSetTimeout(kv->c, wait) != REDIS_OK || !log_in_there(kv))
		return false;
	kv->c->reader->maxbuf = 0; /* keep the reader's buffer between turns */
	if (kv->to.base != 0 &&
	    !said(redisCommand(kv->c, "SELECT %d", kv->to.base), REDIS_REPLY_STATUS))
		return false;
	return ask_life(kv) && load_scripts(kv) && life_begin(kv->c);
}

static bool
connected(struct kv *kv)
{
	struct timeval wait = { kv->wait_ms / 1000, kv->wait_ms % 1000 * 1000 };

	if (kv->c != NULL && kv->c->err == 0 && !kv->script_lost)
		return true;
	hang_up(kv);
	kv->tried_us = clock_read_us();
	if (kv->tried_us < kv->next_try_us)
		return false;
	kv->c = kv->to.is_path ? redisConnectUnixWithTimeout(kv->to.host, wait)
			       : redisConnectWithTimeout(kv->to.host, kv->to.port, wait);
	if (kv->c == NULL || kv->c->err != 0 || !begin(kv)) {
		back_off(kv, kv->c == NULL || kv->c->err == 0 ? "refused us" : kv->c->errstr);
		return false;
	}
	if (kv->away)
		log_warn(EV("redis.back"));
	kv->away = false;
	kv->backoff_ms = 0;
	kv->connections++;
	return true;
}

/* A change that Redis is not told of leaves an old page to those who reach it already. So who has
 * committed one does not wait for the next try, where trying costs nothing. */
static bool
connected_for_writer(struct kv *kv)
{
	if (kv->failed_fast)
		kv->next_try_us = 0;
	return connected(kv);
}

int64_t
kv_connection(const struct kv *kv)
{
	return kv->connections;
}

const char *
kv_life(const struct kv *kv)
{
	return kv->life;
}

void
kv_insist(struct kv *kv)
{
	kv->next_try_us = 0;
}

/*
 * Reading
 */

int
kv_ask(struct kv *kv, const char *key)
{
	size_t len = strlen(key);

	if (kv->asked == ASKED_MOST || len >= KEY_SIZE)
		return -1;
	memcpy(kv->key[kv->asked], key, len + 1);
	return kv->asked++;
}

void
kv_ask_rate(struct kv *kv, struct kv_rate *r)
{
	r->heard = false;
	r->next = NULL;
	*kv->rates_end = r;
	kv->rates_end = &r->next;
}

void
kv_ask_size(struct kv *kv, const char *key)
{
	kv->sized = key;
	kv->size = NO_SIZE;
}

int64_t
kv_size(const struct kv *kv)
{
	return kv->size;
}

static void
forget_rates(struct kv *kv)
{
	kv->rates = NULL;
	kv->rates_end = &kv->rates;
}

/* A round trip begins: it is given wait_ms in all, however slowly the bytes come. */
static void
begin_trip(struct kv *kv)
{
	kv->tried_us = clock_read_us();
	kv->deadline_us = clock_read_us() + kv->wait_ms * INT64_C(1000);
}

static bool
wait_for_bytes(struct kv *kv)
{
	int64_t left_ms = (kv->deadline_us - clock_read_us()) / 1000;
	struct pollfd p = { .fd = kv->c->fd, .events = POLLIN };

	if (left_ms > 0 && poll(&p, 1, (int)left_ms) != 0)
		return redisBufferRead(kv->c) == REDIS_OK;
	kv->c->err = REDIS_ERR_IO;
	snprintf(kv->c->errstr, sizeof(kv->c->errstr), "no answer in time");
	errno = EAGAIN;
	return false;
}

/* The next answer, in the trip's time. */
static bool
next_reply(struct kv *kv, redisReply **r)
{
	int sent = 0;

	while (!sent) {
		if (redisBufferWrite(kv->c, &sent) != REDIS_OK)
			return false;
	}
	for (;;) {
		if (redisGetReplyFromReader(kv->c, (void **)r) != REDIS_OK)
			return false;
		if (*r != NULL)
			return true;
		if (!wait_for_bytes(kv))
			return false;
	}
}

/* Redis forgets scripts when told to; the next use of the connection begins it afresh. */
static void
note_refusal(struct kv *kv, const redisReply *r)
{
	if (strncmp(r->str, "NOSCRIPT", 8) == 0)
		kv->script_lost = true;
	else
		log_warn(EV("redis.refused"), KS("why", r->str));
}

/* What became of a put: done, refused for something newer, or an error. */
static void
note_put(struct kv *kv, const redisReply *r)
{
	if (r->type == REDIS_REPLY_ERROR)
		note_refusal(kv, r);
	if (r->type == REDIS_REPLY_INTEGER && r->integer == 0)
		metric_add(METRIC_CACHE_REFUSED, 1);
}

/* Read away the answers to puts that nobody waited for. */
static bool
collect_owed(struct kv *kv)
{
	redisReply *r;

	for (; kv->owed > 0; kv->owed--) {
		if (!next_reply(kv, &r))
			return false;
		note_put(kv, r);
		freeReplyObject(r);
	}
	return true;
}

bool
kv_ready(struct kv *kv)
{
	/* one more try for a connection that died while nobody looked */
	for (int try = 0; try < 2 && connected(kv); try++) {
		begin_trip(kv);
		if (collect_owed(kv) && said(redisCommand(kv->c, "PING"), REDIS_REPLY_STATUS))
			return true;
		hang_up(kv);
	}
	return false;
}

static bool
append_mget(struct kv *kv)
{
	static const char *argv[ASKED_MOST + 1] = { "MGET" };

	for (int i = 0; i < kv->asked; i++)
		argv[i + 1] = kv->key[i];
	return redisAppendCommandArgv(kv->c, kv->asked + 1, argv, NULL) == REDIS_OK;
}

static bool
append_rate(struct kv *kv, const struct kv_rate *r)
{
	char count[24], seconds[24];
	const char *argv[] = { "EVALSHA", kv->sha[RATE], "1", r->key, count, seconds };

	snprintf(count, sizeof(count), "%lld", (long long)r->count);
	snprintf(seconds, sizeof(seconds), "%lld", (long long)r->seconds);
	return redisAppendCommandArgv(kv->c, NELEM(argv), argv, NULL) == REDIS_OK;
}

static bool
append_rates(struct kv *kv)
{
	for (const struct kv_rate *r = kv->rates; r != NULL; r = r->next) {
		if (!append_rate(kv, r))
			return false;
	}
	return true;
}

static bool
four_numbers(const redisReply *r)
{
	if (r->type != REDIS_REPLY_ARRAY || r->elements != 4)
		return false;
	for (size_t i = 0; i < 4; i++) {
		if (r->element[i]->type != REDIS_REPLY_INTEGER)
			return false;
	}
	return true;
}

static void
take_rate(struct kv *kv, struct kv_rate *rate, const redisReply *r)
{
	if (r->type == REDIS_REPLY_ERROR)
		note_refusal(kv, r);
	if (!four_numbers(r))
		return;
	rate->heard = true;
	rate->too_many = r->element[0]->integer != 0;
	rate->left = r->element[1]->integer;
	rate->wait_ms = r->element[2]->integer;
	rate->rest_ms = r->element[3]->integer;
}

static bool
hear_rates(struct kv *kv)
{
	redisReply *r;

	for (struct kv_rate *rate = kv->rates; rate != NULL; rate = rate->next) {
		if (!next_reply(kv, &r))
			return false;
		take_rate(kv, rate, r);
		freeReplyObject(r);
	}
	return true;
}

static bool
hear_keys(struct kv *kv)
{
	redisReply *r;

	if (kv->asked == 0)
		return true;
	if (!next_reply(kv, &r))
		return false;
	if (r->type == REDIS_REPLY_ARRAY && r->elements == (size_t)kv->asked) {
		kv->heard = r;
		return true;
	}
	log_warn(EV("redis.answered_oddly"),
		 KS("why", r->type == REDIS_REPLY_ERROR ? r->str : "?"));
	freeReplyObject(r);
	kv->c->err = REDIS_ERR_OTHER;
	return false;
}

static bool
append_size(struct kv *kv)
{
	const char *argv[] = { "ZCARD", kv->sized };

	return kv->sized == NULL || redisAppendCommandArgv(kv->c, 2, argv, NULL) == REDIS_OK;
}

static bool
hear_size(struct kv *kv)
{
	redisReply *r;

	if (kv->sized == NULL)
		return true;
	if (!next_reply(kv, &r))
		return false;
	if (r->type == REDIS_REPLY_INTEGER)
		kv->size = r->integer;
	freeReplyObject(r);
	return true;
}

static bool
hear_once(struct kv *kv)
{
	freeReplyObject(kv->heard); /* of a first try */
	kv->heard = NULL;
	begin_trip(kv);
	return append_size(kv) && (kv->asked == 0 || append_mget(kv)) && append_rates(kv) &&
	       collect_owed(kv) && hear_size(kv) && hear_keys(kv) && hear_rates(kv);
}

static bool
hear_rates_once(struct kv *kv)
{
	begin_trip(kv);
	return append_rates(kv) && collect_owed(kv) && hear_rates(kv);
}

/* A connection that was closed while nobody looked is worth one more try at once; one that
 * timed out is not. */
static bool
worth_another(const struct kv *kv)
{
	return kv->c->err == REDIS_ERR_EOF ||
	       (kv->c->err == REDIS_ERR_IO && errno != EAGAIN && errno != EWOULDBLOCK);
}

/* Where Redis had lost the scripts, rates were not counted: once more, on a new connection. */
static void
trip(struct kv *kv, bool (*once)(struct kv *kv))
{
	for (int try = 0; try < 2 && connected(kv); try++) {
		bool again;

		if (once(kv)) {
			if (!kv->script_lost || kv->rates == NULL)
				return;
			continue;
		}
		again = worth_another(kv);
		if (again && try == 0)
			hang_up(kv);
		else
			back_off(kv, kv->c->errstr);
	}
}

void
kv_hear(struct kv *kv)
{
	int64_t from, took;

	if (kv->asked == 0 && kv->rates == NULL) {
		kv->size = NOT_SIZED; /* not worth a trip of its own */
		return;
	}
	from = clock_read_us();
	trip(kv, hear_once);
	took = clock_read_us() - from;
	if (kv->slow_us > 0 && took > kv->slow_us)
		log_warn(EV("redis.was_slow"), KI("keys", kv->asked), KMS("ms", took));
	forget_rates(kv);
}

void
kv_rate(struct kv *kv, struct kv_rate *r)
{
	forget_rates(kv);
	kv_ask_rate(kv, r);
	trip(kv, hear_rates_once);
	forget_rates(kv);
}

const char *
kv_heard(const struct kv *kv, int slot, size_t *len_r)
{
	const redisReply *r;

	if (kv->heard == NULL || slot < 0 || (size_t)slot >= kv->heard->elements)
		return NULL;
	r = kv->heard->element[slot];
	if (r->type != REDIS_REPLY_STRING)
		return NULL;
	*len_r = r->len;
	return r->str;
}

void
kv_turn_over(struct kv *kv)
{
	int done = 0;

	freeReplyObject(kv->heard);
	kv->heard = NULL;
	kv->asked = 0;
	kv->sized = NULL;
	kv->size = NOT_SIZED;
	forget_rates(kv);
	while (kv->owed > 0 && kv->c != NULL && !done) {
		if (redisBufferWrite(kv->c, &done) != REDIS_OK)
			back_off(kv, kv->c->errstr);
	}
}

/*
 * Writing
 */

/* One of the words is the value, which may hold any byte. */
static bool
append_words(struct kv *kv, const char **argv, int n, int value, size_t value_len)
{
	size_t len[WORDS_MOST];

	assert(n <= WORDS_MOST);
	for (int i = 0; i < n; i++)
		len[i] = i == value ? value_len : strlen(argv[i]);
	metric_add(METRIC_CACHE_PUTS, 1);
	return redisAppendCommandArgv(kv->c, n, argv, len) == REDIS_OK;
}

/* A word list for redisAppendCommandArgv, of at most WORDS_MOST words. */
struct words {
	const char *word[WORDS_MOST];
	int n;
};

static void
add_words(struct words *w, const char *const *words, int n)
{
	assert(w->n + n <= WORDS_MOST);
	for (int i = 0; i < n; i++)
		w->word[w->n++] = words[i];
}

static bool
append_put_by(struct kv *kv, const struct kv_put *p, const char *version, const char *ttl)
{
	char n_keys[12];
	struct words w = { { "EVAL", p->by->text, n_keys, p->key }, 4 };

	snprintf(n_keys, sizeof(n_keys), "%d", 1 + p->by->n_keys);
	add_words(&w, p->by->keys, p->by->n_keys);
	add_words(&w, (const char *const[]){ version, p->value, ttl }, 3);
	add_words(&w, p->by->args, p->by->n_args);
	return append_words(kv, w.word, w.n, 5 + p->by->n_keys, p->len);
}

static bool
append_put(struct kv *kv, const struct kv_put *p)
{
	char version[24], ttl[24];
	const char *newer[] = { "EVALSHA", kv->sha[PUT], "1", p->key, version, p->value, ttl };
	const char *first[] = { "SET", p->key, p->value, "EX", ttl, "NX" };

	snprintf(version, sizeof(version), "%lld", (long long)p->version);
	snprintf(ttl, sizeof(ttl), "%lld", (long long)p->ttl_s);
	if (p->if_absent)
		return append_words(kv, first, NELEM(first), 2, p->len);
	return p->by != NULL ? append_put_by(kv, p, version, ttl)
			     : append_words(kv, newer, NELEM(newer), 5, p->len);
}

void
kv_put_later(struct kv *kv, const struct kv_put *p)
{
	if (connected(kv) && append_put(kv, p))
		kv->owed++;
}

enum put_end { PUT_DONE, PUT_REFUSED, PUT_BROKEN };

/* All puts went out; read the answers. One that Redis refuses (another type at the key, no
 * memory, a read-only replica) says nothing against the connection. */
static enum put_end
collect_puts(struct kv *kv, int n)
{
	enum put_end end = PUT_DONE;
	redisReply *r;

	if (!collect_owed(kv))
		return PUT_BROKEN;
	for (int i = 0; i < n; i++) {
		if (!next_reply(kv, &r))
			return PUT_BROKEN;
		note_put(kv, r);
		end = r->type == REDIS_REPLY_ERROR ? PUT_REFUSED : end;
		freeReplyObject(r);
	}
	return end;
}

static enum put_end
put_once(struct kv *kv, const struct kv_put *puts, int n)
{
	begin_trip(kv);
	for (int i = 0; i < n; i++) {
		if (!append_put(kv, &puts[i]))
			return PUT_BROKEN;
	}
	return collect_puts(kv, n);
}

enum err
kv_put(struct kv *kv, const struct kv_put *puts, int n)
{
	/* Twice: the connection may have died while idle, or Redis have lost the script. A put
	 * that was done already is refused the second time, which is as good. */
	for (int try = 0; try < 2 && connected_for_writer(kv); try++) {
		enum put_end end = put_once(kv, puts, n);

		if (end == PUT_DONE)
			return OK;
		if (end == PUT_REFUSED && !kv->script_lost)
			return E_UNAVAILABLE;
		if (end == PUT_BROKEN && (try > 0 || !worth_another(kv)))
			back_off(kv, kv->c->errstr);
		else
			hang_up(kv);
	}
	return E_UNAVAILABLE;
}

int
kv_unsettled(const struct kv *kv)
{
	return kv->n_soon;
}

enum err
kv_settle(struct kv *kv)
{
	bool lost = kv->soon_lost;
	enum err e = kv->n_soon == 0 ? OK : kv_put(kv, kv->soon, kv->n_soon);

	kv->n_soon = 0;
	kv->soon_lost = false;
	return lost ? E_UNAVAILABLE : e;
}

void
kv_put_soon(struct kv *kv, const struct kv_put *p)
{
	if (kv->n_soon == KV_SOON_MOST)
		kv->soon_lost = kv_settle(kv) != OK;
	kv->soon[kv->n_soon++] = *p;
}

/*
 * Scripts of the caller's
 */

static bool
append_script(struct kv *kv, struct arena *a, const struct kv_script *s)
{
	int n = 3 + s->n_keys + s->n_args;
	const char **argv = arena_get(a, (size_t)n * sizeof(*argv));

	argv[0] = "EVAL";
	argv[1] = s->text;
	argv[2] = arena_printf(a, "%d", s->n_keys);
	for (int i = 0; i < s->n_keys; i++)
		argv[3 + i] = s->keys[i];
	for (int i = 0; i < s->n_args; i++)
		argv[3 + s->n_keys + i] = s->args[i];
	return redisAppendCommandArgv(kv->c, n, argv, NULL) == REDIS_OK;
}

static const char *
word_of(struct arena *a, const redisReply *r)
{
	if (r->type == REDIS_REPLY_INTEGER)
		return arena_printf(a, "%lld", r->integer);
	return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS
		       ? arena_textn(a, r->str, r->len)
		       : "";
}

static void
words_of(struct arena *a, const redisReply *r, const char ***words_r, int *n_r)
{
	bool list = r->type == REDIS_REPLY_ARRAY;

	*n_r = list ? (int)r->elements : 1;
	*words_r = arena_get(a, (size_t)*n_r * sizeof(**words_r) + 1);
	for (int i = 0; i < *n_r; i++)
		(*words_r)[i] = word_of(a, list ? r->element[i] : r);
}

enum err
kv_run(struct kv *kv, struct arena *a, const struct kv_script *s, const char ***words_r, int *n_r)
{
	redisReply *r;

	*n_r = 0;
	for (int try = 0; try < 2 && connected(kv); try++) {
		begin_trip(kv);
		if (append_script(kv, a, s) && collect_owed(kv) && next_reply(kv, &r)) {
			enum err e = r->type == REDIS_REPLY_ERROR ? E_UNAVAILABLE : OK;

			if (e != OK)
				note_refusal(kv, r);
			else
				words_of(a, r, words_r, n_r);
			freeReplyObject(r);
			return e;
		}
		if (try > 0 || !worth_another(kv))
			back_off(kv, kv->c->errstr);
		else
			hang_up(kv);
	}
	return E_UNAVAILABLE;
}

enum err
kv_drop(struct kv *kv, const struct kv_put *puts, int n)
{
	bool good = connected(kv);

	if (!good)
		return E_UNAVAILABLE;
	begin_trip(kv);
	good = collect_owed(kv);
	for (int i = 0; good && i < n; i++)
		good = said(redisCommand(kv->c, "DEL %s", puts[i].key), REDIS_REPLY_INTEGER);
	if (!good)
		hang_up(kv);
	return good ? OK : E_UNAVAILABLE;
}

enum err
kv_forget_all(struct kv *kv, const char *prefix, int64_t *n_r)
{
	long long n = 0;
	bool good = kv_ready(kv) && life_forget(kv->c, prefix, &n);

	*n_r = n;
	return good ? OK : E_UNAVAILABLE;
}
