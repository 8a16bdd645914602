/*
 * search: finding users by a piece of their name or nickname, and of their address where the
 * question holds an '@'.
 *
 * Case, accents and the form of composition do not count; every other character stands for
 * itself. Exact matches come first, then those that begin so, then those that hold it
 * somewhere, the most alike first. An address is found by its beginning, or by a piece of at
 * least three letters or digits in a row.
 */
#ifndef SEARCH_H
#define SEARCH_H

#include "user.h"

struct db_set;
extern const struct db_set SEARCH_STATEMENTS;

struct search {
	const char *q;
	int64_t limit;
};

extern const struct shape SEARCH;

/* The users found, as a JSON array. */
enum err search_users(struct ctx *c, const struct search *in, struct buf *out) MUST_CHECK;

#endif
