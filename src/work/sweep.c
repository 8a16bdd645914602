/*
 * sweep: goes through the table of what is over, a batch of each at a time.
 */
#include <stdlib.h>

#include "log.h"
#include "metric.h"

#include "role.h"
#include "settings.h"
#include "sweep.h"

enum {
	BATCH = 2000,
	BETWEEN_MS = 50, /* batches, while there is more: others want the disk too */
};

struct sweeper {
	int64_t swept[32]; /* by row of the table, since the last that found nothing more */
};

void *
sweep_begin(struct ctx *c)
{
	struct sweeper *s = must_alloc(sizeof(*s));

	(void)c;
	*s = (struct sweeper){ 0 };
	return s;
}

/* One batch of row `i`; is there more of it? One line when a heap is gone. */
static bool
sweep_row(struct ctx *c, struct sweeper *s, int i)
{
	int64_t n;

	if (sweep_some(c, i, BATCH, &n) != OK)
		return false; /* logged; the next look will find them */
	s->swept[i] += n;
	metric_add(METRIC_ROWS_SWEPT, (uint64_t)n);
	if (n == BATCH)
		return true;
	if (s->swept[i] > 0)
		log_info(EV("rows.swept"), KS("what", sweep_name(i)), KI("rows", s->swept[i]));
	s->swept[i] = 0;
	return false;
}

int
sweep_turn(struct ctx *c, void *state)
{
	bool more = false;

	for (int i = 0; i < SWEEP_COUNT; i++)
		more |= sweep_row(c, state, i);
	return more ? BETWEEN_MS : (int)c->conf->sweep_seconds * 1000;
}

void
sweep_end(struct ctx *c, void *state)
{
	(void)c;
	free(state);
}
