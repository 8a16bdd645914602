/* lockout: the statement of those who release. */
#include "lockout.h"

#include "db.h"
#include "log.h"

enum { RELEASE };

/* clang-format off */
static const struct db_stmt SQL[] = {
	[RELEASE] = { "lockout_release",
		"WITH d AS (DELETE FROM login_failures WHERE user_id = $1::bigint RETURNING locked_until)"
		" SELECT COALESCE(bool_or(locked_until > now()), false) FROM d", 1, true },
};
/* clang-format on */
const struct db_set LOCKOUT_STATEMENTS = { SQL, NELEM(SQL) };

struct released {
	bool was;
};

static const struct shape RELEASED = SHAPE(struct released, { F(struct released, was), .use = 1 });

enum err
lockout_release(struct ctx *c, int64_t user_id, bool *was_r)
{
	struct released r = { false };
	enum err e = db_one(c->db, c->arena, &SQL[RELEASE], ARGS(db_int(c->arena, user_id)),
			    &RELEASED, 1, &r);

	*was_r = e == OK && r.was;
	if (*was_r)
		log_info(EV("account.unlocked"), KI("user", user_id));
	return e;
}
