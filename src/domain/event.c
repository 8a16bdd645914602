/* event: ids, and the question whether a request was here before. */
#include "event.h"

#include "db.h"
#include "rnd.h"

enum { WAS_DONE };

/* clang-format off */
static const struct db_stmt SQL[] = {
	[WAS_DONE] = { "event_was_done",
		"SELECT count(*) FROM (SELECT attempt_id FROM events WHERE user_id = $1::bigint"
		" AND version IS NOT NULL ORDER BY version DESC LIMIT 8) newest WHERE attempt_id = $2", 2, false },
};
/* clang-format on */
const struct db_set EVENT_STATEMENTS = { SQL, NELEM(SQL) };

struct count {
	int64_t n;
};

static const struct shape COUNT = SHAPE(struct count, { F(struct count, n), .use = 1 });

const char *
event_new_id(struct ctx *c)
{
	char *id = arena_get(c->arena, UUID_SIZE);

	rnd_uuid7(id);
	return id;
}

enum err
event_was_done(struct ctx *c, int64_t user_id, bool *done_r)
{
	struct count count;
	enum err e = db_one(c->db, c->arena, &SQL[WAS_DONE],
			    ARGS(db_int(c->arena, user_id), c->attempt_id), &COUNT, 1, &count);

	*done_r = e == OK && count.n > 0;
	return e;
}
