/*
 * bus: Kafka behind one small header: say, settle; hear, done. Its files alone know librdkafka.
 *
 * What is said reaches Kafka at least once and in order per key: the first message that
 * fails holds back all that were said after it, and what Kafka has is told tag by tag. What
 * is heard is heard again, by whoever has the partition then, until it is done. So a message
 * may come twice, also late: receivers know it by an id of its own.
 *
 * Kafka away costs waiting and nothing else: calls end within their wait, connections come
 * back alone, and a client that died for good (a fatal error) is replaced. librdkafka's
 * complaints go to our log, each distinct one once until there has been a minute's peace.
 *
 * Handles belong to one thread. Open them after the last fork and with signals blocked:
 * librdkafka has threads of its own, which inherit the mask and do not survive a fork.
 */
#ifndef BUS_H
#define BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "arena.h"
#include "err.h"

struct bus_out;
struct bus_in;

struct bus_conf {
	const char *servers;	 /* "host:port,host:port" */
	const char *client;	 /* our name in the brokers' logs */
	const char *compression; /* out: "zstd", "lz4" or "none"; NULL is lz4 */
	const char *group;	 /* in: the consumer group */
	const char *topic;	 /* in: what to hear */
};

struct bus_header {
	const char *name;
	const char *value; /* any bytes; NULL is null */
	size_t len;
};

/* A text header. */
#define BUS_HEADER(name, text) ((struct bus_header){ (name), (text), strlen(text) })

/* Texts that were heard end in NUL besides; texts to be said need not. */
struct bus_msg {
	const char *topic;
	const char *key; /* NULL is none: any partition */
	size_t key_len;
	const char *value; /* NULL is a tombstone */
	size_t value_len;
	const struct bus_header *headers;
	int n_headers;
	/* of what was heard; ignored in what is said */
	int32_t partition;
	int64_t offset;
	int64_t timestamp_ms; /* since 1970, set by who said it; -1 is unknown */
};

enum {
	BUS_MOST = 10000,	     /* messages that may wait for their reports at one time */
	BUS_BYTES = 8 * 1024 * 1024, /* of values, after which no further message is read at once */
};

/* What bus_settle learned. */
struct bus_receipt {
	const int64_t *acked; /* tags that Kafka has, since the last receipt; kept until the next */
	int n_acked;
	int waiting;	 /* how many are still on their way */
	int64_t refused; /* E_TOO_LARGE, E_INVALID, E_FORBIDDEN, E_NOT_FOUND: the first tag of the
			  * batch that Kafka refused; alone, it shows whether it is the one */
};

/* A producer: idempotent, all replicas acknowledge, partition by murmur2 of the key as in
 * Java. Never NULL; connects at first use. `conf` and its texts are kept by reference. */
struct bus_out *bus_out_open(const struct bus_conf *conf);

/* Ask Kafka about the topic, waiting at most wait_ms; without it the first message of a client
 * may wait a second. OK, E_NOT_FOUND (no such topic), E_INVALID (no name for one),
 * E_UNAVAILABLE: so it tells whether Kafka is there, too. */
enum err bus_warm(struct bus_out *o, const char *topic, int wait_ms) MUST_CHECK;

/* Queue one message, copied whole, known by the caller's `tag`; never waits. OK means queued
 * and no more. E_BUSY: settle first, then say it again (queue full, or the client died).
 * E_TOO_LARGE, E_INVALID, E_NOT_FOUND: this message can't be sent; nothing was queued, and the
 * others are not touched. E_UNAVAILABLE: no client can be made, logged. */
enum err bus_say(struct bus_out *o, const struct bus_msg *m, int64_t tag) MUST_CHECK;

/* Wait, at most wait_ms, for a report on every queued message; *r tells which Kafka has,
 * however the call ends:
 * OK             all of them; nothing is queued. Call it now and then when idle, too: it
 *                reads the library's news.
 * E_UNAVAILABLE  some are still waiting. They keep their places and go out once Kafka is
 *                back: settle again, and do not say them again.
 * E_BUSY         the client died and was replaced; say again what was not acknowledged.
 * E_TOO_LARGE, E_INVALID, E_FORBIDDEN, E_NOT_FOUND: Kafka refused r->refused for good. All
 *                that were not acknowledged were taken back; nothing is queued. */
enum err bus_settle(struct bus_out *o, int wait_ms, struct bus_receipt *r) MUST_CHECK;

/* Take back what waits (Kafka may have some of it all the same), free, and clear the caller's
 * pointer. Whoever loses the right to say closes, and opens anew when it is regained. */
void bus_out_close(struct bus_out **o);

/* For tests: let the client die of a fatal error. */
void bus_out_break(struct bus_out *o);

struct bus_batch {
	const struct bus_msg *msg; /* in order within a partition */
	int n;
	uint64_t turn; /* which assignment they were heard in */
};

struct bus_lag {
	const char *topic;
	int32_t partition;
	int64_t lag; /* messages there that are not done; -1 is unknown */
};

/* A member of a consumer group, which begins at the oldest message where the group has done
 * nothing yet. Never NULL; joins at first use. `conf` and its texts are kept by reference. */
struct bus_in *bus_in_open(const struct bus_conf *conf);

/* Up to `most` messages and BUS_BYTES, the last one above them: waits at most wait_ms for the first and not at all for the rest.
 * They and the array live in the arena. OK, perhaps with none; E_UNAVAILABLE, with none.
 * Call it at least every five minutes, or the group goes on without us. */
enum err bus_hear(struct bus_in *in, struct arena *a, int most, int wait_ms,
		  struct bus_batch *heard_r) MUST_CHECK;

/* The batch, or its first n (set b->n), is done for good, and so is all that was heard before it
 * in the same partitions: tell the group, and wait at most wait_ms until it knows. What is heard
 * and not done stays with the caller, who tries it again from the arena. E_STALE: the partitions went to another meanwhile, who hears it
 * again. E_UNAVAILABLE: not known; the next call, or giving up the partitions, tells it. */
enum err bus_done(struct bus_in *in, const struct bus_batch *b, int wait_ms) MUST_CHECK;

/* Where Kafka was lost: is it back, though there is nothing to hear? Waits, at most `wait_ms`. */
void bus_look_around(struct bus_in *in, int wait_ms);

/* The lag of each partition that is ours; an array of *n_r in the arena. Waits, at most
 * wait_ms, only for partitions where nothing was done yet. */
const struct bus_lag *bus_lag(struct bus_in *in, struct arena *a, int wait_ms, int *n_r);

/* Tell the group what is done, leave it, free, and clear the caller's pointer. Takes at most six
 * seconds; a client that does not end in that time is left behind to end with the process. */
void bus_in_close(struct bus_in **in);

/* A place in a topic. */
struct bus_place {
	int partition; /* -1: any */
	int64_t offset;
};

/* Read conf's topic without a group, from `at` on (from its beginning: { -1, 0 }) to where it ends
 * now: at most `most` messages and BUS_BYTES, the last one above them, in the arena, in order within
 * a partition; *more_r: there are more. OK, perhaps with none; E_NOT_FOUND (no such topic),
 * E_FORBIDDEN; E_UNAVAILABLE where it was not whole within wait_ms. */
enum err bus_look(const struct bus_conf *conf, struct arena *a, const struct bus_place *at,
		  int most, int wait_ms, struct bus_msg **msgs_r, int *n_r,
		  bool *more_r) MUST_CHECK;

/* Take out of conf's topic what lies before these `n` places. */
enum err bus_forget(const struct bus_conf *conf, const struct bus_place *before, int n,
		    int wait_ms) MUST_CHECK;

#endif
