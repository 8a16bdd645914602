/* auth: the login statement, and the one that records a failed login. */
#include "auth.h"

#include <string.h>

#include "db.h"
#include "log.h"
#include "metric.h"
#include "text.h"

#include "event.h"
#include "limit.h"
#include "lockout.h"
#include "passwd.h"
#include "refresh.h"
#include "settings.h"
#include "token.h"
#include "user.h"

/* clang-format off */
const struct shape SIGN_IN = SHAPE(struct sign_in,
	{ F(struct sign_in, email), .use = IN_CREATE, .need = IN_CREATE, .min = 1, .max = 255,
	  .help = "the address", .example = "hong@example.com" },
	{ F(struct sign_in, password), .use = IN_CREATE, .need = IN_CREATE, .secret = true, .min = 1,
	  .max = 128, .help = "the password", .example = "correct horse battery" });

const struct shape RENEWAL = SHAPE(struct renewal,
	{ F(struct renewal, refresh_token), .use = IN_CREATE, .need = IN_CREATE, .secret = true, .min = 1,
	  .max = 4096, .help = "what came with the access token",
	  .example = "Zk2Tq0mXc4VbN8sJ1rLwP7dYhG5uEaO3iKfMxRtBvCnQyWzSj6lDpHgUe9oIA_4X2k7" });

const struct shape GRANT = SHAPE(struct grant,
	{ F(struct grant, access_token), .use = SHOWN, .help = "for Authorization: Bearer" },
	{ F(struct grant, token_type), .use = SHOWN, .help = "always bearer" },
	{ F(struct grant, expires_in), .use = SHOWN, .help = "life of the access token, seconds" },
	{ F(struct grant, refresh_token), .use = SHOWN, .help = "for a new access token" });
/* clang-format on */

enum { LOGIN, LOGIN_FAILED };

/* LOGIN: $5 user, $6 the hash that was checked, $7 a better hash or NULL, $8 hash of the refresh
 * token, $9 days, $10 address, $11 program, $12 hash of its family. No row where the user, its
 * hash or its status has changed, or somebody's guesses have locked it, since it was read. LOGIN_FAILED: $5 user or
 * NULL, $6 reason; the answer is whether this wrong password has locked the account. */
/* clang-format off */
static const struct db_stmt SQL[] = {
	[LOGIN] = { "auth_login",
		"WITH u AS (UPDATE users SET login_count = login_count + 1,"
		"  password_hash = COALESCE($7, password_hash)"
		"  WHERE id = $5::bigint AND password_hash = $6 AND status = 'active'"
		"  AND NOT " SQL_IS_LOCKED("users.id") " RETURNING *), "
		SQL_FORGET_FAILURES("u")
		"s AS (INSERT INTO sessions (user_id, refresh_hash, expires_at, ip, user_agent, family_hash)"
		"  SELECT u.id, decode($8, 'hex'), now() + make_interval(days => $9::int), $10, $11,"
		"  decode($12, 'hex')"
		"  FROM u RETURNING id), "
		SQL_ACTIVITY("user_login", "로그인", "jsonb_build_object('session_id', s.id)", "u, s")
		SQL_EVENT("user_login", "u.id", "u.version",
			  "jsonb_build_object('login_count', u.login_count, 'session_id', s.id)", "u, s")
		"SELECT s.id, " USER_COLUMNS " FROM u, s", 12, true },
	[LOGIN_FAILED] = { "auth_login_failed",
		"WITH " SQL_COUNT_FAILURE("$5::bigint", "$5 IS NOT NULL AND $6 = 'password'")
		SQL_EVENT("user_login_failed", "$5::bigint", "NULL::bigint",
			  "jsonb_build_object('reason', $6::text)", "(VALUES (1)) one")
		"SELECT COALESCE((SELECT locks FROM f), false)", 6, true },
};
/* clang-format on */
const struct db_set AUTH_STATEMENTS = { SQL, NELEM(SQL) };

static enum err
fill_grant(struct ctx *c, const struct session *s, const char *refresh_token, struct grant *out_r)
{
	out_r->refresh_token = refresh_token;
	out_r->token_type = "bearer";
	out_r->expires_in = c->conf->jwt_expire_minutes * 60;
	return token_issue(c, s->user.id, s->id, &out_r->access_token);
}

struct failed {
	bool locks;
};

