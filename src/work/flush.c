/*
 * flush: from Redis to PostgreSQL, the changes that were written behind.
 *
 * A user's changes wait for half the interval, so that those that come together become one,
 * and are looked for often enough to be in PostgreSQL before it is over. Nothing is
 * remembered here: what is done, and what is not, is in the two stores (see behind.h).
 */
#include "log.h"
#include "metric.h"

#include "behind.h"
#include "role.h"
#include "settings.h"

enum { STAND_BY_MS = 500, TROUBLE_MS = 300, SHARES = 4 };

void *
flush_begin(struct ctx *c)
{
	(void)c;
	return NULL;
}

static void
show(struct ctx *c)
{
	struct behind_state s;

	if (behind_state(c, &s) != OK)
		return;
	metric_set(METRIC_BEHIND_DEPTH, (uint64_t)s.depth);
	metric_set(METRIC_BEHIND_AGE, (uint64_t)s.oldest_ms);
}

int
flush_turn(struct ctx *c, void *state)
{
	int64_t interval = c->conf->flush_interval_ms;
	int n;
	enum err e = behind_flush(c, interval / 2, (int)c->conf->flush_batch, &n);

	(void)state;
	if (e == E_BUSY)
		return STAND_BY_MS;
	show(c);
	if (e != OK)
		return TROUBLE_MS;
	return n == c->conf->flush_batch ? 0 : (int)interval / SHARES;
}

void
flush_end(struct ctx *c, void *state)
{
	(void)c;
	(void)state;
}
