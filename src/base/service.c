/* service: options from a table, signals as a flag. */
#include "service.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

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

void
service_keep_memory_private(void)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* which looks at itself */
	prctl(PR_SET_DUMPABLE, 0);
#endif
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

/* sd_notify(3): one datagram to the socket that systemd named; a leading @ is abstract. */
static void
notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = path == NULL ? 0 : strlen(path);
	int fd;

	if (len == 0 || len >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn(EV("service.not_notified"), KS("why", strerror(errno)));
	close(fd);
}

/* Under another name first: whoever looks finds no file, or a whole one. */
static bool
write_pid(const char *file)
{
	char made[512];
	FILE *f;

	snprintf(made, sizeof(made), "%s.new", file);
	if ((f = fopen(made, "we")) == NULL)
		return false;
	fprintf(f, "%d\n", (int)getpid());
	return fclose(f) == 0 && rename(made, file) == 0;
}

void
service_began(const char *file)
{
	if (file != NULL && !write_pid(file))
		log_warn(EV("service.no_ready_file"), KS("file", file), KS("why", strerror(errno)));
	notify("READY=1");
}

void
service_ended(const char *file)
{
	notify("STOPPING=1");
	if (file != NULL)
		unlink(file);
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
