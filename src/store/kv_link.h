/*
 * kv_link: the connection to Redis, and what a round trip over it is made of; for the files of kv
 * only.
 *
 * hiredis keeps answers in order and a context dead after its first error, which suits us: no
 * answer of an earlier request can be taken for a later one.
 */
#ifndef KV_LINK_H
#define KV_LINK_H

#include <hiredis/hiredis.h>

#include "kv.h"

enum { ASKED_MOST = 512, KEY_SIZE = 40 };

enum { PUT, RATE, SCRIPTS }; /* what Redis is taught on every connection */

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
	int64_t connections,
		heard_on; /* heard_on: the one of this turn's trip; 0: there was no trip, -1: it failed */
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

/* Is there a connection that can be used, or can one be made now? False while Redis is left alone. */
bool kv_connected(struct kv *kv);

/* The same for who has committed a change: a Redis that is not told of it leaves an old page to
 * those who reach it already, so there is no waiting for the next try where trying costs nothing. */
bool kv_connected_for_writer(struct kv *kv);

/* Let the connection go; or besides leave Redis alone for a while that grows, and say so once. */
void kv_hang_up(struct kv *kv);
void kv_back_off(struct kv *kv, const char *why);

/* A round trip begins: it is given wait_ms in all, however slowly the bytes come. */
void kv_begin_trip(struct kv *kv);

/* The next answer, in the trip's time. The caller frees it. */
bool kv_next_reply(struct kv *kv, redisReply **r);

/* Read away the answers to puts that nobody waited for. */
bool kv_collect_owed(struct kv *kv);

/* What became of a put: done, refused for something newer, or an error; and of what else was
 * refused. Redis forgets scripts when told to; the next use of the connection begins it afresh. */
void kv_note_put(struct kv *kv, const redisReply *r);
void kv_note_refusal(struct kv *kv, const redisReply *r);

/* A connection that was closed while nobody looked is worth one more try at once; one that timed
 * out is not. */
bool kv_worth_another(const struct kv *kv);

/* Is the answer of this type? Frees it. */
bool kv_said(redisReply *r, int type);

#endif
