/*
 * user: the statements, the pages in Redis, the changes.
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
#include "event.h"
#include "lockout.h"
#include "passwd.h"
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
	{ F(struct user, changed), .use = IN_CHANGED_ROW },
	{ F(struct user, password_hash), .use = IN_LOGIN_ROW | IN_IMPORT, .need = IN_IMPORT,
	  .secret = true, .rule = passwd_rule_hash, .help = "made by another system" },
	{ F(struct user, locked), .use = IN_LOGIN_ROW },
	{ F_AS(struct user, activities, K_JSON), .use = WITH_ACTIVITIES, .of = &ACTIVITY,
	  .of_use = SHOWN, .many = true, .help = "the newest 10, where they are asked for" });
/* clang-format on */

enum { CREATE, CHANGE, LOCK, DELETE, LOAD, BY_EMAIL, PROMOTE };

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

/* $5 id, $6 the fields as JSON, $7 the version it must have or NULL. `d` is what differs; nothing
 * does where this very request, which nginx may send twice, was here before. */
#define SQL_CHANGE                                                                    \
	"WITH old AS (SELECT * FROM users WHERE id = $5::bigint FOR NO KEY UPDATE), "        \
	"diff AS (SELECT (SELECT jsonb_object_agg(key, value) FROM jsonb_each($6::jsonb)"    \
	"   WHERE value IS DISTINCT FROM to_jsonb(old) -> key) AS d"                         \
	"  FROM old WHERE ($7::bigint IS NULL OR old.version = $7::bigint)"                  \
	"  AND NOT EXISTS (SELECT FROM (SELECT attempt_id FROM events WHERE user_id = $5::bigint" \
	"    ORDER BY version DESC NULLS LAST LIMIT 8) newest WHERE attempt_id = $3)), "      \
	"u AS (UPDATE users SET (updated_at" USER_INPUT(USER_COLUMN) USER_RIGHTS(USER_COLUMN) ")" \
	"  = (SELECT now()" USER_INPUT(USER_COLUMN_OF_R) USER_RIGHTS(USER_COLUMN_OF_R)       \
	"     FROM jsonb_populate_record(users, diff.d) r)"                                  \
	"  FROM diff WHERE users.id = $5::bigint AND diff.d IS NOT NULL RETURNING users.*), " \
	SQL_ACTIVITY("user_updated", "사용자 정보 수정",                                     \
		     "jsonb_build_object('fields', (SELECT jsonb_agg(k) FROM jsonb_object_keys(d) k))", \
		     "u, diff")                                                              \
	SQL_EVENT("user_updated", "u.id", "u.version", "diff.d", "u, diff")                  \
	"SELECT " USER_COLUMNS ", u.changed FROM (SELECT u.*, true AS changed FROM u UNION ALL" \
	" SELECT old.*, false FROM old WHERE NOT EXISTS (SELECT FROM u)) u"

static const struct db_stmt SQL[] = {
	[CREATE] = { "user_create", SQL_INSERT("user"), 7, true },
	[CHANGE] = { "user_change", SQL_CHANGE, 7, true },
	[LOCK] = { "user_lock", "SELECT id FROM users WHERE id = $1::bigint FOR UPDATE", 1, false },
	[DELETE] = { "user_delete",
		"WITH old AS (SELECT * FROM users WHERE id = $5::bigint FOR UPDATE), "
		"u AS (DELETE FROM users WHERE id = $5::bigint AND ($6::bigint IS NULL OR"
		"  version = $6::bigint) RETURNING users.*), "
		SQL_EVENT("user_deleted", "u.id", "u.version + 1",
			  SQL_WHOLE("u") " || jsonb_build_object('sessions', to_jsonb($7::bigint[]))", "u")
		"SELECT " USER_COLUMNS ", u.changed FROM (SELECT u.*, true AS changed FROM u UNION ALL"
		" SELECT old.*, false FROM old WHERE NOT EXISTS (SELECT FROM u)) u", 7, true },
	[LOAD] = { "user_load",
		"SELECT " USER_COLUMNS " FROM users u WHERE u.id = ANY ($1::bigint[])", 1, false },
	[BY_EMAIL] = { "user_by_email",
		"SELECT " USER_COLUMNS ", u.password_hash, " SQL_IS_LOCKED("u.id") " FROM users u WHERE "
		SQL_EMAIL_KEY("u.email") " = " SQL_EMAIL_KEY("$1"), 1, false },
	[PROMOTE] = { "user_create_admin", SQL_INSERT("admin"), 7, true },
};
const struct db_set USER_STATEMENTS = { SQL, NELEM(SQL) };
/* clang-format on */

