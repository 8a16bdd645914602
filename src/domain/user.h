/*
 * user: accounts, from the field table that describes them to every change of them.
 *
 * Adding a field to the user is one row in USER_INPUT below, a migration and a test:
 * bodies, replies, statements, events and the manual follow from the row.
 *
 * A page is what GET answers, byte for byte, with its version; it is also what lies in
 * Redis. A change is one statement with its activity, event and outbox row; after the
 * commit the page is put into Redis, where only an older one gives way to it.
 */
#ifndef USER_H
#define USER_H

#include "ctx.h"
#include "rules.h"

/* Where a field appears. */
/* clang-format off */
enum {
	SHOWN = 1,	   /* in replies */
	IN_CREATE = 2,	   /* in UserCreate */
	IN_CHANGE = 4,	   /* in UserUpdate, by PATCH */
	IN_REPLACE = 8,	   /* in UserUpdate, by PUT */
	BY_ADMIN = 16,	   /* in both, by an admin only */
	IN_ROW = 32,	   /* selected with every user */
	IN_CHANGED_ROW = 64, /* what a change answers besides */
	IN_LOGIN_ROW = 128,
	WITH_ACTIVITIES = 256, /* in a list that includes them */
	IN_IMPORT = 512,   /* in what usherctl brings from another system */
	BEHIND = 1024,	   /* may be written behind: needs no look into the database */
	WITH_PROFILE = 2048, /* in a UserCreate that brings a profile along */
};
/* clang-format on */

#define BY_ANYONE (SHOWN | IN_ROW | IN_CREATE | IN_CHANGE | IN_REPLACE | IN_IMPORT)
#define BY_RIGHT (SHOWN | IN_ROW | BY_ADMIN | IN_IMPORT)
#define BY_US (SHOWN | IN_ROW)
#define NEEDED (IN_CREATE | IN_REPLACE | IN_IMPORT)

/* The activity of who was imported, instead of user_created: gets no welcome mail. */
#define ACTIVITY_IMPORTED "user_imported"

/* clang-format off */
/* What the user says of itself. X(member, kind, the rest of the row) */
#define USER_INPUT(X)                                                                       \
	X(name, TEXT, .use = BY_ANYONE | BEHIND, .need = NEEDED, .min = 1, .max = 100, \
	  .rule = rule_line, .help = "what to call the user", .example = "홍길동")           \
	X(email, TEXT, .use = BY_ANYONE, .need = NEEDED, .rule = rule_email, \
	  .help = "unique without regard to case", .example = "hong@example.com")           \
	X(age, INT, .use = BY_ANYONE | BEHIND, .nullable = true, .min = 0, .max = 150,               \
	  .out_of_range = MSG_AGE_RANGE, .help = "years", .example = "30")                  \
	X(phone, TEXT, .use = BY_ANYONE | BEHIND, .nullable = true, .max = 20, .rule = rule_phone,   \
	  .help = "telephone number", .example = "+82 10-1234-5678")                        \
	X(nickname, TEXT, .use = BY_ANYONE | BEHIND, .nullable = true, .max = 50, .rule = rule_line, \
	  .help = "a shorter name", .example = "길동")

/* What only an admin may change. */
#define USER_RIGHTS(X)                                                                      \
	X(status, TEXT, .use = BY_RIGHT, .choices = "active inactive",                      \
	  .help = "an inactive user can't log in", .example = "active")                     \
	X(role, TEXT, .use = BY_RIGHT, .choices = "user admin",                             \
	  .help = "an admin may see and change all users", .example = "user")

/* What usher keeps. */
#define USER_KEPT(X)                                                                        \
	X(login_count, INT, .use = BY_US, .help = "logins so far", .example = "0")          \
	X(created_at, TIME, .use = BY_US, .help = "RFC 3339, UTC",                          \
	  .example = "2026-01-01T00:00:00.000000Z")                                         \
	X(updated_at, TIME, .use = BY_US, .help = "RFC 3339, UTC",                          \
	  .example = "2026-01-01T00:00:00.000000Z")

#define USER_TYPE_TEXT const char *
#define USER_TYPE_TIME const char *
#define USER_TYPE_INT int64_t
#define USER_MEMBER(member, kind, ...) USER_TYPE_##kind member;
/* clang-format on */

/* clang-format off */
struct user {
	struct given given;
	int64_t id;
	USER_INPUT(USER_MEMBER)
	USER_RIGHTS(USER_MEMBER)
	USER_KEPT(USER_MEMBER)
	const char *password;	   /* in UserCreate only */
	int64_t version;
	int64_t behind;		   /* how many written-behind changes are in the row; see behind.h */
	bool changed;		   /* by the statement that answered this row */
	const char *password_hash; /* at login only */
	bool locked;		   /* as above: no password is right now, see lockout.h */
	const char *activities; /* JSON, in a list that includes them only */
	const struct profile *profile; /* in a UserCreate that brings one only */
};
/* clang-format on */

extern const struct shape USER;

/* The columns of a row of use IN_ROW, of the table or CTE `u`; and names alone, each with a
 * comma before it. */
/* clang-format off */
#define USER_COLUMN_OF_U(member, ...) ", u." #member
#define USER_COLUMN_OF_R(member, ...) ", r." #member
#define USER_COLUMN(member, ...) ", " #member
#define USER_COLUMNS \
	"u.id" USER_INPUT(USER_COLUMN_OF_U) USER_RIGHTS(USER_COLUMN_OF_U) \
	USER_KEPT(USER_COLUMN_OF_U) ", u.version, u.behind"
/* clang-format on */

struct db_set;
extern const struct db_set USER_STATEMENTS, USER_PAGE_STATEMENTS;

