/*
 * limit: how often. One table says what is counted, by whom, and which setting bounds it.
 *
 * Counted in Redis (the generic cell rate algorithm), so that all workers of all hosts
 * count together. While Redis is away nothing is counted and everybody is let in: then
 * nginx's limit_req in front is what limits. A client is an IPv4 address or the /64 of an
 * IPv6 one, by nginx's word; an account is known by a hash of its address, never by it.
 */
#ifndef LIMIT_H
#define LIMIT_H

#include "ctx.h"

enum limit {
	LIMIT_NONE,
	LOGINS_OF_CLIENT,
	SIGNUPS_OF_CLIENT,
	LOGINS_OF_ACCOUNT,
	FORGOT_OF_ACCOUNT,
	ADDRESSES_OF_ACCOUNT
};

/* A request, counted: what its answer says of it (RateLimit). In the request's arena. */
struct counted {
	const char *policy;	/* the limit's public name */
	int64_t count, seconds; /* so many in so long */
	int64_t left;
	int64_t rest_s, wait_s; /* until all of them, or one more, may come */
	bool too_many;
	bool of_account;      /* whoever came counts together, so only a refusal tells of it */
	struct counted *next; /* counted before */
};

/* Ask for the client's count in this turn's round trip. NULL where the limit is LIMIT_NONE or
 * is off. */
struct limit_asked;
struct limit_asked *limit_ask(struct ctx *c, enum limit l);

/* After it: E_LIMITED for one too many; else OK, for NULL too. */
enum err limit_heard(struct ctx *c, struct limit_asked *asked) MUST_CHECK;

/* Count what is known only from the body, in a round trip of its own: `address` of mail, without
 * regard to case. E_LIMITED, or OK. Before any hash is made. */
enum err limit_take(struct ctx *c, enum limit l, const char *address) MUST_CHECK;

/* The same for the client, where limit_ask came too early. */
enum err limit_take_of_client(struct ctx *c, enum limit l) MUST_CHECK;

/* The same for the actor; an admin is not counted. */
enum err limit_take_of_actor(struct ctx *c, enum limit l) MUST_CHECK;

/* The client behind a peer's address: "192.0.2.1" or "2001:db8:0:1" (a /64); "unknown" for
 * what is no address. */
const char *limit_client(struct arena *a, const char *peer);

#endif
