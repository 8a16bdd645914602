/*
 * ctx: what a use case is handed, and all that it may touch.
 *
 * One a unit of work. It owns nothing: the arena is the unit's, the stores are the
 * process's. It carries who asks, and takes home why something was refused.
 */
#ifndef CTX_H
#define CTX_H

#include "err.h"
#include "field.h"
#include "msg.h"

struct db;
struct kv;
struct settings;
struct counted;

enum role { ROLE_NOBODY, ROLE_USER, ROLE_ADMIN };

struct ctx {
	struct arena *arena;
	struct db *db;
	struct db *profiles; /* the second database; NULL where there is none */
	struct kv *kv;
	const struct settings *conf;

	const char *request_id;	  /* the caller's, or made: for logs, answers and events */
	const char *attempt_id;	  /* nginx's: the same when nginx sends a request twice */
	const char *traceparent;  /* W3C trace context, or NULL */
	const char *peer, *agent; /* the caller's address and program, for its sessions */

	int64_t actor, session; /* 0: nobody */
	enum role role;
	enum lang lang;

	struct idem *idem;	 /* of a request with an Idempotency-Key, else NULL; see idem.h */
	struct faults faults;	 /* what was wrong with the caller's values */
	struct counted *counted; /* against which limits the request counts, see limit.h */
};

/* The caller is at fault: note which value of the body and why; returns `e`. No log. */
enum err refuse(struct ctx *c, enum err e, const char *field, enum msg m);

/* The statements of a worker, of the daemon, and of the operator's tool, for db_open. */
struct db_set;
extern const struct db_set *const ALL_STATEMENTS[], *const DAEMON_STATEMENTS[],
							    *const TOOL_STATEMENTS[];

/* The turn's one round trip to Redis, and its end. */
void ctx_hear(struct ctx *c);
void ctx_turn_over(struct ctx *c);

/* How many changes wait for their pages to reach Redis, and the round trip that brings all of them
 * there. Whoever answers for a change settles first, so that a later read can't miss it. */
int ctx_unsettled(const struct ctx *c);
void ctx_settle(struct ctx *c);

/* OK or E_UNAVAILABLE, for the two stores that answer requests. */
enum err ctx_database_ready(struct ctx *c) MUST_CHECK;
enum err ctx_cache_ready(struct ctx *c) MUST_CHECK;

#endif
