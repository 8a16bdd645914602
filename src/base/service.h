/*
 * service: what every long-running program of ours does about options and signals.
 *
 * All signals that we handle are blocked from the first line of main on, and let in
 * only where a program waits (epoll_pwait with service_mask). So no read or write is
 * ever cut short by one, and no library's own handler runs in between.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include <signal.h>
#include <stdbool.h>

/* One command-line option: "--name VALUE", or a flag where `value` is NULL. */
struct option_row {
	const char *name, *value, *help;
	const char **text_r; /* where the value goes; for a flag "1" */
};

struct program {
	const char *name, *about;
	const struct option_row *options; /* ends with a row without name */
};

/* Read the options; answers --help and --version itself and ends there. A wrong option
 * ends the program with one line and status 2. */
void service_options(const struct program *p, int argc, char **argv);

/* Block our signals and set their handlers: TERM, INT, QUIT and USR1 (what supervisors send)
 * ask for a drain, PIPE is blocked for good. Call it first: libfcgi replaces what it finds unset. */
void service_signals(void);

/* Secrets are in our memory: no core file has them, and no other process of our user may look
 * at them (PR_SET_DUMPABLE, but for builds with a sanitizer). */
void service_keep_memory_private(void);

/* The signal mask to wait with. */
const sigset_t *service_mask(void);

/* Wait, but not longer than it takes somebody to ask us to stop; whether one did. */
bool service_pause(int ms);

/* Has somebody asked us to stop? */
bool service_stopping(void);

/* We are up: say so to systemd where it asked for that (Type=notify), and write our process id
 * into `file` (NULL: none), which is there, whole, only from now until service_ended. */
void service_began(const char *file);
void service_ended(const char *file);

#endif
