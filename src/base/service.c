/* service: options from a table, signals as a flag. */
#include "service.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

static volatile sig_atomic_t stopping;
static sigset_t waiting_mask;

static const int ASK_TO_STOP[] = { SIGTERM, SIGINT, SIGQUIT, SIGUSR1 };

static void
on_stop(int sig)
{
	(void)sig;
	stopping = 1;
}

static void
on_nothing(int sig)
{
	(void)sig; /* a real handler: libfcgi replaces SIG_IGN */
}

void
service_signals(void)
{
	struct sigaction stop = { .sa_handler = on_stop }, nothing = { .sa_handler = on_nothing };
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(ASK_TO_STOP) / sizeof(*ASK_TO_STOP); i++) {
		sigaddset(&blocked, ASK_TO_STOP[i]);
		sigaction(ASK_TO_STOP[i], &stop, NULL);
	}
	sigaction(SIGPIPE, &nothing, NULL);
	sigaddset(&blocked, SIGPIPE); /* for good: a write that fails says so */
	sigprocmask(SIG_BLOCK, &blocked, &waiting_mask);
	sigaddset(&waiting_mask, SIGPIPE);
	for (size_t i = 0; i < sizeof(ASK_TO_STOP) / sizeof(*ASK_TO_STOP); i++)
		sigdelset(&waiting_mask, ASK_TO_STOP[i]); /* whatever our parent had blocked */
}

const sigset_t *
service_mask(void)
{
	return &waiting_mask;
}

bool
service_pause(int ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	if (!stopping)
		ppoll(NULL, 0, &t, &waiting_mask);
	return stopping != 0;
}

bool
service_stopping(void)
{
	return stopping != 0;
}

static void
print_help(const struct program *p)
{
	printf("%s: %s\n\nusage: %s [options]\n", p->name, p->about, p->name);
	for (const struct option_row *o = p->options; o->name != NULL; o++) {
		char left[48];

		snprintf(left, sizeof(left), "%s %s", o->name, o->value ? o->value : "");
		printf("  %-24s %s\n", left, o->help);
	}
	printf("  %-24s %s\n  %-24s %s\n", "--help", "this text", "--version", "the version");
	printf("\nSettings come from the environment and a .env file: usherctl config lists them.\n");
}

static void
no_such(const struct program *p, const char *arg, const char *why)
{
	fprintf(stderr, "%s: %s %s; see %s --help\n", p->name, arg, why, p->name);
	exit(2);
}

static const struct option_row *
option_named(const struct program *p, const char *name)
{
	for (const struct option_row *o = p->options; o->name != NULL; o++) {
		if (strcmp(o->name, name) == 0)
			return o;
	}
	return NULL;
}

void
service_options(const struct program *p, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const struct option_row *o = option_named(p, argv[i]);

		if (strcmp(argv[i], "--help") == 0) {
			print_help(p);
			exit(0);
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("%s %s\n", p->name, PACKAGE_VERSION);
			exit(0);
		}
		if (o == NULL)
			no_such(p, argv[i], "is no option");
		else if (o->value == NULL)
			*o->text_r = "1";
		else if (i + 1 == argc)
			no_such(p, argv[i], "wants a value");
		else
			*o->text_r = argv[++i];
	}
}
