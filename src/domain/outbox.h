/*
 * outbox: the queue between a commit and Kafka, for whoever empties it.
 *
 * There is no cursor: a row that commits late is simply still there. One process empties
 * it at a time; the right to do so is an advisory lock of its database session.
 */
#ifndef OUTBOX_H
#define OUTBOX_H

#include "ctx.h"

struct db_set;
extern const struct db_set OUTBOX_STATEMENTS;

struct outbox_row {
	int64_t seq;
	const char *id, *key, *type, *payload;
	const char *request_id, *traceparent; /* or NULL */
};

/* Have, or get, the right to empty it. E_BUSY: another has it. Ask before each batch: it is
 * gone with the connection, which the server ends when it has heard nothing for ten seconds,
 * so that one that hangs does not keep the right. */
enum err outbox_claim(struct ctx *c) MUST_CHECK;

/* Is there anything in it? For whoever has nothing to do but to look. */
enum err outbox_is_empty(struct ctx *c, bool *empty_r) MUST_CHECK;

enum {
	OUTBOX_BYTES = 8 * 1024 * 1024, /* of payload, after which no further row is read at once */
	OUTBOX_COUNTED = 1000000,	/* rows; so many or more are not counted on */
};

/* The oldest rows, at most `most` and OUTBOX_BYTES, but one at least, in the arena; those of the `held` keys are passed over. */
enum err outbox_oldest(struct ctx *c, int most, const char *const *held, int n_held,
		       struct outbox_row **rows_r, int *n_r) MUST_CHECK;

/* Kafka has these: remove them. */
enum err outbox_done(struct ctx *c, const int64_t *seqs, int n) MUST_CHECK;

/* How much waits (OUTBOX_COUNTED is that many or more), and what has waited longest; texts NULL if
 * it is empty. */
struct outbox_state {
	int64_t depth, oldest_ms, seq;
	const char *key, *type, *id;
};

enum err outbox_state(struct ctx *c, struct outbox_state *out_r) MUST_CHECK;

#endif