enum { TOMBSTONE_S = 30 };

/* A record in Redis is `version LF body`. No body: there is no such user. A '?': there is
 * one, but what was here is stale. */
#define STALE_MARK "?"

static const char *
user_key(struct ctx *c, int64_t id)
{
	return arena_printf(c->arena, "user:%lld", (long long)id);
}

/*
 * Pages
 */

static void
print_page(struct ctx *c, const struct user *u, struct page *page_r)
{
	struct buf b = buf_new(c->arena, 384);

	doc_print(&b, &USER, SHOWN, u);
	*page_r = (struct page){ u->id, u->version, b.text, b.len, false };
}

/* Spread by a tenth either way, so that what was put together does not end together. */
static int64_t
spread_ttl(int64_t ttl_s)
{
	uint32_t tenth = (uint32_t)(ttl_s / 10);

	return ttl_s - tenth + rnd_below(2 * tenth + 1);
}

static struct kv_put
put_of_page(struct ctx *c, const struct page *p)
{
	struct buf b = buf_new(c->arena, p->len + 24);

	buf_int(&b, p->version);
	buf_char(&b, '\n');
	buf_put(&b, p->body, p->len);
	return (struct kv_put){ user_key(c, p->id),
				p->version,
				b.text,
				b.len,
				spread_ttl(c->conf->cache_ttl_seconds),
				false };
}

/* A record without a page: gone, or stale. `version` is what a newer page must exceed. */
static struct kv_put
put_of_mark(struct ctx *c, int64_t id, int64_t version, int64_t floor, const char *mark)
{
	const char *value = arena_printf(c->arena, "%lld\n%s", (long long)floor, mark);

	return (struct kv_put){
		user_key(c, id), version, value, strlen(value), TOMBSTONE_S, false
	};
}

int
user_ask(struct ctx *c, int64_t id)
{
	char key[32];

	snprintf(key, sizeof(key), "user:%lld", (long long)id);
	return kv_ask(c->kv, key);
}

enum heard
user_record_read(const char *text, size_t len, int64_t id, struct page *page_r)
{
	const char *lf = memchr(text, '\n', len < 21 ? len : 21);
	char digits[24] = "";
	int64_t version;

	if (lf == NULL)
		return HEARD_STALE;
	memcpy(digits, text, (size_t)(lf - text));
	if (strlen(digits) != (size_t)(lf - text) || !text_to_int(digits, &version) || version < 0)
		return HEARD_STALE;
	len -= (size_t)(lf + 1 - text);
	if (len == 0)
		return HEARD_GONE;
	if (lf[1] != '{' || lf[len] != '}')
		return HEARD_STALE; /* the mark, or nothing of ours */
	*page_r = (struct page){ id, version, lf + 1, len, true };
	return HEARD;
}

enum heard
user_heard(struct ctx *c, int slot, int64_t id, struct page *page_r)
{
	size_t len;
	const char *text = kv_heard(c->kv, slot, &len);
	enum heard h = text == NULL ? MISSED : user_record_read(text, len, id, page_r);

	metric_add(h == HEARD || h == HEARD_GONE ? METRIC_CACHE_HITS : METRIC_CACHE_MISSES, 1);
	return h;
}

void
user_page_keep(struct ctx *c, const struct user *u, struct wanted *w)
{
	struct kv_put put;

	print_page(c, u, &w->page);
	w->found = true;
	put = put_of_page(c, &w->page);
	put.if_absent = !w->stale;
	kv_put_later(c->kv, &put);
}

