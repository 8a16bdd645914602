/*
 * route: the route table.
 *
 * Policy is in the row: who may, what the row wants from Redis, what it carries. The gate
 * reads it; handlers never ask again.
 */
#ifndef ROUTE_H
#define ROUTE_H

#include "http.h"
#include "user.h"

enum who { ANYONE, A_USER, SELF, AN_ADMIN };

enum asks {
	ASK_NOTHING,
	ASK_PAGE,     /* the page of the user in the path, or of the token's user */
	COUNT_LOGIN,  /* how often the client has come, before anything else is done for it */
	COUNT_SIGNUP, /* as above */
};

/* clang-format off */
struct route {
	const char *method, *path; /* {id} stands for a user's number; no slash at the end */
	enum err  (*serve)(struct req *rq);
	enum who    who;
	enum asks   asks;    /* of Redis, in the turn's round trip */
	const struct shape *carries; /* the body; NULL: none is looked at */
	unsigned    use;	     /* which rows of it */
	const struct shape *query;
	const char *help;
};
/* clang-format on */

extern const struct route ROUTES[];
extern const int ROUTE_COUNT;

/* Set the request's row and the number in its path. E_NO_ROUTE, or E_METHOD where the path
 * has other methods. */
enum err route_find(struct req *rq) MUST_CHECK;

/* Does the path bear a user's number? */
bool route_names_id(const struct route *r);

/* The row's number, for counters. */
int route_index(const struct route *r);

/* The methods that `path` knows, "GET, HEAD, PATCH"; NULL if there is no such path. */
const char *route_allowed(struct arena *a, const char *path);

#endif
