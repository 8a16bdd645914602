/* onetime: one statement to make a token. */
#include "onetime.h"

#include "db.h"
#include "rnd.h"

enum { MAKE };

/* clang-format off */
static const struct db_stmt SQL[] = {
	[MAKE] = { "onetime_make",
		"INSERT INTO one_time_tokens (hash, purpose, user_id, address, expires_at)"
		" SELECT decode($1, 'hex'), $2, id, email, now() + make_interval(mins => $3::int)"
		" FROM users WHERE id = $4::bigint AND email = $5 AND status = 'active'", 5, true },
};
/* clang-format on */
const struct db_set ONETIME_STATEMENTS = { SQL, NELEM(SQL) };

enum err
onetime_make(struct ctx *c, const char *purpose, int64_t minutes, int64_t user_id,
	     const char *address, const char **token_r)
{
	char *token = arena_get(c->arena, SECRET_SIZE), hash[SECRET_HASH_SIZE];
	int64_t made;
	enum err e;

	rnd_secret(token, hash);
	e = db_do(c->db, &SQL[MAKE],
		  ARGS(hash, purpose, db_int(c->arena, minutes), db_int(c->arena, user_id),
		       address),
		  &made);
	*token_r = token;
	return e == OK && made == 0 ? E_NOT_FOUND : e;
}
