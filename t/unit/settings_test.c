/* settings: every row is complete; a wrong value ends the program with one line. */
#include "settings.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define DB "postgresql://u:pw@localhost/usher"
#define KEY "kN8rV2xQ5tY1wE7uI3oP9aS4dF6gH0jK"

/* One variable beside a good DATABASE_URL and JWT_SECRET_KEY; whether the program may start. */
static const struct {
	const char *name, *value;
	bool good;
} CASES[] = {
	{ "LOG_SQL", "1", true },
	{ "DATABASE_URL", "postgresql+asyncpg://u:pw@localhost/usher", true },
	{ "DATABASE_URL", "postgres://u:pw@a,b:5433/usher?sslmode=require", true },
	{ "DATABASE_URL", "", false },
	{ "DATABASE_URL", "mysql://u:pw@localhost/usher", false },
	{ "DATABASE_URL", "host=localhost dbname=usher", false },
	{ "REDIS_URL", "redis://localhost:6379/1", true },
	{ "REDIS_URL", "unix:///run/redis.sock", true },
	{ "REDIS_URL", "http://localhost", false },
	{ "REDIS_URL", "localhost", false },
	{ "JWT_SECRET_KEY", "", false },
	{ "JWT_SECRET_KEY", "kN8rV2xQ5tY1wE7uI3oP9aS4dF6gH0j", false }, /* 31 */
	{ "JWT_SECRET_KEY", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
	{ "JWT_SECRET_KEY", "abababababababababababababababababababab", false },
	{ "JWT_SECRET_KEY", "your-secret-key-here-change-in-production-please", false },
	{ "JWT_SECRET_KEY", "kN8rV2xQ5tY1wE7uI3oP-changeme-dF6gH0jK", false },
	{ "JWT_SECRET_KEY", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	  true },
	{ "JWT_ALGORITHM", "HS512", true },
	{ "JWT_ALGORITHM", "none", false },
	{ "JWT_ALGORITHM", "hs256", false },
	{ "JWT_EXPIRE_MINUTES", "0", false },
	{ "JWT_EXPIRE_MINUTES", "1441", false },
	{ "PASSWORD_MIN", "7", false },
	{ "BCRYPT_COST", "10", true },
	{ "BCRYPT_COST", "9", false },
	{ "BCRYPT_COST", "16", false },
	{ "CACHE_TTL_SECONDS", "0", false },
	{ "CACHE_WRITE_STRATEGY", "write_behind", false },
	{ "LOG_LEVEL", "DEBUG", true },
	{ "LOG_LEVEL", "loud", false },
	{ "DEFAULT_LANGUAGE", "ko", true },
	{ "DEFAULT_LANGUAGE", "fr", false },
	{ "USHER_ENV", "prod", false },
};

static void
set_variables(const char *name, const char *value)
{
	for (const struct field *f = SETTINGS.field; f->name != NULL; f++)
		unsetenv(f->name);
	setenv("DATABASE_URL", DB, 1);
	setenv("JWT_SECRET_KEY", KEY, 1);
	setenv(name, value, 1);
}

static void
load(void)
{
	struct arena *a = arena_new(16 * 1024);
	struct settings s;

	settings_load(a, "prog", "/nonexistent/.env", NEED_DATABASE | NEED_TOKENS, &s, NULL);
	arena_free(&a);
}

/* In a child, for it may end there: its status, and what it said on standard error. */
static int
status_of_load(const char *name, const char *value, char said[1024])
{
	int pipe_fd[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t child;

	if (pipe(pipe_fd) != 0)
		abort();
	fflush(stdout);
	if ((child = fork()) == 0) {
		dup2(pipe_fd[1], STDERR_FILENO);
		set_variables(name, value);
		load();
		_exit(0);
	}
	close(pipe_fd[1]);
	while (n < 1023 && (got = read(pipe_fd[0], said + n, 1023 - n)) > 0)
		n += (size_t)got;
	said[n] = '\0';
	close(pipe_fd[0]);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool
is_one_line(const char *said)
{
	const char *lf = strchr(said, '\n');

	return lf != NULL && lf[1] == '\0';
}

static void
test_cases(void)
{
	for (size_t i = 0; i < NELEM(CASES); i++) {
		char said[1024];
		const char *name = CASES[i].name, *value = CASES[i].value;
		int status = status_of_load(name, value, said);
		bool secret = field_find(&SETTINGS, 1, name)->secret;

		if (!ok(status == (CASES[i].good ? 0 : 2), "%s=%s: %s", name, value,
			CASES[i].good ? "starts" : "ends with 2"))
			printf("#   status %d, said %s\n", status, said);
		if (CASES[i].good)
			continue;
		ok(is_one_line(said) && strncmp(said, "prog: setting ", 14) == 0 &&
			   strncmp(said + 14, name, strlen(name)) == 0 &&
			   strchr(": ", said[14 + strlen(name)]) != NULL,
		   "%s: one line that names it", name);
		ok(!secret || *value == '\0' || strstr(said, value) == NULL,
		   "%s: a secret is not shown", name);
	}
}

static void
test_rows(void)
{
	int n = 0;

	for (const struct field *f = SETTINGS.field; f->name != NULL; f++, n++) {
		ok(f->help != NULL && *f->help != '\0' && f->use == 1, "%s has a sentence",
		   f->name);
		ok(f->kind != K_INT || f->max > f->min, "%s has bounds", f->name);
		for (const struct field *g = SETTINGS.field; g < f; g++)
			ok(strcmp(f->name, g->name) != 0 && f->off != g->off, "%s is not %s",
			   f->name, g->name);
		if ((strstr(f->name, "URL") != NULL && strcmp(f->name, "PUBLIC_URL") != 0) ||
		    strstr(f->name, "SECRET") != NULL)
			ok(f->secret, "%s is a secret", f->name);
	}
	ok(n <= 64, "all rows have a bit");
}

int
main(void)
{
	test_rows();
	test_cases();
	return tap_end();
}
