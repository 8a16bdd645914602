/*
 * route: the route table and the gate in front of it.
 *
 * Policy is in the row: who may, what the row wants from Redis, what it carries. The gate
 * reads it; handlers never ask again. A request has two halves, ask and serve, and between
 * them stands the one round trip to Redis that all requests of the turn share.
 */
#ifndef ROUTE_H
#define ROUTE_H

#include "http.h"
#include "user.h"

enum who { ANYONE, A_USER, SELF, AN_ADMIN };
static inline const char *
who_text(enum who w)
{
	static const char *const WORDS[] = { "anyone", "any user", "self, admin", "admin" };
	return WORDS[w];
}

enum asks {
	ASK_NOTHING,
	ASK_PAGE, /* the page of the user in the path, or of the token's user */
};

struct route {
	const char *method, *path; /* {id} stands for a user's number; no slash at the end */
	enum err  (*serve)(struct req *rq);
	enum who    who;
	enum asks   asks;
	const struct shape *carries; /* the body; NULL: none is looked at */
	unsigned    use;	     /* which rows of it */
	const struct shape *query;
	const char *help;
};

extern const struct route ROUTES[];
extern const int ROUTE_COUNT;

/* Serve the requests of a turn: every one is answered when it returns. */
void route_turn(struct req *const *rq, int n);

/* The row's number, for counters. */
int route_index(const struct route *r);

/* The methods that `path` knows, "GET, HEAD, PATCH"; NULL if there is no such path. */
const char *route_allowed(struct arena *a, const char *path);

#endif