static struct wanted *
wanted_with(struct wanted *w, int n, int64_t id)
{
	for (int i = 0; i < n; i++) {
		if (w[i].id == id)
			return &w[i];
	}
	return NULL;
}

/* "No such user" is remembered too, at version 0, which any creation exceeds. */
static void
keep_absence(struct ctx *c, int64_t id)
{
	struct kv_put put = put_of_mark(c, id, 0, 0, "");

	kv_put_later(c->kv, &put);
}

enum err
user_load(struct ctx *c, struct wanted *w, int n)
{
	int64_t *ids = arena_get(c->arena, (size_t)n * sizeof(*ids));
	struct user *rows;
	int found;
	enum err e;

	for (int i = 0; i < n; i++)
		ids[i] = w[i].id;
	e = db_many(c->db, c->arena, &SQL[LOAD], ARGS(db_array(c->arena, ids, n)), &USER, IN_ROW,
		    &rows, &found);
	if (e != OK)
		return e;
	for (int i = 0; i < found; i++) {
		struct wanted *one = wanted_with(w, n, rows[i].id);

		if (one != NULL)
			user_page_keep(c, &rows[i], one);
	}
	for (int i = 0; i < n; i++) {
		if (!w[i].found)
			keep_absence(c, w[i].id);
	}
	return OK;
}

/*
 * Changes
 */

void
user_publish(struct ctx *c, const struct user *u, struct page *page_r)
{
	struct kv_put put;

	print_page(c, u, page_r);
	put = put_of_page(c, page_r);
	if (strcmp(c->conf->cache_write_strategy, "invalidate") == 0)
		put = put_of_mark(c, u->id, u->version, u->version - 1, STALE_MARK);
	kv_put_soon(c->kv, &put);
}

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
static enum err
check_password(struct ctx *c, const char *password)
{
	struct field *row = arena_get(c->arena, sizeof(*row));

	*row = *field_find(&USER, IN_CREATE, "password");
	row->min = c->conf->password_min;
	if ((int64_t)text_count(password) < row->min) {
		fault_add(&c->faults, "body", "password", MSG_PASSWORD_SHORT, row);
		return E_INVALID;
	}
	if (passwd_is_common(password))
		return refuse(c, E_INVALID, "password", MSG_PASSWORD_COMMON);
	return OK;
}

static enum err
insert(struct ctx *c, int statement, const struct user *in, struct user *out_r)
{
	const char *hash;
	enum err e;

	if ((e = check_password(c, in->password)) != OK ||
	    (e = passwd_hash(c->arena, in->password, &hash)) != OK)
		return e;
	e = db_one(c->db, c->arena, &SQL[statement],
		   ARGS(EVENT_ARGS(c), fields_json(c, in, IN_ROW), hash, msg_lang(c->lang)), &USER,
		   IN_ROW | IN_CHANGED_ROW, out_r);
	return taken_or(c, e);
}

enum err
user_create(struct ctx *c, const struct user *in, struct page *page_r)
{
	struct user u;
	enum err e = insert(c, CREATE, in, &u);

	if (e != OK)
		return e;
	metric_add(METRIC_SIGNUPS, 1);
	log_info(EV("user.created"), KI("user", u.id), KS("email", log_masked(c->arena, u.email)));
	user_publish(c, &u, page_r);
	return OK;
}

/* What is under way in a transaction scope. */
struct change {
	struct ctx *c;
	int64_t id, if_version;
	const char *fields;
	struct user *out;
	bool lets_in; /* an admin says that the user is active: a lock is over too */
	struct session_ids ended;
};

static enum err
change_body(void *arg)
{
	struct change *ch = arg;
	struct ctx *c = ch->c;

	return db_one(c->db, c->arena, &SQL[CHANGE],
		      ARGS(EVENT_ARGS(c), db_int(c->arena, ch->id), ch->fields,
			   db_int(c->arena, ch->if_version)),
		      &USER, IN_ROW | IN_CHANGED_ROW, ch->out);
}

static enum err
lock(struct ctx *c, int64_t id)
{
	return db_do(c->db, &SQL[LOCK], ARGS(db_int(c->arena, id)), NULL);
}