static const struct shape FAILED = SHAPE(struct failed, { F(struct failed, locks), .use = 1 });

/* Whatever the reason, it is one statement: who is refused can't tell by the time either. */
static enum err
deny(struct ctx *c, int64_t user_id, const char *reason)
{
	const char *id = user_id == 0 ? NULL : db_int(c->arena, user_id);
	struct failed f;
	enum err e = db_one(c->db, c->arena, &SQL[LOGIN_FAILED], ARGS(EVENT_ARGS(c), id, reason),
			    &FAILED, 1, &f);

	if (e == E_CONFLICT && user_id != 0)
		return deny(c, 0, "unknown"); /* deleted while we were hashing */
	if (e != OK)
		return e;
	metric_add(METRIC_LOGINS_FAILED, 1);
	log_info(EV("login.refused"), KI("user", user_id), KS("reason", reason));
	if (f.locks) {
		metric_add(METRIC_LOCKED, 1);
		log_warn(EV("account.locked"), KI("user", user_id), KI("failures", LOCK_AFTER));
	}
	return E_DENIED;
}

static enum err
open_session(struct ctx *c, const struct user *u, const char *new_hash, struct grant *out_r)
{
	struct session s;
	struct page page;
	struct refresh refresh = refresh_first(c);
	enum err e;

	e = db_one(c->db, c->arena, &SQL[LOGIN],
		   ARGS(EVENT_ARGS(c), db_int(c->arena, u->id), u->password_hash, new_hash,
			refresh.hash, db_int(c->arena, c->conf->refresh_expire_days), c->peer,
			c->agent, refresh.family_hash),
		   &SESSION_ROW, 1, &s);
	if (e != OK)
		return e;
	metric_add(METRIC_LOGINS, 1);
	log_info(EV("session.opened"), KI("user", u->id), KI("session", s.id));
	user_publish(c, &s.user, &page);
	return fill_grant(c, &s, refresh.token, out_r);
}

/* Why not; NULL for who may come in. The right password tells nothing while it is locked. */
static const char *
objection(enum err found, const struct user *u, bool right)
{
	if (found != OK)
		return "unknown";
	if (u->locked)
		return "locked";
	if (!right)
		return "password";
	return strcmp(u->status, "active") == 0 ? NULL : "inactive";
}

/* One try against the hash as it is now; what the user had is left in *u. E_NOT_FOUND or E_CONFLICT
 * where the user changed, or is gone, or was locked, while we were hashing. */
static enum err
try_sign_in(struct ctx *c, const struct sign_in *in, struct user *u, struct grant *out_r)
{
	const char *new_hash = NULL, *why;
	enum err found = user_by_email(c, in->email, u);
	bool right;

	if (found != OK && found != E_NOT_FOUND)
		return found;
	/* A stranger costs one hash too, so the clock tells nobody who lives here. */
	right = passwd_matches(in->password, found == OK ? u->password_hash : NULL);
	if ((why = objection(found, u, right)) != NULL)
		return deny(c, found == OK ? u->id : 0, why);
	if (passwd_is_old(u->password_hash) &&
	    (found = passwd_hash(c->arena, in->password, &new_hash)) != OK)
		return found;
	return open_session(c, u, new_hash, out_r);
}

static bool
has_changed(enum err e)
{
	return e == E_NOT_FOUND || e == E_CONFLICT;
}

enum err
auth_sign_in(struct ctx *c, const struct sign_in *in, struct grant *out_r)
{
	/* trimmed, as where it was signed up with */
	const struct sign_in as = { text_trim(c->arena, in->email), in->password };
	struct user u = { 0 };
	enum err e;

	if ((e = limit_take(c, LOGINS_OF_ACCOUNT, as.email)) != OK)
		return e;
	e = try_sign_in(c, &as, &u, out_r);
	/* Of two logins that meet on an old hash one makes it a new one; the other is as good. */
	if (has_changed(e))
		e = try_sign_in(c, &as, &u, out_r);
	return has_changed(e) ? deny(c, u.id, "changed") : e;
}

enum err
auth_refresh(struct ctx *c, const struct renewal *in, struct grant *out_r)
{
	struct session s;
	const char *next;
	enum err e = refresh_use(c, in->refresh_token, &s, &next);

	return e != OK ? e : fill_grant(c, &s, next, out_r);
}
