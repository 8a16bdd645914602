/*
 * Every statement of the service, prepared against a migrated schema: DATABASE_URL says
 * which. A statement that the schema no longer fits would stop a worker at its start.
 */
#include "db.h"

#include <stdlib.h>

#include "ctx.h"
#include "log.h"
#include "tap.h"

static void
test_rows(const struct db_set *set, int *n_r)
{
	for (int i = 0; i < set->n; i++, ++*n_r) {
		const struct db_stmt *st = &set->stmt[i];
		char next[16];

		ok(st->name != NULL && st->sql != NULL, "row %d has a name and a text", *n_r);
		snprintf(next, sizeof(next), "$%d", st->args + 1);
		ok(strstr(st->sql, next) == NULL, "%s has no more parameters than it says",
		   st->name);
		snprintf(next, sizeof(next), "$%d", st->args);
		ok(st->args == 0 || strstr(st->sql, next) != NULL, "%s has as many", st->name);
		ok(strstr(st->sql, "SELECT *") != st->sql, "%s names its columns", st->name);
	}
}

/* All that one program prepares. */
static void
test_program(const char *program, const struct db_set *const *sets)
{
	const char *url = getenv("DATABASE_URL");
	struct db_conf conf = { .url = url, .program = "statements_test", .sets = sets };
	struct db *db;
	int n = 0;

	for (const struct db_set *const *set = sets; *set != NULL; set++)
		test_rows(*set, &n);
	ok(n > 0, "%s has statements", program);
	if (url == NULL || *url == '\0') {
		ok(true, "all %d of %s are prepared # skip no DATABASE_URL", n, program);
		return;
	}
	db = db_open(&conf);
	ok(db_ready(db) == OK, "all %d of %s are prepared", n, program);
	db_close(&db);
	ok(db == NULL, "and the connection is closed");
}

int
main(void)
{
	log_init("statements_test", "text", "warn");
	test_program("a worker", ALL_STATEMENTS);
	test_program("the daemon", DAEMON_STATEMENTS);
	test_program("the operator's tool", TOOL_STATEMENTS);
	return tap_end();
}