static enum err
change_rights_body(void *arg)
{
	struct change *ch = arg;
	bool locked;
	enum err e;

	if ((e = lock(ch->c, ch->id)) != OK || (e = change_body(ch)) != OK)
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

enum err
user_change(struct ctx *c, int64_t id, const struct user *in, int64_t if_version,
	    struct page *page_r)
{
	struct user u;
	struct change ch = { .c = c,
			     .id = id,
			     .if_version = if_version,
			     .fields = fields_json(c, in, IN_ROW),
			     .out = &u,
			     .lets_in = in->status != NULL && strcmp(in->status, "active") == 0 };
	bool rights = bears(in, BY_ADMIN);
	enum err e;

	if (rights && c->role != ROLE_ADMIN)
		return E_FORBIDDEN;
	e = rights ? db_within(c->db, change_rights_body, &ch) : change_body(&ch);
	if (e != OK)
		return taken_or(c, e);
	if (!u.changed && if_version != NO_INT && u.version != if_version &&
	    (e = unless_done(c, id, E_STALE)) != OK)
		return e;
	if (u.changed)
		log_info(EV("user.updated"), KI("user", id), KI("version", u.version));
	if (rights)
		session_rights_changed(c, &ch.ended, &u);
	user_publish(c, &u, page_r);
	return OK;
}

static enum err
delete_body(void *arg)
{
	struct change *ch = arg;
	struct ctx *c = ch->c;
	enum err e;

	if ((e = lock(c, ch->id)) != OK ||
	    (e = session_of_user(c, ch->id, false, &ch->ended)) != OK)
		return e;
	return db_one(c->db, c->arena, &SQL[DELETE],
		      ARGS(EVENT_ARGS(c), db_int(c->arena, ch->id),
			   db_int(c->arena, ch->if_version),
			   db_array(c->arena, ch->ended.id, ch->ended.n)),
		      &USER, IN_ROW | IN_CHANGED_ROW, ch->out);
}

enum err
user_delete(struct ctx *c, int64_t id, int64_t if_version)
{
	struct user u;
	struct change ch = { .c = c, .id = id, .if_version = if_version, .out = &u };
	struct kv_put gone;
	enum err e = db_within(c->db, delete_body, &ch);

	if (e == E_NOT_FOUND)
		return unless_done(c, id, E_NOT_FOUND);
	if (e != OK)
		return e;
	if (!u.changed)
		return E_STALE;
	log_info(EV("user.deleted"), KI("user", id));
	gone = put_of_mark(c, id, u.version + 1, u.version + 1, "");
	kv_put_soon(c->kv, &gone);
	session_gone(c, &ch.ended);
	return OK;
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
user_make_admin(struct ctx *c, const struct user *in, struct user *out_r)
{
	struct user old, to = { .role = "admin" };
	struct page page;
	enum err e = user_by_email(c, in->email, &old);

	if (e == E_NOT_FOUND)
		e = insert(c, PROMOTE, in, out_r);
	else if (e == OK) {
		to.given.set = UINT64_C(1) << (field_find(&USER, BY_ADMIN, "role") - USER.field);
		e = user_change(c, old.id, &to, NO_INT, &page);
		*out_r = old;
		return e;
	}
	if (e == OK)
		user_publish(c, out_r, &page);
	return e;
}

/* Where there is no page the mark is put all the same: a slow reader may be on its way with
 * an old one. */
enum err
user_repair(struct ctx *c, const struct stale *s, int n)
{
	struct kv_put *puts = arena_get(c->arena, (size_t)n * sizeof(*puts) + 1);

	for (int i = 0; i < n; i++)
		puts[i] = s[i].gone ? put_of_mark(c, s[i].id, s[i].version, s[i].version, "")
				    : put_of_mark(c, s[i].id, s[i].version, s[i].version - 1,
						  STALE_MARK);
	return n == 0 ? OK : kv_put(c->kv, puts, n);
}

enum err
user_cache_flush(struct ctx *c, int64_t *n_r)
{
	return kv_forget_all(c->kv, "user:", n_r);
}
