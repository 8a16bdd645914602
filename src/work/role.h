/*
 * role: one thing that the daemon does, in a process of its own.
 *
 * A role is a loop of turns: each does what there is to do, and says how long the next may
 * wait. All state that must survive is in PostgreSQL, Redis or Kafka, so a role may be
 * killed at any moment and begun again.
 */
#ifndef ROLE_H
#define ROLE_H

#include "ctx.h"

struct daemon_role {
	const char *name, *help;
	/* Once, in the role's process; what it makes is handed to the other two. */
	void *(*begin)(struct ctx *c);
	/* One turn: ms until the next may begin, 0 at once. The arena is wiped after it. */
	int (*turn)(struct ctx *c, void *state);
	void (*end)(struct ctx *c, void *state);
};

extern const struct daemon_role ROLES[]; /* ends with a row without name */

/* Run it until service_stopping. Once it has begun, a byte is written to `began_fd`, which is
 * then closed. */
void role_run(const struct daemon_role *r, struct ctx *c, int began_fd);

/* relay.c */
void *relay_begin(struct ctx *c);
int relay_turn(struct ctx *c, void *state);
void relay_end(struct ctx *c, void *state);

/* flush.c */
void *flush_begin(struct ctx *c);
int flush_turn(struct ctx *c, void *state);
void flush_end(struct ctx *c, void *state);

/* inbox.c */
void *inbox_begin(struct ctx *c);
void *repair_begin(struct ctx *c);
int inbox_turn(struct ctx *c, void *state);
void inbox_end(struct ctx *c, void *state);

/* mail.c */
void *mail_begin(struct ctx *c);
int mail_turn(struct ctx *c, void *state);
void mail_end(struct ctx *c, void *state);

/* saga.c */
void *saga_begin(struct ctx *c);
int saga_turn(struct ctx *c, void *state);
void saga_end(struct ctx *c, void *state);

/* sweep.c */
void *sweep_begin(struct ctx *c);
int sweep_turn(struct ctx *c, void *state);
void sweep_end(struct ctx *c, void *state);

#endif
