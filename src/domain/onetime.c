/* onetime: one statement to make a token. */
#include "onetime.h"

#include "db.h"
#include "rnd.h"

#include "mail.h"

enum { MAKE };

/* clang-format off */
/* Whoever sets a password has the user's row for its own first, and drops the mails in a later
 * statement: the mail is gone when we have waited for it, or the token is there to be spent. */
static const struct db_stmt SQL[] = {
	[MAKE] = { "onetime_make",
		"INSERT INTO one_time_tokens (hash, purpose, user_id, address, expires_at)"
		" SELECT decode($1, 'hex'), $2, u.id, u.email, now() + make_interval(mins => $3::int)"
		" FROM users u, mail_outbox m WHERE u.id = $4::bigint AND u.email = $5 AND u.status = 'active'"
		" AND m.id = $6::bigint AND m.state = 'waiting' FOR KEY SHARE OF u FOR SHARE OF m", 6, true },
};
/* clang-format on */
const struct db_set ONETIME_STATEMENTS = { SQL, NELEM(SQL) };

enum err
onetime_make(struct ctx *c, const char *purpose, int64_t minutes, const struct mail *m,
	     const char **token_r)
{
	char *token = arena_get(c->arena, SECRET_SIZE), hash[SECRET_HASH_SIZE];
	int64_t made;
	enum err e;

	rnd_secret(token, hash);
	e = db_do(c->db, &SQL[MAKE],
		  ARGS(hash, purpose, db_int(c->arena, minutes), db_int(c->arena, m->user_id),
		       m->recipient, db_int(c->arena, m->id)),
		  &made);
	*token_r = token;
	return e == OK && made == 0 ? E_NOT_FOUND : e;
}
