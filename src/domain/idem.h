/*
 * idem: a request that comes again with its Idempotency-Key gets the first answer again.
 *
 * The key is claimed and the answer kept in the transaction of the change, so there is an answer
 * exactly if there is a change. A twin waits for the first one's transaction. Keys belong to
 * their caller and last 24 hours; what was refused is not kept, and may be tried again. The answer of
 * a saga (see saga.h) stands once the saga is done.
 */
#ifndef IDEM_H
#define IDEM_H

#include "ctx.h"

struct db_set;
extern const struct db_set IDEM_STATEMENTS;

/* An answer as it is kept. */
struct kept {
	int64_t status, user_id, version; /* user_id NO_INT: it made no user */
	const char *body;
};

/* What a request with a key is about to do; in ctx while it is served. */
struct idem {
	const char *caller, *key, *hash; /* the hash of the key, and of the request */
	bool lost;			 /* another request holds or held the key */
};

/* Note the key of this request, which does `method` to `path`. E_INVALID where the key is not 1
 * to 255 visible ASCII characters. */
enum err idem_begin(struct ctx *c, const char *key, const char *method, const char *path,
		    const char *body, size_t len, struct idem *idem_r) MUST_CHECK;

/* The first answer. E_NOT_FOUND where there is none; E_INVALID where the key was another
 * request's; E_CONFLICT where the saga that answers so was waited for in vain. */
enum err idem_find(struct ctx *c, struct kept *out_r) MUST_CHECK;

/* Run `body` once: with a key in a transaction that claims it and keeps the answer, else
 * as it is. E_CONFLICT, with `lost` set, where another request has the key. */
enum err idem_within(struct ctx *c, enum err (*body)(void *arg, struct kept *answer_r),
		     void *arg) MUST_CHECK;

/* The same, but always in a transaction. */
enum err idem_together(struct ctx *c, enum err (*body)(void *arg, struct kept *answer_r),
		       void *arg) MUST_CHECK;

#endif
