/* life: the server's run_id, beside the run_id that the copies are from. */
#include "life.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "arena.h"
#include "log.h"

enum { CLEARING_MS = 30000, PAGE = 500 };

/* Keys that are copies of what PostgreSQL has and do not say themselves from which life they are. */
static const char *const COPIES[] = { "user:" };

enum { IN_WORK, SAME, TO_CLEAR };

#define RUN_ID "local id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') "

/* KEYS: whose copies these are, who clears. ARGV: ms. */
static const char ASK[] =
	RUN_ID "if redis.call('GET', KEYS[1]) == id then return 1 end "
	       "return redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[1]) and 2 or 0";
static const char CLEARED[] =
	RUN_ID "redis.call('SET', KEYS[1], id) redis.call('DEL', KEYS[2]) return 1";

static int
asked(redisContext *c, const char *script)
{
	redisReply *r =
		redisCommand(c, "EVAL %s 2 cache:life cache:clearing %d", script, CLEARING_MS);
	int answer = r != NULL && r->type == REDIS_REPLY_INTEGER ? (int)r->integer : IN_WORK;

	if (r != NULL && r->type == REDIS_REPLY_ERROR)
		log_warn(EV("redis.life_unknown"), KS("why", r->str));
	freeReplyObject(r);
	return answer;
}

static bool
forget_page(redisContext *c, const redisReply *keys, long long *n_r)
{
	size_t n = keys->elements + 1;
	const char **argv = must_alloc(n * sizeof(*argv));
	size_t *len = must_alloc(n * sizeof(*len));
	redisReply *r;
	bool good;

	argv[0] = "UNLINK";
	len[0] = 6;
	for (size_t i = 0; i < keys->elements; i++) {
		argv[i + 1] = keys->element[i]->str;
		len[i + 1] = keys->element[i]->len;
	}
	r = redisCommandArgv(c, (int)n, argv, len);
	good = r != NULL && r->type == REDIS_REPLY_INTEGER;
	if (good)
		*n_r += r->integer;
	freeReplyObject(r);
	free(argv);
	free(len);
	return good;
}

/* Every key that begins with `prefix`, in steps; false where the connection broke. */
static bool
forget(redisContext *c, const char *prefix, long long *n_r)
{
	char cursor[24] = "0";
	bool good;

	do {
		redisReply *r = redisCommand(c, "SCAN %s MATCH %s* COUNT %d", cursor, prefix, PAGE);

		good = r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2;
		if (good && r->element[1]->elements > 0)
			good = forget_page(c, r->element[1], n_r);
		if (good)
			snprintf(cursor, sizeof(cursor), "%s", r->element[0]->str);
		freeReplyObject(r);
	} while (good && strcmp(cursor, "0") != 0);
	return good;
}

bool
life_begin(redisContext *c)
{
	long long n = 0;
	int answer = asked(c, ASK);

	if (answer != TO_CLEAR)
		return answer == SAME;
	for (size_t i = 0; i < sizeof(COPIES) / sizeof(COPIES[0]); i++) {
		if (!forget(c, COPIES[i], &n))
			return false;
	}
	log_info(EV("redis.new_life"), KI("forgotten", n));
	return asked(c, CLEARED) == SAME;
}
