/* role: the table, and the loop of one. */
#include "role.h"

#include <unistd.h>

#include "arena.h"
#include "clock.h"
#include "log.h"
#include "service.h"

const struct daemon_role ROLES[] = {
	{ "relay", "outbox to Kafka", relay_begin, relay_turn, relay_end },
	{ "consume", "Kafka to effects", inbox_begin, inbox_turn, inbox_end },
	{ "cache", "repairs users and sessions in Redis that are older than an event", repair_begin,
	  inbox_turn, inbox_end },
	{ "flush", "changes written behind, from Redis to PostgreSQL", flush_begin, flush_turn,
	  flush_end },
	{ "mail", "sends the mails that wait", mail_begin, mail_turn, mail_end },
	{ "saga", "goes on with sagas, and carries over what one database owes the other",
	  saga_begin, saga_turn, saga_end },
	{ "sweep", "removes rows whose time is over", sweep_begin, sweep_turn, sweep_end },
	{ 0 },
};

void
role_run(const struct daemon_role *r, struct ctx *c, int began_fd)
{
	void *state = r->begin(c);
	int wait_ms;

	log_info(EV("role.began"), KS("role", r->name));
	log_flush();
	if (write(began_fd, "", 1) != 1)
		log_warn(EV("role.not_told"), KS("role", r->name));
	close(began_fd);
	do {
		clock_tick();
		wait_ms = r->turn(c, state);
		arena_reset(c->arena);
		log_flush();
	} while (!service_pause(wait_ms)); /* which lets signals in even if it waits for none */
	r->end(c, state);
	log_info(EV("role.ended"), KS("role", r->name));
	log_flush();
}