struct page {
	int64_t id, version;
	int64_t pending;  /* how many written-behind changes it has that the version has not */
	int64_t behind;	  /* and how many had reached the version */
	const char *body; /* JSON */
	size_t len;
	bool hit; /* from Redis */
};

/* Which state of a user a change must find: an entity tag of ours. */
struct tag {
	int64_t version, pending;
};

/* Reading, in the two halves of a turn. */

/* Ask Redis for the page of `id`; the slot to listen at. */
int user_ask(struct ctx *c, int64_t id);

/* MISSED: nothing was there. HEARD_STALE: something was, but no page to go by. */
enum heard { MISSED, HEARD, HEARD_GONE, HEARD_STALE };

/* What Redis had: HEARD fills *page_r, whose body lives until the turn is over. */
enum heard user_heard(struct ctx *c, int slot, int64_t id, struct page *page_r);

/* What a record of Redis says of user `id`; any bytes are safe to read. */
enum heard user_record_read(const char *text, size_t len, int64_t id, struct page *page_r);

/* A page that several requests of one turn may be waiting for. */
struct wanted {
	int64_t id;
	struct page page;
	bool found;
	bool stale; /* Redis has something that a page must replace */
};

/* Load `n` pages, written-behind changes included, in one statement and put them into Redis. */
enum err user_load(struct ctx *c, struct wanted *w, int n) MUST_CHECK;

/* Rows that a list has brought, as they are with what was written behind. */
enum err user_refresh(struct ctx *c, struct user *rows, int n) MUST_CHECK;

/* The page of a row that is at hand, put into Redis at the end of the turn; only while nothing is
 * written behind (see behind_any). */
void user_page_keep(struct ctx *c, const struct user *u, struct wanted *w);

/* The page that `u`, a row with `pending` written-behind changes applied, makes. */
void user_page_print(struct ctx *c, const struct user *u, int64_t pending, struct page *page_r);

/* What lies in Redis for a page, all of it; and for how many seconds. */
const char *user_record_print(struct ctx *c, const struct page *p);
int64_t user_record_ttl_s(const struct ctx *c);

/* The user is no more, as of `version`: so with its record and with what was written behind, at the
 * next ctx_settle. */
void user_unpublish(struct ctx *c, int64_t id, int64_t version);

/* What Redis has of users, for who compares; in the arena. E_UNAVAILABLE. */
struct cached {
	const char *record; /* "": none */
	enum heard heard;
	struct page page; /* where it is HEARD */
	bool waits;	  /* changes of it are written behind */
};
enum err user_cached(struct ctx *c, const int64_t *ids, int n, struct cached **out_r) MUST_CHECK;

/* Changes */

/* May this be a password, by length and the deny list? E_INVALID, noted for the field `name`. */
enum err user_check_password(struct ctx *c, const char *name, const char *password) MUST_CHECK;

/* What begins with a user, in the transaction that makes it: `begin` may put another answer in
 * the place of the user's own page, for whoever asks again with an Idempotency-Key. */
struct along {
	enum err (*begin)(void *arg, const struct user *u, struct page *answer);
	void *arg;
};

/* Sign up. `along` may be NULL. *answer_r: the page, or what `along` has made of it.
 * E_EMAIL_TAKEN; E_INVALID for a password on the deny list. */
enum err user_create(struct ctx *c, const struct user *in, const struct along *along,
		     struct page *answer_r) MUST_CHECK;

/* Change the fields that `in` bears; if_match NULL: whatever the state. Changes of the user that
 * were written behind and not flushed yet are taken along. A change that
 * changes nothing is OK, with no new version and no event. E_NOT_FOUND, E_STALE,
 * E_EMAIL_TAKEN; E_FORBIDDEN for status or role not by an admin; E_LAST_ADMIN where no active
 * admin would be left. */
enum err user_change(struct ctx *c, int64_t id, const struct user *in, const struct tag *if_match,
		     struct page *page_r) MUST_CHECK;

/* The user is gone, with activities and sessions. E_NOT_FOUND, E_STALE, E_LAST_ADMIN. */
enum err user_delete(struct ctx *c, int64_t id, const struct tag *if_match) MUST_CHECK;

/* nginx repeats a DELETE whose connection broke, and a user who deleted itself has no session
 * any more: OK where this very request did it, else `otherwise`. */
enum err user_was_deleted_here(struct ctx *c, int64_t id, enum err otherwise) MUST_CHECK;

/* For the login: the row of an address with its hash. E_NOT_FOUND. */
enum err user_by_email(struct ctx *c, const char *email, struct user *out_r) MUST_CHECK;

/* Put what a change made of the user into Redis with the next ctx_settle (see
 * CACHE_WRITE_STRATEGY). */
void user_publish(struct ctx *c, const struct user *u, struct page *page_r);

/* The same for many rows, now. */
void user_publish_all(struct ctx *c, const struct user *u, int n);

enum made { MADE_NEW, MADE_OF_USER, WAS_ADMIN };

/* Make or promote an admin, for usherctl. A new one gets `password`; of who is there nothing else
 * changes. */
enum err user_make_admin(struct ctx *c, const struct user *in, struct user *out_r,
			 enum made *made_r) MUST_CHECK;

/* What an event says of a user: nothing older than `version` may be in Redis. */
struct stale {
	int64_t id, version;
	bool gone;
};

/* Put a mark over every cached page that is older. E_UNAVAILABLE. */
enum err user_repair(struct ctx *c, const struct stale *s, int n) MUST_CHECK;

/* All cached users are dropped from Redis; how many there were. */
enum err user_cache_flush(struct ctx *c, int64_t *n_r) MUST_CHECK;

/* "email" as the unique index sees it. */
#define SQL_EMAIL_KEY(text) "lower((" text ") COLLATE \"C\")"

#endif
