/*
 * implied: what a row of the route table implies for the manual, without saying it: the errors
 * that follow from whom it lets in and what it carries, the headers that it takes and gives.
 */
#ifndef IMPLIED_H
#define IMPLIED_H

#include "route.h"

/* Can the route give this error: whatever its handler does, or by the row's own list? */
bool implied_error(const struct route *r, enum err e);

/* Does it read a user's page, with its version, which 304 may stand for? */
bool implied_cacheable(const struct route *r);

/* Headers of requests and of answers, each with those that have it; end with no name. */
struct implied_parameter {
	const char *name, *help;
	bool (*of)(const struct route *r);
};
struct implied_header {
	const char *name, *schema; /* JSON Schema, as text */
	bool (*of)(const struct route *r, int status);
};

extern const struct implied_parameter IMPLIED_PARAMETERS[];
extern const struct implied_header IMPLIED_HEADERS[];

#endif
