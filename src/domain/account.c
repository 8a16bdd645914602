/*
 * account: the statements, and the order in which a password changes.
 *
 * Whoever changes a password takes the user's row first, and looks at sessions in a later
 * statement of the transaction: no login with the old password can slip in between. Hashes
 * are made before it begins.
 */
#include "account.h"

#include "db.h"
#include "log.h"
#include "metric.h"
#include "rnd.h"

#include "event.h"
#include "limit.h"
#include "lockout.h"
#include "onetime.h"
#include "passwd.h"
#include "session.h"
#include "user.h"

/* clang-format off */
#define TOKEN_FIELD(T) \
	{ F(T, token), .use = IN_CREATE, .need = IN_CREATE, .secret = true, .min = 1, .max = 100, \
	  .help = "from behind the # of the link in the mail", \
	  .example = "iG0hQMtqRh-on1s8nWjSTDpTGgEJI4_gw5_Q98ZHRpU" }
#define NEW_PASSWORD_FIELD(T) \
	{ F(T, new_password), .use = IN_CREATE, .need = IN_CREATE, .secret = true, .min = 8, .max = 128, \
	  .too_short = MSG_PASSWORD_SHORT, .help = "8 to 128 characters, as received", \
	  .example = "battery staple horse" }

const struct shape PROOF = SHAPE(struct proof, TOKEN_FIELD(struct proof));

const struct shape PASSWORD_CHANGE = SHAPE(struct password_change,
	{ F(struct password_change, current_password), .use = IN_CREATE, .need = IN_CREATE, .secret = true,
	  .min = 1, .max = 128, .help = "the password until now", .example = "correct horse battery" },
	NEW_PASSWORD_FIELD(struct password_change));

const struct shape FORGOTTEN = SHAPE(struct forgotten,
	{ F(struct forgotten, email), .use = IN_CREATE, .need = IN_CREATE, .rule = rule_email,
	  .help = "the account's address", .example = "hong@example.com" });

const struct shape PASSWORD_RESET = SHAPE(struct password_reset,
	TOKEN_FIELD(struct password_reset),
	NEW_PASSWORD_FIELD(struct password_reset));

const struct shape ACCEPTED = SHAPE(struct accepted,
	{ F(struct accepted, status), .use = SHOWN, .help = "always accepted", .example = "accepted" });

enum { VERIFY, ASK_RESET, PEEK, FIND, WRONG, LOCK, CHANGE, RESET };

/* No other token may set a password after this, and none is made for a mail that waits. */
#define SQL_SPEND_TOKENS(but)                                                             \
	"spent AS (UPDATE one_time_tokens o SET used_at = now() FROM u WHERE o.user_id = u.id" \
	"  AND o.purpose = 'reset_password' AND o.used_at IS NULL" but "), "               \
	"unsent AS (UPDATE mail_outbox m SET state = 'dropped', next_try_at = now(),"     \
	"  last_error = 'the password was set meanwhile' FROM u WHERE m.user_id = u.id"   \
	"  AND m.kind = 'reset_password' AND m.state <> 'sent' AND m.state <> 'dropped'), "
#define SQL_PASSWORD_CHANGED(by)                                                          \
	SQL_ACTIVITY("user_password_changed", "비밀번호 변경", "NULL", "u")              \
	SQL_EVENT("user_password_changed", "u.id", "u.version", "jsonb_build_object('by', '" by "')", "u") \
	"SELECT " USER_COLUMNS " FROM u"

/* VERIFY: $5 the token's hash. ASK_RESET: $5 the address, $6 the language spoken. CHANGE: $5 user,
 * $6 the new hash, $7 the hash that was checked. RESET: $5 the token's hash, $6 the new hash. */
