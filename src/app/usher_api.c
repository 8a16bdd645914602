/*
 * usher-api: one FastCGI worker. Takes its listening socket on descriptor 0, so any
 * supervisor can run as many as wanted; see README for spawn-fcgi, multiwatch and systemd.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#include "passwd.h"
#include "profile.h"
#include "settings.h"
#include "token.h"

#include "gate.h"
#include "reply.h"
#include "route.h"
#include "turn.h"

enum { REDIS_WAIT_MS = 100 };

static const char *batch_text = "32", *env_file = ".env";

/* clang-format off */
static const struct option_row OPTIONS[] = {
	{ "--batch", "N", "requests a turn at most, 1 to 64 (32); 1 for the pool that hashes", &batch_text },
	{ "--env-file", "FILE", "settings that the environment does not have (.env)", &env_file },
	{ 0 },
};
/* clang-format on */

static const struct program PROGRAM = { "usher-api", "one FastCGI worker, socket on descriptor 0",
					OPTIONS };

static int
batch_size(void)
{
	int64_t n;

	if (text_to_int(batch_text, &n) && n >= 1 && n <= BATCH_MOST)
		return (int)n;
	fprintf(stderr, "usher-api: --batch %s: 1 to %d is allowed\n", batch_text, BATCH_MOST);
	exit(2);
}

/* libfcgi takes and gives back 16 KiB a request, and each time glibc would sweep its bins of
 * small pieces together: a seventh of a cached read. Without such bins there is nothing to
 * sweep; the per-thread cache does their work. */
static void
tune_allocator(void)
{
	mallopt(M_MXFAST, 0);
}

/* A worker starts while PostgreSQL is away, to answer from the cache; but not when a
 * statement does not fit the schema: that is found here and not by a person at noon. */
static bool
open_stores(struct ctx *c, const struct db_conf *conf)
{
	c->kv = kv_open(c->conf->redis_url, REDIS_WAIT_MS, c->conf->slow_ms * 1000);
	c->db = db_open(conf);
	return db_ready(c->db) != E_BUG;
}

int
main(int argc, char **argv)
{
	struct arena *forever = arena_new(16 * 1024);
	struct settings s;
	struct ctx c = { .arena = forever, .conf = &s };
	struct db_conf db, profiles;
	int status = 1;

	tune_allocator();
	service_signals();
	service_options(&PROGRAM, argc, argv);
	settings_load(forever, PROGRAM.name, env_file, NEED_DATABASE | NEED_TOKENS, &s, NULL);
	log_init(PROGRAM.name, s.log_format, s.log_level);
	if (strcmp(s.usher_env, "test") != 0)
		service_keep_memory_private();
	doc_init();
	metric_init(s.metrics_file);
	route_init(forever);
	reply_init(&s);
	db = (struct db_conf){ .url = s.database_url,
			       .program = PROGRAM.name,
			       .sets = ALL_STATEMENTS,
			       .log_sql = s.log_sql,
			       .slow_us = s.slow_ms * 1000 };
	c.profiles = profile_open(&s, PROGRAM.name, &profiles);
	if (token_init(&s) == OK &&
	    passwd_init((int)s.bcrypt_cost, s.password_denylist_file) == OK &&
	    open_stores(&c, &db)) {
		http_init();
		status = turn_run(STDIN_FILENO, batch_size(), &c, gate_turn);
	}
	log_flush();
	kv_close(&c.kv);
	db_close(&c.profiles);
	db_close(&c.db);
	arena_free(&forever);
	return status;
}
