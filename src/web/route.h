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

struct dialect;

enum who { ANYONE, A_USER, WHO_BEGAN, SELF, AN_ADMIN }; /* WHO_BEGAN: as the use case finds out */

enum asks {
	ASK_NOTHING,
	ASK_PAGE,	    /* the page of the user in the path, or of the token's user */
	ASK_PAGE_TO_CHANGE, /* where the change may be written behind */
	COUNT_LOGIN,	    /* how often the client has come, before anything else is done for it */
	COUNT_SIGNUP,	    /* as above */
	COUNT_LOGIN_INSIDE, /* by the handler, which sees from the body whether it is one */
};

/* What a call takes and gives besides, for the manual. */
enum {
	GIVES_LIST = 1,	      /* an array of its shape, with Link */
	GIVES_ETAG = 2,	      /* the version */
	GIVES_LOCATION = 4,   /* of what is new */
	GIVES_AT_503 = 8,     /* the same document with 503 too */
	TAKES_MATCH = 16,     /* If-Match */
	TAKES_PREFER = 32,    /* Prefer: respond-async, then 202 */
	TAKES_KEY = 64,	      /* Idempotency-Key */
	TRIED_BY_ADMIN = 128, /* in its example: whose call it is has no token any more */
	NAMES_UUID = 256,     /* {id} is one */
	ASKS_NO_STORE = 512,  /* or tells how it is: no failure of one is an error here */
};

#define ERRORS(...) ((const enum err[]){ __VA_ARGS__, OK })

/* clang-format off */
struct route {
	const char *method, *path; /* {id} stands for a number or a UUID; no slash at the end */
	enum err  (*serve)(struct req *rq);
	enum who    who;
	enum asks   asks;    /* of Redis, in the turn's round trip */
	const struct shape *carries; /* the body; NULL: none is looked at */
	unsigned    use;	     /* which rows of it */
	const struct shape *query;
	const char *help;

	/* for the manual, by name; what follows from the other columns need not be said */
	struct gives {
		int status;		   /* of success; 204: nothing */
		const struct shape *shape; /* NULL: see `media` */
		unsigned use, maybe;	   /* its rows; those that are there where asked for */
		const char *media;	   /* NULL: JSON */
	} gives;
	unsigned    traits;
	const enum err *errors; /* besides the general ones: ERRORS(E_EMAIL_TAKEN) */

	/* what most rows leave out */
	const struct dialect *speaks; /* NULL: JSON */
	enum err  (*again)(struct req *rq); /* the session is over: was it by this very request, sent twice? */
};
/* clang-format on */

extern const struct route ROUTES[];
extern const int ROUTE_COUNT;

/* Set the request's row and the number or UUID in its path. E_NO_ROUTE, or E_METHOD where the path
 * has other methods. */
enum err route_find(struct req *rq) MUST_CHECK;

/* Does the path bear a number or a UUID? */
bool route_names_id(const struct route *r);

/* Who may, in words: "self, admin". */
const char *route_who(const struct route *r);

/* The row's number, for counters. */
int route_index(const struct route *r);

/* The counters' view of the table; `n_r` how many rows. Constant. */
const struct metric_route *route_names(int *n_r);

/* Count by this table from now on. Once, at start, after metric_init. */
void route_init(struct arena *a);

/* The methods that `path` knows, "GET, HEAD, PATCH"; NULL if there is no such path. */
const char *route_allowed(struct arena *a, const char *path);

#endif
