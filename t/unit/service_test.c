/* service: options by their table, and the signals that ask for a drain. */
#include "service.h"

#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "log.h"
#include "tap.h"

enum { ARGS_MOST = 6 };

static const char *batch, *loud;

static const struct option_row OPTIONS[] = {
	{ "--batch", "N", "how many", &batch },
	{ "--loud", NULL, "say more", &loud },
	{ 0 },
};

static const struct program PROGRAM = { "prog", "a program", OPTIONS };

/* Arguments; then the status, and what is said: on standard output (0) or error (2). With
 * status -1 the program goes on, and `said` is "batch loud". */
static const struct {
	const char *argv[ARGS_MOST];
	int status;
	const char *said;
} CASES[] = {
	{ { "prog" }, -1, "64 -" },
	{ { "prog", "--batch", "8" }, -1, "8 -" },
	{ { "prog", "--loud" }, -1, "64 1" },
	{ { "prog", "--loud", "--batch", "8" }, -1, "8 1" },
	{ { "prog", "--batch", "8", "--batch", "9" }, -1, "9 -" },
	{ { "prog", "--batch", "--loud" }, -1, "--loud -" },
	{ { "prog", "--batch", "" }, -1, " -" },
	{ { "prog", "--help" }, 0, "--batch N" },
	{ { "prog", "--help" }, 0, "--loud" },
	{ { "prog", "--help" }, 0, "how many" },
	{ { "prog", "--help" }, 0, "usage: prog [options]" },
	{ { "prog", "--version" }, 0, "prog " },
	{ { "prog", "--batch", "8", "--version" }, 0, "prog " },
	{ { "prog", "--batch" }, 2, "prog: --batch wants a value; see prog --help\n" },
	{ { "prog", "--quiet" }, 2, "prog: --quiet is no option; see prog --help\n" },
	{ { "prog", "8" }, 2, "prog: 8 is no option; see prog --help\n" },
	{ { "prog", "" }, 2, "prog:  is no option; see prog --help\n" },
	{ { "prog", "-batch", "8" }, 2, "prog: -batch is no option; see prog --help\n" },
	{ { "prog", "--batch=8" }, 2, "prog: --batch=8 is no option; see prog --help\n" },
	{ { "prog", "--bat", "8" }, 2, "prog: --bat is no option; see prog --help\n" },
};

/* In a child: its status, -1 where it went on; what it said. */
static int
status_of(const char *const *args, char said[2048])
{
	int fd[2], status, argc = 0;
	char *argv[ARGS_MOST + 1] = { NULL };
	size_t n = 0;
	ssize_t got;

	if (pipe(fd) != 0)
		abort();
	fflush(stdout);
	if (fork() == 0) {
		dup2(fd[1], STDOUT_FILENO);
		dup2(fd[1], STDERR_FILENO);
		batch = "64";
		for (; argc < ARGS_MOST && args[argc] != NULL; argc++)
			argv[argc] = strdup(args[argc]);
		service_options(&PROGRAM, argc, argv);
		printf("%s %s", batch, loud == NULL ? "-" : loud);
		fflush(stdout);
		_exit(99);
	}
	close(fd[1]);
	while (n < 2047 && (got = read(fd[0], said + n, 2047 - n)) > 0)
		n += (size_t)got;
	said[n] = '\0';
	close(fd[0]);
	wait(&status);
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 100;
	return status == 99 ? -1 : status;
}

static void
test_options(void)
{
	for (size_t i = 0; i < NELEM(CASES); i++) {
		char said[2048];
		const char *last = "";

		for (int k = 1; k < ARGS_MOST && CASES[i].argv[k] != NULL; k++)
			last = CASES[i].argv[k];
		ok(status_of(CASES[i].argv, said) == CASES[i].status, "\"%s\": %s", last,
		   CASES[i].status < 0	  ? "goes on"
		   : CASES[i].status == 0 ? "ends well"
					  : "ends with 2");
		if (CASES[i].status == 0)
			ok(strstr(said, CASES[i].said) != NULL, "and says %s", CASES[i].said);
		else
			is_text(said, CASES[i].said, "and says so");
	}
}

/* In a child: a signal is held back until we wait, and then asks us to stop. */
static void
test_signal(int sig, bool stops)
{
	int status;

	fflush(stdout);
	if (fork() == 0) {
		struct timespec soon = { 0, 50 * 1000 * 1000 };
		bool before;

		service_signals();
		kill(getpid(), sig);
		before = service_stopping();
		ppoll(NULL, 0, &soon, service_mask());
		_exit(before ? 2 : service_stopping() ? 1 : 0);
	}
	wait(&status);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == stops, "signal %d: %s", sig,
	   stops ? "asks for a drain, but not before we wait" : "is ignored");
}

/* What `file` says; "" if it is not there. */
static const char *
content(const char *file)
{
	static char text[64];
	FILE *f = fopen(file, "r");

	text[0] = '\0';
	if (f == NULL)
		return text;
	if (fgets(text, sizeof(text), f) == NULL)
		text[0] = '\0';
	fclose(f);
	return text;
}

/* Beside a stand-in for systemd, at an abstract address. */
static void
test_began(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char file[64], name[96], said[64] = "", pid[32];
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	socklen_t len;

	snprintf(file, sizeof(file), "service_test.%d", (int)getpid());
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	snprintf(name, sizeof(name), "@usher-%s", file);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	memcpy(at.sun_path + 1, name + 1, strlen(name) - 1);
	ok(bind(fd, (struct sockaddr *)&at, len) == 0, "there is one who wants to know");
	setenv("NOTIFY_SOCKET", name, 1);
	service_began(file);
	ok(recv(fd, said, sizeof(said) - 1, MSG_DONTWAIT) > 0, "systemd hears of it");
	is_text(said, "READY=1", "in its own words");
	is_text(content(file), pid, "and the file has our process id");
	service_ended(file);
	memset(said, 0, sizeof(said));
	ok(recv(fd, said, sizeof(said) - 1, MSG_DONTWAIT) > 0, "it hears of the end");
	is_text(said, "STOPPING=1", "too");
	ok(access(file, F_OK) != 0, "and the file is gone");
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	service_began("/nonexistent/file");
	service_ended(NULL);
	ok(true, "where neither can be had, nothing is stopped by it");
	close(fd);
}

int
main(void)
{
	static const int STOPPING[] = { SIGTERM, SIGINT, SIGUSR1 };
	sigset_t all;

	log_init("service_test", "text", "error");
	test_options();
	test_began();
	for (size_t i = 0; i < NELEM(STOPPING); i++)
		test_signal(STOPPING[i], true);
	test_signal(SIGPIPE, false);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	test_signal(SIGTERM, true); /* whatever our parent had blocked */
	return tap_end();
}