static const struct db_stmt SQL[] = {
	[VERIFY] = { "account_verify_email",
		"WITH " SQL_TAKE_TOKEN("verify_email", "$5")
		"old AS (SELECT users.* FROM users JOIN t ON users.id = t.user_id AND users.email = t.address), "
		"u AS (UPDATE users SET email_verified_at = now() FROM t WHERE users.id = t.user_id"
		"  AND users.email = t.address AND users.email_verified_at IS NULL RETURNING users.*), "
		SQL_ACTIVITY("user_email_verified", "이메일 주소 확인", "NULL", "u")
		SQL_EVENT("user_email_verified", "u.id", "u.version",
			  "jsonb_build_object('email', u.email, 'email_verified_at', u.email_verified_at)", "u")
		"SELECT " USER_COLUMNS ", u.changed FROM (SELECT u.*, true AS changed FROM u UNION ALL"
		" SELECT old.*, false FROM old WHERE NOT EXISTS (SELECT FROM u)) u", 5, true },
	/* The same work for a stranger: an event of nobody. */
	[ASK_RESET] = { "account_ask_reset",
		"WITH " SQL_EVENT("user_password_reset_requested",
			"(SELECT id FROM users WHERE " SQL_EMAIL_KEY("email") " = " SQL_EMAIL_KEY("$5")
			" AND status = 'active')", "NULL::bigint",
			"jsonb_build_object('language', $6::text)", "(VALUES (1)) one")
		"SELECT 1", 6, true },
	[PEEK] = { "account_peek",
		"SELECT t.user_id FROM one_time_tokens t JOIN users u ON u.id = t.user_id"
		" AND u.email = t.address AND u.status = 'active' WHERE t.hash = decode($1, 'hex')"
		" AND t.purpose = 'reset_password' AND t.used_at IS NULL AND t.expires_at > now()", 1, false },
	[FIND] = { "account_find",
		"SELECT u.email, u.password_hash, " SQL_IS_LOCKED("u.id") " FROM users u"
		" WHERE u.id = $1::bigint AND u.status = 'active'", 1, false },
	[WRONG] = { "account_wrong_password",
		"WITH " SQL_COUNT_FAILURE("$1::bigint", "true") "one AS (SELECT 1) SELECT locks FROM f", 1, true },
	[LOCK] = { "account_lock", "SELECT id FROM users WHERE id = $1::bigint FOR UPDATE", 1, false },
	[CHANGE] = { "account_change_password",
		"WITH u AS (UPDATE users SET password_hash = $6 WHERE id = $5::bigint AND password_hash = $7"
		"  AND status = 'active' RETURNING *), "
		SQL_FORGET_FAILURES("u")
		SQL_SPEND_TOKENS("")
		SQL_PASSWORD_CHANGED("user"), 7, true },
	[RESET] = { "account_reset_password",
		"WITH " SQL_TAKE_TOKEN("reset_password", "$5")
		"u AS (UPDATE users SET password_hash = $6 FROM t WHERE users.id = t.user_id"
		"  AND users.email = t.address AND users.status = 'active' RETURNING users.*), "
		SQL_FORGET_FAILURES("u")
		SQL_SPEND_TOKENS(" AND o.hash <> decode($5, 'hex')")
		SQL_PASSWORD_CHANGED("reset"), 6, true },
};
const struct db_set ACCOUNT_STATEMENTS = { SQL, NELEM(SQL) };

/* What FIND answers. */
struct credentials {
	const char *email, *password_hash;
	bool locked;
};

static const struct shape CREDENTIALS = SHAPE(struct credentials,
	{ F(struct credentials, email), .use = 1 },
	{ F(struct credentials, password_hash), .use = 1, .secret = true },
	{ F(struct credentials, locked), .use = 1 });

struct answer {
	int64_t user_id;
	bool locks;
};

static const struct shape ANSWER = SHAPE(struct answer,
	{ F(struct answer, user_id), .use = 1 },
	{ F(struct answer, locks), .use = 2 });
/* clang-format on */

static const char *
hash_of(struct ctx *c, const char *token)
{
	char *hash = arena_get(c->arena, SECRET_HASH_SIZE);

	rnd_secret_hash(token, hash);
	return hash;
}

static enum err
no_good(struct ctx *c)
{
	log_info(EV("token.refused"));
	return refuse(c, E_INVALID, "token", MSG_ONE_TIME_TOKEN);
}

enum err
account_verify_email(struct ctx *c, const struct proof *in)
{
	struct user u;
	struct page page;
	enum err e =
		db_one(c->db, c->arena, &SQL[VERIFY], ARGS(EVENT_ARGS(c), hash_of(c, in->token)),
		       &USER, IN_ROW | IN_CHANGED_ROW, &u);

	if (e == E_NOT_FOUND)
		return no_good(c);
	if (e != OK || !u.changed)
		return e;
	log_info(EV("email.verified"), KI("user", u.id));
	user_publish(c, &u, &page);
	return OK;
}

enum err
account_forgot_password(struct ctx *c, const struct forgotten *in)
{
	enum err e = limit_take(c, FORGOT_OF_ACCOUNT, in->email);

	return e != OK ? e
		       : db_do(c->db, &SQL[ASK_RESET],
			       ARGS(EVENT_ARGS(c), in->email, msg_lang(c->lang)), NULL);
}

