/*
 * saga: carries over what one database owes the other, whoever began it and died.
 */
#include "role.h"

#include "profile.h"
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

int
saga_turn(struct ctx *c, void *state)
{
	int n;

	(void)state;
	if (c->profiles == NULL)
		return NO_STORE_MS;
	return profile_carry(c, BATCH, &n) == OK && n > 0 ? 0 : PAUSE_MS;
}

void
saga_end(struct ctx *c, void *state)
{
	(void)c;
	(void)state;
}
