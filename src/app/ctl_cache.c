/* ctl_cache: what the operator asks of Redis, and of users against their events. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "buf.h"
#include "doc.h"
#include "metric.h"
#include "service.h"
#include "text.h"

#include "behind.h"
#include "replay.h"
#include "stream.h"

#include "ctl.h"

enum {
	AT_ONCE = 500, /* users compared in one statement */
	LOOKS = 4, /* at a user that looks wrong: what changes meanwhile is not wrong for long */
	LOOK_AGAIN_MS = 250,
	TOLD_MOST = 50, /* lines about users that are wrong */
};

/*
 * cache
 */

int
ctl_cache_stats(struct tool *t)
{
	static const struct {
		enum metric m;
		const char *what;
	} ROWS[] = {
		{ METRIC_CACHE_HITS, "hits" },
		{ METRIC_CACHE_MISSES, "misses" },
		{ METRIC_CACHE_PUTS, "puts" },
		{ METRIC_CACHE_REFUSED, "puts refused for something newer" },
		{ METRIC_CACHE_REPAIRED, "repaired after events" },
		{ METRIC_CACHE_FAILURES, "failed round trips" },
		{ METRIC_BEHIND_TAKEN, "changes written behind" },
		{ METRIC_BEHIND_SYNC, "made at once instead" },
		{ METRIC_BEHIND_FLUSHED, "users flushed" },
		{ METRIC_BEHIND_DROPPED, "users gone before that" },
	};
	struct behind_state s;

	ctl_open_stores(t);
	metric_init(t->s.metrics_file);
	for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
		printf("%12" PRIu64 "  %s\n", metric_get(ROWS[i].m), ROWS[i].what);
	if (behind_state(&t->c, &s) != OK)
		return ctl_fail("cache stats", "Redis does not answer");
	printf("%12" PRId64 "  users with changes that wait, the first for %" PRId64 " ms\n",
	       s.depth, s.oldest_ms);
	return DONE;
}

int
ctl_cache_flush(struct tool *t)
{
	int64_t n;

	ctl_open_stores(t);
	if (user_cache_flush(&t->c, &n) != OK)
		return ctl_fail("cache flush", "Redis does not answer");
	printf("%lld cached users dropped\n", (long long)n);
	return DONE;
}

/* The number among the arguments, or 0. */
static int64_t
user_asked_for(const struct tool *t)
{
	int64_t id = 0;

	return t->argc > 0 && text_to_int(t->argv[0], &id) && id > 0 ? id : 0;
}

int
ctl_cache_get(struct tool *t)
{
	static const char *const WORDS[] = { [MISSED] = "nothing is cached",
					     [HEARD_STALE] = "marked as stale",
					     [HEARD_GONE] = "no such user" };
	int64_t id = user_asked_for(t);
	struct cached *r;
	struct owed *owed;

	if (id == 0)
		return ctl_fail("cache get", "wants a user's number"), WRONG_CALL;
	ctl_open_stores(t);
	if (user_cached(&t->c, &id, 1, &r) != OK || behind_read(&t->c, &id, 1, &owed) != OK)
		return ctl_fail("cache get", "Redis does not answer");
	if (r->heard == HEARD)
		printf("version %" PRId64 ", %" PRId64 " changes pending\n%.*s\n", r->page.version,
		       r->page.pending, (int)r->page.len, r->page.body);
	else
		puts(WORDS[r->heard]);
	if (owed->fields != NULL)
		printf("waits, as [stamp, ms, value]: %s\n", owed->fields);
	return DONE;
}

/*
 * events
 */

/* A row that its events don't explain is one: both are of one moment. Redis's record is of another. */
static bool
may_settle(const struct verified *v)
{
	return v->wrong == NULL && v->stale != NULL;
}

static enum err
look_again(struct tool *t, struct verified *v)
{
	struct verified *again;
	int n;
	enum err e = replay_verify(&t->c, v->user.id - 1, 1, &again, &n);

	if (e != OK)
		return e;
	if (n == 1 && again->user.id == v->user.id)
		*v = *again;
	else
		v->stale = NULL; /* it never was committed */
	return OK;
}

