/*
 * stats: what was counted, day by day in UTC. The consumer of events counts; this reads.
 */
#ifndef STATS_H
#define STATS_H

#include "ctx.h"

struct db_set;
extern const struct db_set STATS_STATEMENTS;

struct stats_query {
	int64_t days;
};

extern const struct shape STATS_QUERY;

struct stats {
	const char *day; /* NULL in the totals */
	int64_t new_users, logins, failed_logins, events;
	int64_t users; /* in the totals: how many there are now; about, where they are very many */
};

extern const struct shape STATS;

/* Which rows of STATS a day and the totals bear. */
enum { STATS_OF_DAY = 1, STATS_TOTALS = 2 };

/* The newest `days` days, oldest first, and all that was ever counted. */
enum err stats_read(struct ctx *c, int64_t days, struct stats **days_r,
		    struct stats *totals_r) MUST_CHECK;

#endif
