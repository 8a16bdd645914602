/*
 * directory: users as a set, for admins: the list, page by page.
 *
 * The order is that of their ids, which only grow: a walk by cursors sees everybody who was
 * there all the while exactly once, whoever comes and goes meanwhile, and its last page costs
 * what its first does. `skip` counts from the beginning and does neither.
 */
#ifndef DIRECTORY_H
#define DIRECTORY_H

#include "user.h"

struct db_set;
extern const struct db_set DIRECTORY_STATEMENTS;

struct user_list {
	int64_t skip, limit;
	const char *status, *cursor, *count, *include;
};

extern const struct shape USER_LIST;

struct user_page {
	struct buf body;		 /* a JSON array */
	const char *next, *prev, *first; /* cursors; NULL where there is no such page */
	int64_t total;			 /* of all pages, where it was asked for; else NO_INT */
};

/* One page, which ends early after DOC_LIST_MOST bytes. E_INVALID for a cursor together with a skip. */
enum err directory_list(struct ctx *c, const struct user_list *in,
			struct user_page *out_r) MUST_CHECK;

#endif