/* Look again at those that look stale, all after the same pause. */
static enum err
settle(struct tool *t, struct verified *v, int n)
{
	bool open = true;

	for (int look = 1; look < LOOKS && open; look++) {
		open = false;
		for (int i = 0; i < n; i++) {
			enum err e;

			if (!may_settle(&v[i]))
				continue;
			if (!open)
				service_pause(LOOK_AGAIN_MS);
			open = true;
			if ((e = look_again(t, &v[i])) != OK)
				return e;
		}
	}
	return OK;
}

struct tally {
	int64_t users, wrong, stale, waiting;
};

static void
count(struct tally *sum, const struct verified *v)
{
	sum->users++;
	sum->wrong += v->wrong != NULL;
	sum->stale += v->stale != NULL;
	sum->waiting += v->waits;
	if (sum->wrong + sum->stale > TOLD_MOST)
		return;
	if (v->wrong != NULL)
		printf("user %" PRId64 ": %s\n", v->user.id, v->wrong);
	if (v->stale != NULL)
		printf("user %" PRId64 ": %s\n", v->user.id, v->stale);
}

/* False, and says so: the event store has more than its readers see. */
static bool
all_are_seen(int64_t newest, int64_t next)
{
	if (newest < next)
		return true;
	printf("events of transactions up to %" PRId64 ", and the server is at %" PRId64 ": readers"
	       " do not see them. A dump was restored here (README, \"A dump\")\n",
	       newest, next);
	return false;
}

int
ctl_events_verify(struct tool *t)
{
	const char *from = ctl_option(t, "--from");
	struct tally sum = { 0 };
	int64_t after = 1, newest, next;
	bool seen;
	int n;

	if (from != NULL && (!text_to_int(from, &after) || after < 1))
		return ctl_fail("events verify", "ID is a number from 1"), WRONG_CALL;
	after--;
	ctl_open_stores(t);
	if (stream_txids(&t->c, &newest, &next) != OK)
		return ctl_fail("events verify", db_complaint(t->c.db));
	seen = all_are_seen(newest, next);
	do {
		struct arena *batch = arena_new(1024 * 1024);
		struct verified *v;
		enum err e;

		t->c.arena = batch;
		e = replay_verify(&t->c, after, AT_ONCE, &v, &n);
		if (e == OK)
			e = settle(t, v, n);
		for (int i = 0; e == OK && i < n; i++) {
			count(&sum, &v[i]);
			after = v[i].user.id;
		}
		t->c.arena = t->arena;
		arena_free(&batch);
		if (e != OK)
			return ctl_fail("events verify", db_complaint(t->c.db));
	} while (n == AT_ONCE);
	printf("%" PRId64 " users: %" PRId64 " differ from their events, %" PRId64
	       " from Redis; %" PRId64 " have changes that wait\n",
	       sum.users, sum.wrong, sum.stale, sum.waiting);
	return seen && sum.wrong + sum.stale == 0 ? DONE : FAILED;
}

int
ctl_events_replay(struct tool *t)
{
	const char *version = ctl_option(t, "--version"), *at = ctl_option(t, "--at");
	int64_t id = user_asked_for(t), n = NO_INT;
	struct user u;
	struct buf b;
	enum err e;

	if (id == 0 || (version != NULL && (!text_to_int(version, &n) || n < 1)))
		return ctl_fail("events replay", "wants a user's number; N is from 1"), WRONG_CALL;
	ctl_open_stores(t);
	e = replay_user(&t->c, id, n, at, &u);
	if (e == E_NOT_FOUND)
		return ctl_fail("events replay", "there was no such user then");
	if (e == E_INVALID)
		return ctl_fail("events replay", "TIME is like 2026-01-31T09:00:00Z"), WRONG_CALL;
	if (e != OK)
		return ctl_fail("events replay", db_complaint(t->c.db));
	if (n != NO_INT && u.version < n)
		return ctl_fail("events replay",
				arena_printf(t->arena, "the newest version%s is %" PRId64,
					     at == NULL ? "" : " then", u.version));
	b = buf_new(t->arena, 512);
	doc_print(&b, &USER, SHOWN, &u);
	printf("version %" PRId64 "\n%s\n", u.version, b.text);
	return DONE;
}
