/*
 * effect: what follows from an event, once.
 *
 * A table says by type what follows: a settings row, a mail, a count. The effects of a
 * batch and the ids of its events commit together; an id that is there already is a
 * duplicate and has no effect.
 */
#ifndef EFFECT_H
#define EFFECT_H

#include "ctx.h"

struct db_set;
extern const struct db_set EFFECT_STATEMENTS;

/* An event as it was heard. */
struct incoming {
	const char *event_id, *event_type, *timestamp;
	int64_t user_id, version; /* NO_INT: none */
};

/* Read one message's value. E_INVALID, with *why_r, for what is no event of ours. */
enum err effect_decode(struct arena *a, const char *value, size_t len, struct incoming *out_r,
		       const char **why_r) MUST_CHECK;

/* All effects of the batch in one statement; then the day's counts go to Redis. *fresh_r: how
 * many of them were new. */
enum err effect_apply(struct ctx *c, const struct incoming *ev, int n, int *fresh_r) MUST_CHECK;

/* Nothing in Redis may be older than the batch's events: pages that are get a mark, sessions what
 * they are now. With Redis or PostgreSQL away E_UNAVAILABLE; nothing is lost, the batch comes again. */
enum err effect_repair(struct ctx *c, const struct incoming *ev, int n, int *fresh_r) MUST_CHECK;

#endif
