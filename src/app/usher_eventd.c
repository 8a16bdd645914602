/*
 * usher-eventd: the long-running daemon. Each role is a process of its own, made before
 * any library has a thread; if one dies, all end, and the supervisor begins anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "clock.h"
#include "doc.h"
#include "log.h"
#include "metric.h"
#include "service.h"
#include "text.h"

#include "db.h"
#include "kv.h"

#include "ctx.h"
#include "profile.h"
#include "settings.h"

#include "role.h"

enum {
	REDIS_WAIT_MS = 200,
	ROLES_MOST = 16,
	END_WITHIN_MS = 8000,
	PAUSE_MS = 200,
	BEGIN_PAUSE_MS = 10,
};

static const char *role_names, *env_file = ".env", *ready_file;

/* clang-format off */
static const struct option_row OPTIONS[] = {
	{ "--role", "NAMES", "only these roles, separated by commas (all)", &role_names },
	{ "--env-file", "FILE", "settings that the environment does not have (.env)", &env_file },
	{ "--ready-file", "FILE", "holds our process id from when all roles have begun", &ready_file },
	{ 0 },
};
/* clang-format on */

static const struct program PROGRAM = { "usher-eventd",
					"the daemon: relays the outbox, acts on events", OPTIONS };

static struct {
	pid_t pid[ROLES_MOST];
	const struct daemon_role *role[ROLES_MOST];
	int n;
	int began[2]; /* a pipe: each writes a byte when it has begun */
	int n_began;
	bool told; /* to end */
} child;

/* Is it among the names of --role? Commas become spaces on the way. */
static bool
is_wanted(const char *name)
{
	char words[256];

	if (role_names == NULL)
		return true;
	snprintf(words, sizeof(words), "%s", role_names);
	for (char *p = words; *p != '\0'; p++)
		*p = *p == ',' ? ' ' : *p;
	return text_among(name, words);
}

/* A name that is none ends the program with one line. */
static void
check_names(void)
{
	const char *p = role_names;

	while (p != NULL) {
		size_t len = strcspn(p, ",");
		const struct daemon_role *r = ROLES;

		while (r->name != NULL && (strlen(r->name) != len || strncmp(r->name, p, len) != 0))
			r++;
		if (r->name == NULL) {
			fprintf(stderr, "usher-eventd: --role %s: no role \"%.*s\"\n", role_names,
				(int)len, p);
			exit(2);
		}
		p = p[len] == ',' ? p + len + 1 : NULL;
	}
}

/* The role's process: its own connections, memory and libraries. */
static void
live(const struct daemon_role *r, const struct settings *s, pid_t parent)
{
	char name[48];
	struct db_conf db = { .url = s->database_url,
			      .program = name,
			      .sets = DAEMON_STATEMENTS,
			      .log_sql = s->log_sql,
			      .slow_us = s->slow_ms * 1000 };
	struct db_conf profiles;
	struct ctx c = { .arena = arena_new(256 * 1024), .conf = s };

	snprintf(name, sizeof(name), "usher-%s", r->name);
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_NAME, name);	  /* what ps shows */
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* a parent that was killed outright can't tell us */
	if (getppid() != parent)
		_exit(1);
	close(child.began[0]);
	log_init(name, s->log_format, s->log_level);
	doc_init();
	metric_init(s->metrics_file);
	c.kv = kv_open(s->redis_url, REDIS_WAIT_MS, s->slow_ms * 1000);
	c.db = db_open(&db);
	c.profiles = profile_open(s, name, &profiles);
	if (db_ready(c.db) != E_BUG) {
		role_run(r, &c, child.began[1]);
		kv_close(&c.kv);
		db_close(&c.profiles);
		db_close(&c.db);
		log_flush();
		_exit(0);
	}
	log_flush();
	_exit(1);
}

/* False, logged, unless all were begun. */
static bool
begin_all(const struct settings *s)
{
	pid_t us = getpid();

	if (pipe2(child.began, O_CLOEXEC | O_NONBLOCK) != 0) {
		log_error(EV("daemon.no_pipe"), KS("why", strerror(errno)));
		return false;
	}
	for (const struct daemon_role *r = ROLES; r->name != NULL; r++) {
		if (!is_wanted(r->name))
			continue;
		child.role[child.n] = r;
		child.pid[child.n] = fork();
		if (child.pid[child.n] == 0)
			live(r, s, us);
		if (child.pid[child.n] < 0) {
			log_error(EV("role.not_begun"), KS("role", r->name),
				  KS("why", strerror(errno)));
			return false;
		}
		child.n++;
	}
	close(child.began[1]);
	return true;
}

/* Whether the last of them has begun since we asked before. */
static bool
all_began(void)
{
	char bytes[ROLES_MOST];
	ssize_t n = read(child.began[0], bytes, sizeof(bytes));

	if (n <= 0)
		return false;
	child.n_began += (int)n;
	return child.n_began == child.n;
}

static void
tell_all(int sig)
{
	for (int i = 0; i < child.n; i++) {
		if (child.pid[i] > 0)
			kill(child.pid[i], sig);
	}
}

/* Note who has ended; how many still live. */
static int
reap(bool *died_r)
{
	int living = 0, status;

	for (int i = 0; i < child.n; i++) {
		if (child.pid[i] > 0 && waitpid(child.pid[i], &status, WNOHANG) == child.pid[i]) {
			bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;

			if (!good || !child.told)
				log_error(EV("role.died"), KS("role", child.role[i]->name),
					  KI("status", status));
			*died_r = true;
			child.pid[i] = 0;
		}
		living += child.pid[i] > 0;
	}
	return living;
}

/* Tell all to end and wait for them, at last by force. */
static void
end_all(void)
{
	int64_t until = clock_read_us() + END_WITHIN_MS * INT64_C(1000);
	bool died;

	child.told = true;
	tell_all(SIGTERM);
	while (reap(&died) > 0 && clock_read_us() < until)
		usleep(20000);
	tell_all(SIGKILL);
	while (reap(&died) > 0)
		usleep(20000);
}

int
main(int argc, char **argv)
{
	struct arena *forever = arena_new(16 * 1024);
	struct settings s;
	bool died = false;

	service_signals();
	service_options(&PROGRAM, argc, argv);
	check_names();
	settings_load(forever, PROGRAM.name, env_file, NEED_DATABASE, &s, NULL);
	log_init(PROGRAM.name, s.log_format, s.log_level);
	if (strcmp(s.usher_env, "test") != 0)
		service_keep_memory_private();
	died = !begin_all(&s);
	while (!service_stopping() && !died) {
		service_pause(child.n_began < child.n ? BEGIN_PAUSE_MS : PAUSE_MS);
		clock_tick();
		reap(&died);
		if (all_began()) {
			log_info(EV("daemon.began"), KI("roles", child.n));
			service_began(ready_file);
		}
		log_flush();
	}
	service_ended(ready_file);
	end_all();
	clock_tick();
	log_info(EV("daemon.ended"));
	log_flush();
	arena_free(&forever);
	return died && !service_stopping() ? 1 : 0;
}
