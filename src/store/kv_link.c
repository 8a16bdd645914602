/* kv_link: the address, the connection, one round trip. */
#include "kv_link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "metric.h"
#include "rnd.h"
#include "text.h"

#include "life.h"

enum { BACKOFF_FIRST_MS = 20, BACKOFF_MOST_MS = 1000 };

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

void
kv_hang_up(struct kv *kv)
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
	kv_hang_up(*kv);
	explicit_bzero(&(*kv)->to, sizeof((*kv)->to));
	free(*kv);
	*kv = NULL;
}

/* Redis could not be used: leave it alone for a while that grows, and say so once. */
void
kv_back_off(struct kv *kv, const char *why)
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
	kv_hang_up(kv);
}

bool
kv_said(redisReply *r, int type)
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
		return kv_said(redisCommand(kv->c, "AUTH %s", to->password), REDIS_REPLY_STATUS);
	return kv_said(redisCommand(kv->c, "AUTH %s %s", to->user, to->password),
		       REDIS_REPLY_STATUS);
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
	    !kv_said(redisCommand(kv->c, "SELECT %d", kv->to.base), REDIS_REPLY_STATUS))
		return false;
	return ask_life(kv) && load_scripts(kv) && life_begin(kv->c);
}

bool
kv_connected(struct kv *kv)
{
	struct timeval wait = { kv->wait_ms / 1000, kv->wait_ms % 1000 * 1000 };

	if (kv->c != NULL && kv->c->err == 0 && !kv->script_lost)
		return true;
	kv_hang_up(kv);
	kv->tried_us = clock_read_us();
	if (kv->tried_us < kv->next_try_us)
		return false;
	kv->c = kv->to.is_path ? redisConnectUnixWithTimeout(kv->to.host, wait)
			       : redisConnectWithTimeout(kv->to.host, kv->to.port, wait);
	if (kv->c == NULL || kv->c->err != 0 || !begin(kv)) {
		kv_back_off(kv, kv->c == NULL || kv->c->err == 0 ? "refused us" : kv->c->errstr);
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
bool
kv_connected_for_writer(struct kv *kv)
{
	if (kv->failed_fast)
		kv->next_try_us = 0;
	return kv_connected(kv);
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
 * A round trip
 */

/* A round trip begins: it is given wait_ms in all, however slowly the bytes come. */
void
kv_begin_trip(struct kv *kv)
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
bool
kv_next_reply(struct kv *kv, redisReply **r)
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
void
kv_note_refusal(struct kv *kv, const redisReply *r)
{
	if (strncmp(r->str, "NOSCRIPT", 8) == 0)
		kv->script_lost = true;
	else
		log_warn(EV("redis.refused"), KS("why", r->str));
}

/* What became of a put: done, refused for something newer, or an error. */
void
kv_note_put(struct kv *kv, const redisReply *r)
{
	if (r->type == REDIS_REPLY_ERROR)
		kv_note_refusal(kv, r);
	if (r->type == REDIS_REPLY_INTEGER && r->integer == 0)
		metric_add(METRIC_CACHE_REFUSED, 1);
}

/* Read away the answers to puts that nobody waited for. */
bool
kv_collect_owed(struct kv *kv)
{
	redisReply *r;

	for (; kv->owed > 0; kv->owed--) {
		if (!kv_next_reply(kv, &r))
			return false;
		kv_note_put(kv, r);
		freeReplyObject(r);
	}
	return true;
}

/* A connection that was closed while nobody looked is worth one more try at once; one that
 * timed out is not. */
bool
kv_worth_another(const struct kv *kv)
{
	return kv->c->err == REDIS_ERR_EOF ||
	       (kv->c->err == REDIS_ERR_IO && errno != EAGAIN && errno != EWOULDBLOCK);
}

bool
kv_ready(struct kv *kv)
{
	/* one more try for a connection that died while nobody looked */
	for (int try = 0; try < 2 && kv_connected(kv); try++) {
		kv_begin_trip(kv);
		if (kv_collect_owed(kv) && kv_said(redisCommand(kv->c, "PING"), REDIS_REPLY_STATUS))
			return true;
		kv_hang_up(kv);
	}
	return false;
}
