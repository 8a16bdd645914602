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
 * gone with the connection. */
enum err outbox_claim(struct ctx *c) MUST_CHECK;

/* The oldest rows, at most `most`, in the arena. */
enum err outbox_oldest(struct ctx *c, int most, struct outbox_row **rows_r, int *n_r) MUST_CHECK;

/* Kafka has these: remove them. */
enum err outbox_done(struct ctx *c, const int64_t *seqs, int n) MUST_CHECK;

struct outbox_state {
	int64_t depth, oldest_ms; /* rows; age of the oldest event in it, 0 if empty */
};

enum err outbox_state(struct ctx *c, struct outbox_state *out_r) MUST_CHECK;

#endif
