/*
 * kv: Redis behind one small header; the only file to know hiredis.
 *
 * Reading has two halves, so that one round trip serves all requests of a turn: keys are
 * asked for, then heard together. Writing keeps the newer version: a record begins with
 * its version and a line feed, and a put whose version is not greater than what lies
 * there is refused by Redis itself. Redis may help; it may not hurt: when it is away,
 * late or talks nonsense, every key is a miss and nothing is counted, and it is left alone for
 * a moment before it is tried again, so that it costs one time-out and not one a request.
 */
#ifndef KV_H
#define KV_H

#include "err.h"
#include "arena.h"

#include <stdint.h>

struct kv;

/* Is `url` one we understand: redis://[user:pw@]host:port/db, redis://host or unix://path? */
bool kv_url_is_good(const char *url);

/* The handle; connects at first use. Never NULL. `url` is kept. A wait is at most wait_ms; a
 * round trip of a turn slower than slow_us is logged (0: none). */
struct kv *kv_open(const char *url, int wait_ms, int64_t slow_us);
void kv_close(struct kv **kv);

/* Can Redis be reached now? Asks it. */
bool kv_ready(struct kv *kv);

/* How many connections there have been. After a new one Redis may lack what was put before, and
 * what could not be put in between. */
int64_t kv_connection(const struct kv *kv);

/* Redis's name for its present life (run_id), as it said on the newest connection: another name,
 * and it was restarted, or is another Redis. "" where it does not say. */
const char *kv_life(const struct kv *kv);

/* The next use tries to connect at once, however long Redis has been away. */
void kv_insist(struct kv *kv);

/* Ask for a key in this turn's round trip; the slot to listen at. */
int kv_ask(struct kv *kv, const char *key);

/* Something that happens too often, or not: the generic cell rate algorithm, counted by Redis
 * and by its clock. `count` at once, then one each seconds / count. */
struct kv_rate {
	const char *key;
	int64_t count, seconds;

	/* the answer */
	bool heard;	      /* false: not asked yet, or Redis is away and nobody has counted */
	bool too_many;	      /* it was refused, and not counted */
	int64_t left;	      /* how many more may come now */
	int64_t wait_ms;      /* until the next may come; 0: now */
	int64_t rest_ms;      /* until `count` may come at once again */
	struct kv_rate *next; /* kv's own */
};

/* Count in this turn's round trip; *r is the caller's, must live until kv_hear has returned,
 * and is answered then. Where the connection breaks halfway it may be counted twice. */
void kv_ask_rate(struct kv *kv, struct kv_rate *r);

/* Ask in this turn's round trip how many members the sorted set `key` (kept by reference) has. */
void kv_ask_size(struct kv *kv, const char *key);

/* What it has, as of this turn's round trip. NOT_SIZED: nobody asked. NO_SIZE: Redis is away. */
#define NOT_SIZED INT64_C(-1)
#define NO_SIZE INT64_C(-2)
int64_t kv_size(const struct kv *kv);

/* The round trip: one write, one read, for all that was asked. */
void kv_hear(struct kv *kv);

/* Count now, in a round trip of its own: for what is known only after kv_hear. */
void kv_rate(struct kv *kv, struct kv_rate *r);

/* What came back: the text (its length in *len_r), alive until kv_turn_over; NULL for a
 * miss, an unknown slot, or Redis away. */
const char *kv_heard(const struct kv *kv, int slot, size_t *len_r);

/* The turn is over: what was put later is sent, what was heard is gone. */
void kv_turn_over(struct kv *kv);

/* A script of the caller's: Redis runs it whole, or not at all. */
struct kv_script {
	const char *text;
	const char *const *keys;
	int n_keys;
	const char *const *args;
	int n_args;
};

/* Run it now. Its answer as texts in the arena: the elements of an array, or the one thing that
 * it is. E_UNAVAILABLE, also for what Redis refuses. Where the connection broke halfway it may
 * be run twice. */
enum err kv_run(struct kv *kv, struct arena *a, const struct kv_script *s, const char ***words_r,
		int *n_r) MUST_CHECK;

/* A record to put: refused by Redis unless what lies at the key is older than `version`. */
struct kv_put {
	const char *key;
	int64_t version;
	const char *value; /* begins with a version and LF */
	size_t len;
	int64_t ttl_s;
	bool if_absent; /* only where there is nothing: cheaper, for who saw that there was nothing */
	/* Another rule than the one above: its KEYS are the key and its own, its ARGV version,
	 * value, ttl_s and its own; it answers 0 where it refuses. NULL: none. */
	const struct kv_script *by;
};

/* Put with the end of the turn, not waited for: for what a reader loaded after this turn's round trip;
 * left out where the connection is not that one's any more. */
void kv_put_later(struct kv *kv, const struct kv_put *p);

/* Put now; returns when Redis has said yes or "I have a newer one": for what a writer
 * committed. E_UNAVAILABLE when that can't be said. */
enum err kv_put(struct kv *kv, const struct kv_put *puts, int n) MUST_CHECK;

enum { KV_SOON_MOST = 8 };

/* Put with the next kv_settle, together with others: for what a writer committed and has not
 * answered yet. What it points at must live until then; with KV_SOON_MOST waiting it settles
 * itself first. */
void kv_put_soon(struct kv *kv, const struct kv_put *p);

/* How many wait to be settled. */
int kv_unsettled(const struct kv *kv);

/* As kv_put, for all that wait; E_UNAVAILABLE too where an earlier one of them was lost. */
enum err kv_settle(struct kv *kv) MUST_CHECK;

/* Remove these keys, whatever lies there: for a Redis that is too full to take a put. */
enum err kv_drop(struct kv *kv, const struct kv_put *puts, int n) MUST_CHECK;

/* End all connections of Redis's clients, our own too: so that each of them has to begin a new one
 * before it reads again. For who can put nothing there and must be heard all the same. */
enum err kv_part_all(struct kv *kv) MUST_CHECK;

#endif
