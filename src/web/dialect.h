/*
 * dialect: how the body of a call is written, and how its refusals are.
 *
 * A row of the route table names one; the gate and the manual go by it. JSON with problem
 * documents (RFC 9457) is what all calls speak but those of OAuth 2, which is older.
 */
#ifndef DIALECT_H
#define DIALECT_H

#include "route.h"

struct dialect {
	const char *const *types; /* media types of a body, the usual one first; ended by NULL */
	bool unsaid;		  /* a body of no type is taken for one of these */
	/* As doc_read. `text` ends in NUL. */
	enum err (*read)(struct arena *a, const struct shape *s, unsigned use, const char *text,
			 size_t len, void *out, struct faults *faults_r);
	void (*refuse)(struct req *rq, enum err e);
	const struct shape *refusal; /* its document, for the manual; NULL: a problem */
	const int *statuses;	     /* that it refuses with, ended by 0 */
};

extern const struct dialect JSON, OAUTH;

/* That of a row; of no row, JSON. Never NULL. */
const struct dialect *dialect_of(const struct route *r);

/* Is a body of this Content-Type one of its? */
bool dialect_takes(const struct dialect *d, const char *content_type);

#endif