/*
 * New passwords
 */

/* What is under way in a transaction scope. */
struct renewal {
	struct ctx *c;
	int statement;
	int64_t user_id, keep; /* the session that stays, or 0 */
	const char *const *args;
	struct user u;
	struct session_ids ended;
};

static enum err
renew_body(void *arg)
{
	struct renewal *r = arg;
	struct ctx *c = r->c;
	enum err e;

	if ((e = db_do(c->db, &SQL[LOCK], ARGS(db_int(c->arena, r->user_id)), NULL)) != OK ||
	    (e = db_one(c->db, c->arena, &SQL[r->statement], r->args, &USER, IN_ROW, &r->u)) != OK)
		return e;
	return session_end_others(c, r->user_id, r->keep, &r->ended);
}

static enum err
renew(struct renewal *r)
{
	struct ctx *c = r->c;
	struct page page;
	enum err e = db_within(c->db, renew_body, r);

	if (e != OK)
		return e;
	metric_add(METRIC_PASSWORDS_CHANGED, 1);
	log_info(EV("password.changed"), KI("user", r->user_id), KI("sessions", r->ended.n));
	session_gone(c, &r->ended);
	user_publish(c, &r->u, &page);
	return OK;
}

enum err
account_reset_password(struct ctx *c, const struct password_reset *in)
{
	const char *token = hash_of(c, in->token), *hash;
	struct answer found;
	enum err e = db_one(c->db, c->arena, &SQL[PEEK], ARGS(token), &ANSWER, 1, &found);
	enum err may;

	/* no hash is made for a guess */
	if (e != OK && e != E_NOT_FOUND)
		return e;
	if (e == E_NOT_FOUND)
		e = no_good(c);
	may = user_check_password(c, "new_password", in->new_password);
	if (e != OK || may != OK)
		return E_INVALID;
	if ((e = passwd_hash(c->arena, in->new_password, &hash)) != OK)
		return e;
	e = renew(&(struct renewal){ .c = c,
				     .statement = RESET,
				     .user_id = found.user_id,
				     .args = ARGS(EVENT_ARGS(c), token, hash) });
	return e == E_NOT_FOUND ? no_good(c) : e; /* another was quicker */
}

/* Guessing goes on nowhere: a stolen session's guesses count as those of a login. */
static enum err
refuse_current(struct ctx *c, const struct credentials *k)
{
	struct answer a = { 0 };
	enum err e = OK;

	if (!k->locked)
		e = db_one(c->db, c->arena, &SQL[WRONG], ARGS(db_int(c->arena, c->actor)), &ANSWER,
			   2, &a);
	if (e != OK)
		return e == E_CONFLICT ? E_BAD_TOKEN : e; /* deleted meanwhile */
	log_info(EV("password.refused"), KI("user", c->actor));
	if (a.locks) {
		metric_add(METRIC_LOCKED, 1);
		log_warn(EV("account.locked"), KI("user", c->actor), KI("failures", LOCK_AFTER));
	}
	return refuse(c, E_INVALID, "current_password", MSG_PASSWORD_WRONG);
}

enum err
account_change_password(struct ctx *c, const struct password_change *in)
{
	struct credentials k;
	const char *hash;
	enum err e;

	if ((e = user_check_password(c, "new_password", in->new_password)) != OK)
		return e;
	e = db_one(c->db, c->arena, &SQL[FIND], ARGS(db_int(c->arena, c->actor)), &CREDENTIALS, 1,
		   &k);
	if (e != OK)
		return e == E_NOT_FOUND ? E_BAD_TOKEN : e;
	if ((e = limit_take(c, LOGINS_OF_ACCOUNT, k.email)) != OK)
		return e;
	/* the right password tells nothing while the account is locked */
	if (!passwd_matches(in->current_password, k.password_hash) || k.locked)
		return refuse_current(c, &k);
	if ((e = passwd_hash(c->arena, in->new_password, &hash)) != OK)
		return e;
	e = renew(&(struct renewal){
		.c = c,
		.statement = CHANGE,
		.user_id = c->actor,
		.keep = c->session,
		.args = ARGS(EVENT_ARGS(c), db_int(c->arena, c->actor), hash, k.password_hash) });
	return e == E_NOT_FOUND ? E_CONFLICT : e;
}
