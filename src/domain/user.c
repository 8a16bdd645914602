/*
 * user: the statements, the changes. user_page.c has the pages in Redis.
 *
 * A change that touches rights (status, role, existence) concerns the user's sessions
 * too. It takes the user's row first and looks at the sessions in a second statement, so
 * that no login can slip in between; all other changes are one statement.
 */
#include "user.h"

#include <stdio.h>
#include <string.h>

#include "db.h"
#include "doc.h"
#include "kv.h"
#include "log.h"
#include "metric.h"
#include "rnd.h"
#include "text.h"

#include "activity.h"
#include "behind.h"
#include "event.h"
#include "limit.h"
#include "idem.h"
#include "lockout.h"
#include "passwd.h"
#include "profile.h"
#include "session.h"
#include "settings.h"

/* clang-format off */
#define USER_ROW(member_, kind_, ...) \
	{ .name = #member_, .off = offsetof(struct user, member_), .kind = K_##kind_, __VA_ARGS__ },

const struct shape USER = SHAPE_GIVEN(struct user,
	{ F(struct user, id), .use = BY_US, .help = "64-bit number", .example = "1" },
	USER_INPUT(USER_ROW)
	USER_RIGHTS(USER_ROW)
	USER_KEPT(USER_ROW)
	{ F(struct user, password), .use = IN_CREATE, .need = IN_CREATE, .secret = true, .min = 8,
	  .max = 128, .too_short = MSG_PASSWORD_SHORT, .help = "8 to 128 characters, as received",
	  .example = "correct horse battery" },
	{ F(struct user, version), .use = IN_ROW },
	{ F(struct user, behind), .use = IN_ROW },
	{ F(struct user, changed), .use = IN_CHANGED_ROW },
	{ F(struct user, password_hash), .use = IN_LOGIN_ROW | IN_IMPORT, .need = IN_IMPORT,
	  .secret = true, .rule = passwd_rule_hash, .help = "made by another system" },
	{ F(struct user, locked), .use = IN_LOGIN_ROW },
	{ F_AS(struct user, activities, K_JSON), .use = WITH_ACTIVITIES, .of = &ACTIVITY,
	  .of_use = SHOWN, .many = true, .help = "the newest 10, where they are asked for" },
	{ F_AS(struct user, profile, K_SHAPE), .use = WITH_PROFILE, .need = WITH_PROFILE, .of = &PROFILE,
	  .of_use = IN_REPLACE, .help = "what is left out is empty", .example = "{\"bio\":\"등산을 좋아합니다\"}" });
/* clang-format on */

enum {
	CREATE,
	CHANGE,
	CHANGE_ADDRESS,
	LOCK,
	ADMINS,
	AN_ADMIN,
	DELETE,
	BY_EMAIL,
	HAS_ADDRESS,
	PROMOTE
};

/* clang-format off */
/* $5 the fields as JSON, $6 the hash, $7 the language that was spoken to its maker */
#define SQL_INSERT(role)                                                                     \
	"WITH u AS (INSERT INTO users (password_hash, role" USER_INPUT(USER_COLUMN) ")"      \
	" SELECT $6, '" role "'" USER_INPUT(USER_COLUMN_OF_R)                                \
	" FROM jsonb_populate_record(NULL::users, $5::jsonb) r RETURNING *), "               \
	SQL_ACTIVITY("user_created", "새 사용자 계정 생성", "NULL", "u")                     \
	SQL_EVENT("user_created", "u.id", "u.version",                                        \
		  SQL_WHOLE("u") " || jsonb_build_object('language', $7::text)", "u")                  \
	"SELECT " USER_COLUMNS ", true FROM u"

/* Whether the state is the one that If-Match names: $7 the version or NULL, $8 its pending changes;
 * $9 the stamp of what is owed (see behind.h). */
#define SQL_MATCHES(row)                                                                      \
	"($7::bigint IS NULL OR (" row ".version = $7::bigint AND"                           \
	" GREATEST($9::bigint - " row ".behind, 0) = $8::bigint))"

/* $5 id, $6 the fields as JSON, $10 what is owed, as JSON or NULL, $11 whether nobody could tell.
 * `d` is what differs, and all that was owed; nothing does where this very request, which nginx
 * may send twice, was here before. `implied`: what else changes with it, in `column`; `told`: what
 * follows besides. */
#define SQL_CHANGE(implied, column, value, told)                                      \
	"WITH old AS (SELECT * FROM users WHERE id = $5::bigint FOR NO KEY UPDATE), "        \
	"due AS (SELECT " SQL_DUE("old", "$10::jsonb") " AS d, $9::bigint > old.behind AS owed FROM old), " \
	"diff AS (SELECT (SELECT jsonb_object_agg(key, value)" implied " FROM jsonb_each(due.d || $6::jsonb)" \
	"   WHERE due.d ? key OR value IS DISTINCT FROM to_jsonb(old) -> key) AS d, due.owed" \
	"  FROM old, due WHERE " SQL_MATCHES("old")                                           \
	"  AND NOT EXISTS (SELECT FROM (SELECT attempt_id FROM events WHERE user_id = $5::bigint" \
	"    AND version IS NOT NULL ORDER BY version DESC LIMIT 8) newest WHERE attempt_id = $3)), " \
	"news AS (SELECT COALESCE(d, '{}') AS d FROM diff WHERE d IS NOT NULL OR owed), "     \
	"u AS (UPDATE users SET (updated_at" column USER_INPUT(USER_COLUMN) USER_RIGHTS(USER_COLUMN) ")" \
	"  = (SELECT now()" value USER_INPUT(USER_COLUMN_OF_R) USER_RIGHTS(USER_COLUMN_OF_R) \
	"     FROM jsonb_populate_record(users, news.d) r),"                                 \
	"  behind = GREATEST(behind, $9::bigint),"                                           \
	"  blind = CASE WHEN $11::bool THEN COALESCE(blind, '{}') || COALESCE((SELECT"       \
	"    jsonb_object_agg(k, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)" \
	"    FROM jsonb_object_keys(news.d) k), '{}') ELSE blind END"                        \
	"  FROM news WHERE users.id = $5::bigint RETURNING users.*), "                       \
	told                                                                                 \
	SQL_ACTIVITY("user_updated", "사용자 정보 수정",                                     \
		     "jsonb_build_object('fields', (SELECT jsonb_agg(k) FROM jsonb_object_keys(d) k))", \
		     "u, news")                                                              \
	SQL_EVENT("user_updated", "u.id", "u.version", "news.d", "u, news")                  \
	"SELECT " USER_COLUMNS ", u.changed FROM (SELECT u.*, true AS changed FROM u UNION ALL" \
	" SELECT old.*, false FROM old WHERE NOT EXISTS (SELECT FROM u)) u"

/* A new address is not proven: a link goes to it, and word to the old one. $12 the language of
 * who has chosen none. */
#define SQL_UNPROVEN \
	" || CASE WHEN bool_or(key = 'email') THEN '{\"email_verified_at\": null}'::jsonb ELSE '{}' END"
#define SQL_TELL_BOTH                                                                        \
	"m AS (INSERT INTO mail_outbox (event_id, kind, user_id, recipient, language)"       \
	"  SELECT $1::uuid, k.kind, u.id, k.recipient, COALESCE(s.language, $12)"             \
	"  FROM u JOIN old USING (id) LEFT JOIN user_settings s ON s.user_id = u.id,"        \
	"   LATERAL (VALUES ('verify_email', u.email), ('email_changed', old.email)) k(kind, recipient)" \
	"  WHERE u.email <> old.email), "

static const struct db_stmt SQL[] = {
	[CREATE] = { "user_create", SQL_INSERT("user"), 7, true },
	[CHANGE] = { "user_change", SQL_CHANGE("", "", "", ""), 11, true },
	[CHANGE_ADDRESS] = { "user_change_address",
		SQL_CHANGE(SQL_UNPROVEN, ", email_verified_at", ", r.email_verified_at", SQL_TELL_BOTH), 12, true },
	[LOCK] = { "user_lock",
		"SELECT role = 'admin' AND status = 'active' FROM users WHERE id = $1::bigint FOR UPDATE",
		1, false },
	/* until the transaction's end; whoever waits for it has its user's row already, and nobody
	 * who has it waits for another's row */
	[ADMINS] = { "user_lock_admins", "SELECT pg_advisory_xact_lock(7305, 5)", 0, false },
	[AN_ADMIN] = { "user_an_admin",
		"SELECT true FROM users WHERE role = 'admin' AND status = 'active' LIMIT 1", 0, false },
	[DELETE] = { "user_delete",
		"WITH old AS (SELECT * FROM users WHERE id = $5::bigint FOR UPDATE), "
		"u AS (DELETE FROM users WHERE id = $5::bigint AND ($6::bigint IS NULL OR"
		"  (version = $6::bigint AND GREATEST($8::bigint - behind, 0) = $7::bigint))"
		"  RETURNING users.*), "
		SQL_EVENT("user_deleted", "u.id", "u.version + 1",
			  SQL_WHOLE("u") " || jsonb_build_object('sessions', to_jsonb($9::bigint[]))", "u")
		"SELECT " USER_COLUMNS ", u.changed FROM (SELECT u.*, true AS changed FROM u UNION ALL"
		" SELECT old.*, false FROM old WHERE NOT EXISTS (SELECT FROM u)) u", 9, true },
	[BY_EMAIL] = { "user_by_email",
		"SELECT " USER_COLUMNS ", u.password_hash, " SQL_IS_LOCKED("u.id") " FROM users u WHERE "
		SQL_EMAIL_KEY("u.email") " = " SQL_EMAIL_KEY("$1"), 1, false },
	[HAS_ADDRESS] = { "user_has_address",
		"SELECT id FROM users WHERE id = $1::bigint AND email = $2", 2, false },
	[PROMOTE] = { "user_create_admin", SQL_INSERT("admin"), 7, true },
};
const struct db_set USER_STATEMENTS = { SQL, NELEM(SQL) };
/* clang-format on */

/*
 * Changes
 */

/* The fields that the body bears, as JSON for the statement. */
static const char *
fields_json(struct ctx *c, const struct user *in, unsigned use)
{
	struct buf b = buf_new(c->arena, 256);

	doc_print_given(&b, &USER, use, in);
	return b.text;
}

static enum err
taken_or(struct ctx *c, enum err e)
{
	if (e == E_CONFLICT && strcmp(db_constraint(c->db), "users_email_key") == 0)
		return E_EMAIL_TAKEN;
	return e;
}

/* The setting may ask for more characters than the row does. */
enum err
user_check_password(struct ctx *c, const char *name, const char *password)
{
	struct field *row = arena_get(c->arena, sizeof(*row));

	*row = *field_find(&USER, IN_CREATE, "password");
	row->min = c->conf->password_min;
	if ((int64_t)text_count(password) < row->min) {
		fault_add(&c->faults, "body", name, MSG_PASSWORD_SHORT, row);
		return E_INVALID;
	}
	if (passwd_is_common(password))
		return refuse(c, E_INVALID, name, MSG_PASSWORD_COMMON);
	return OK;
}

struct signup {
	struct ctx *c;
	int statement;
	const struct user *in;
	const struct along *along;
	const char *hash;
	struct user *out;
	struct page *answer;
};

static enum err
insert_body(void *arg, struct kept *answer_r)
{
	struct signup *s = arg;
	struct ctx *c = s->c;
	enum err e = db_one(c->db, c->arena, &SQL[s->statement],
			    ARGS(EVENT_ARGS(c), fields_json(c, s->in, IN_ROW), s->hash,
				 msg_lang(c->lang)),
			    &USER, IN_ROW | IN_CHANGED_ROW, s->out);

	if (e != OK)
		return taken_or(c, e);
	user_page_print(c, s->out, 0, s->answer);
	if (s->along != NULL)
		e = s->along->begin(s->along->arg, s->out, s->answer);
	*answer_r = (struct kept){ 201, s->out->id, s->out->version, s->answer->body };
	return e;
}

static enum err
insert(struct signup *s)
{
	enum err e;

	if ((e = user_check_password(s->c, "password", s->in->password)) != OK ||
	    (e = passwd_hash(s->c->arena, s->in->password, &s->hash)) != OK)
		return e;
	return s->along == NULL ? idem_within(s->c, insert_body, s)
				: idem_together(s->c, insert_body, s);
}

enum err
user_create(struct ctx *c, const struct user *in, const struct along *along, struct page *answer_r)
{
	struct user u = { 0 };
	struct signup s = { c, CREATE, in, along, NULL, &u, answer_r };
	struct page page;
	enum err e = insert(&s);

	if (e != OK)
		return e;
	metric_add(METRIC_SIGNUPS, 1);
	log_info(EV("user.created"), KI("user", u.id), KS("email", log_masked(c->arena, u.email)));
	user_publish(c, &u, &page);
	return OK;
}

/* What is under way, in a transaction scope or in one statement. */
struct change {
	struct ctx *c;
	int statement;
	int64_t id;
	const struct tag *if_match; /* NULL: any state */
	const char *fields;
	struct user *out;
	bool lets_in;	   /* an admin says that the user is active: a lock is over too */
	struct owed *owed; /* what was written behind and comes along */
	bool blind;	   /* nobody knows what that is */
	const char *hold;
	bool was_admin; /* an active one, before */
	struct session_ids ended;
};

struct answer {
	bool yes;
};

static const struct shape ANSWER = SHAPE(struct answer, { F(struct answer, yes), .use = 1 });

/* Learn what is owed to the user; where a certain state must be found, hold it. */
static void
begin_change(struct change *ch)
{
	enum err e = ch->if_match == NULL ? behind_read(ch->c, &ch->id, 1, &ch->owed)
					  : behind_hold(ch->c, ch->id, &ch->owed, &ch->hold);

	ch->blind = e != OK;
}

static enum err
end_change(struct change *ch, enum err e)
{
	behind_let_go(ch->c, ch->id, ch->hold);
	return e;
}

static bool
finds_state(const struct change *ch)
{
	return ch->if_match == NULL || (ch->if_match->version == ch->out->version &&
					ch->if_match->pending == behind_pending(ch->owed, ch->out));
}

static const char *
tag_version(const struct change *ch)
{
	return ch->if_match == NULL ? NULL : db_int(ch->c->arena, ch->if_match->version);
}

static const char *
tag_pending(const struct change *ch)
{
	return db_int(ch->c->arena, ch->if_match == NULL ? 0 : ch->if_match->pending);
}

static enum err
change_body(void *arg)
{
	struct change *ch = arg;
	struct ctx *c = ch->c;

	return db_one(c->db, c->arena, &SQL[ch->statement],
		      ARGS(EVENT_ARGS(c), db_int(c->arena, ch->id), ch->fields, tag_version(ch),
			   tag_pending(ch), db_int(c->arena, ch->owed->stamp), ch->owed->fields,
			   ch->blind ? "t" : "f", c->conf->default_language),
		      &USER, IN_ROW | IN_CHANGED_ROW, ch->out);
}

/* The user's row; and where it is an admin's the right to make admins fewer, which one has at a
 * time: two who degrade each other would both see the other stay. */
static enum err
lock(struct change *ch)
{
	struct answer admin;
	enum err e = db_one(ch->c->db, ch->c->arena, &SQL[LOCK], ARGS(db_int(ch->c->arena, ch->id)),
			    &ANSWER, 1, &admin);

	ch->was_admin = e == OK && admin.yes;
	return ch->was_admin ? db_do(ch->c->db, &SQL[ADMINS], NULL, NULL) : e;
}

/* After the change: somebody must be left who can undo it. */
static enum err
keep_an_admin(struct change *ch)
{
	struct answer left;
	enum err e;

	if (!ch->was_admin)
		return OK;
	e = db_one(ch->c->db, ch->c->arena, &SQL[AN_ADMIN], NULL, &ANSWER, 1, &left);
	return e == E_NOT_FOUND ? E_LAST_ADMIN : e;
}

static enum err
change_rights_body(void *arg)
{
	struct change *ch = arg;
	bool locked;
	enum err e;

	if ((e = lock(ch)) != OK || (e = change_body(ch)) != OK || (e = keep_an_admin(ch)) != OK)
		return e;
	if (ch->lets_in && (e = lockout_release(ch->c, ch->id, &locked)) != OK)
		return e;
	return session_of_user(ch->c, ch->id, strcmp(ch->out->status, "active") != 0, &ch->ended);
}

static bool
bears(const struct user *in, unsigned use)
{
	for (const struct field *f = USER.field; f->name != NULL; f++) {
		if ((f->use & use) != 0 && (in->given.set >> (f - USER.field) & 1) != 0)
			return true;
	}
	return false;
}

/* nginx may have sent the request before, when a kept connection broke after the commit:
 * then what looks stale or gone is this request's own doing. */
static enum err
unless_done(struct ctx *c, int64_t id, enum err e)
{
	bool done;

	if (c->attempt_id == NULL || event_was_done(c, id, &done) != OK || !done)
		return e;
	log_info(EV("request.repeated"), KI("user", id));
	return OK;
}

enum err
user_was_deleted_here(struct ctx *c, int64_t id, enum err otherwise)
{
	return unless_done(c, id, otherwise);
}

static enum err
make_change(struct change *ch, bool rights)
{
	struct ctx *c = ch->c;
	enum err e = rights ? db_within(c->db, change_rights_body, ch) : change_body(ch);

	if (e != OK)
		return taken_or(c, e);
	if (!ch->out->changed && !finds_state(ch))
		return unless_done(c, ch->id, E_STALE);
	if (ch->out->changed)
		log_info(EV("user.updated"), KI("user", ch->id), KI("version", ch->out->version));
	if (rights)
		session_rights_changed(c, &ch->ended, ch->out);
	return OK;
}

/* Each change of address sends two mails, and tells of an address whether it is somebody's. Who
 * gives the one that it has already, as a replacement does, is not counted. */
static enum err
may_change_address(struct ctx *c, int64_t id, const struct user *in)
{
	int64_t same;
	enum err e;

	if (in->email == NULL || c->role == ROLE_ADMIN)
		return OK;
	e = db_do(c->db, &SQL[HAS_ADDRESS], ARGS(db_int(c->arena, id), in->email), &same);
	if (e != OK || same > 0)
		return e;
	return limit_take_of_actor(c, ADDRESSES_OF_ACCOUNT);
}

enum err
user_change(struct ctx *c, int64_t id, const struct user *in, const struct tag *if_match,
	    struct page *page_r)
{
	struct user u;
	struct change ch = { .c = c,
			     .statement = in->email == NULL ? CHANGE : CHANGE_ADDRESS,
			     .id = id,
			     .if_match = if_match,
			     .fields = fields_json(c, in, IN_ROW),
			     .out = &u,
			     .lets_in = in->status != NULL && strcmp(in->status, "active") == 0 };
	bool rights = bears(in, BY_ADMIN);
	enum err e;

	if (rights && c->role != ROLE_ADMIN)
		return E_FORBIDDEN;
	if ((e = may_change_address(c, id, in)) != OK)
		return e;
	begin_change(&ch);
	e = make_change(&ch, rights);
	if (e == OK)
		user_publish(c, &u, page_r);
	return end_change(&ch, e);
}

static enum err
delete_body(void *arg)
{
	struct change *ch = arg;
	struct ctx *c = ch->c;
	enum err e;

	if ((e = lock(ch)) != OK || (e = session_of_user(c, ch->id, false, &ch->ended)) != OK)
		return e;
	e = db_one(c->db, c->arena, &SQL[DELETE],
		   ARGS(EVENT_ARGS(c), db_int(c->arena, ch->id), tag_version(ch), tag_pending(ch),
			db_int(c->arena, ch->owed->stamp),
			db_array(c->arena, ch->ended.id, ch->ended.n)),
		   &USER, IN_ROW | IN_CHANGED_ROW, ch->out);
	return e != OK ? e : keep_an_admin(ch);
}

static enum err
make_delete(struct change *ch)
{
	struct ctx *c = ch->c;
	enum err e = db_within(c->db, delete_body, ch);

	if (e == E_NOT_FOUND)
		return unless_done(c, ch->id, E_NOT_FOUND);
	if (e != OK)
		return e;
	if (!ch->out->changed)
		return E_STALE;
	log_info(EV("user.deleted"), KI("user", ch->id));
	if (behind_pending(ch->owed, ch->out) > 0)
		log_warn(EV("behind.dropped"), KI("user", ch->id));
	user_unpublish(c, ch->id, ch->out->version + 1);
	session_gone(c, &ch->ended);
	return OK;
}

enum err
user_delete(struct ctx *c, int64_t id, const struct tag *if_match)
{
	struct user u;
	struct change ch = { .c = c, .id = id, .if_match = if_match, .out = &u };

	begin_change(&ch);
	return end_change(&ch, make_delete(&ch));
}

/*
 * Logins, admins
 */

enum err
user_by_email(struct ctx *c, const char *email, struct user *out_r)
{
	return db_one(c->db, c->arena, &SQL[BY_EMAIL], ARGS(email), &USER, IN_ROW | IN_LOGIN_ROW,
		      out_r);
}

enum err
user_make_admin(struct ctx *c, const struct user *in, struct user *out_r, enum made *made_r)
{
	struct user old, to = { .role = "admin" };
	struct page page;
	struct signup s = { c, PROMOTE, in, NULL, NULL, out_r, &page };
	enum err e = user_by_email(c, in->email, &old);

	*made_r = MADE_NEW;
	if (e == E_NOT_FOUND)
		e = insert(&s);
	else if (e == OK) {
		*made_r = strcmp(old.role, "admin") == 0 ? WAS_ADMIN : MADE_OF_USER;
		to.given.set = UINT64_C(1) << (field_find(&USER, BY_ADMIN, "role") - USER.field);
		e = user_change(c, old.id, &to, NULL, &page);
		*out_r = old;
		return e;
	}
	if (e == OK)
		user_publish(c, out_r, &page);
	return e;
}
