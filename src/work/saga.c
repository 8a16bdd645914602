/*
 * saga: goes on with sagas that nobody has, and carries over what one database owes the other,
 * whoever began it and died. Any number of daemons share both.
 */
#include "metric.h"
#include "service.h"

#include "profile.h"
#include "role.h"
#include "saga.h"
#include "settings.h"

enum {
	BATCH = 200,
	PAUSE_MS = 1000,
	NO_STORE_MS = 60000,
};

void *
saga_begin(struct ctx *c)
{
	(void)c;
	return NULL;
}

static void
resume(struct ctx *c)
{
	int64_t n_open;

	for (int i = 0; i < BATCH && !service_stopping(); i++) {
		if (saga_resume(c) != OK)
			break;
	}
	if (saga_count(c, &n_open) == OK)
		metric_set(METRIC_SAGAS_OPEN, (uint64_t)n_open);
}

int
saga_turn(struct ctx *c, void *state)
{
	int n;

	(void)state;
	if (c->profiles == NULL)
		return NO_STORE_MS;
	resume(c);
	return profile_carry(c, BATCH, &n) == OK && n > 0 ? 0 : PAUSE_MS;
}

void
saga_end(struct ctx *c, void *state)
{
	(void)c;
	(void)state;
}
