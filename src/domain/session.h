/*
 * session: who is signed in. PostgreSQL is the truth, Redis the copy.
 *
 * The copy is `version LF user_id role status epoch`, the version being the user's, so that
 * it is replaced and ended by the same rule as a user's page: only a newer one gives way.
 * An ended session leaves a mark that outlives every access token of it. A copy of another
 * epoch than the present one is worth nothing: so the end of a session is felt by the next
 * request everywhere, also when Redis could not be told of it at that moment.
 */
#ifndef SESSION_H
#define SESSION_H

#include "user.h"

struct db_set;
extern const struct db_set SESSION_STATEMENTS;

struct session {
	int64_t id;
	int64_t epoch;	  /* of a copy: when it was written */
	struct user user; /* id, role, status and version; whole where it was loaded */
};

/* A row "session id, USER_COLUMNS", all of use 1; and the same as a part of a longer row, whose
 * struct begins with a struct session. */
extern const struct shape SESSION_ROW;

/* clang-format off */
#define SESSION_USER_ROW(member_, kind_, ...) \
	{ .name = #member_, .off = offsetof(struct session, user.member_), .kind = K_##kind_, .use = 1 },
#define SESSION_ROWS \
	{ F(struct session, id), .use = 1 }, \
	{ .name = "user_id", .off = offsetof(struct session, user.id), .kind = K_INT, .use = 1 }, \
	USER_INPUT(SESSION_USER_ROW) \
	USER_RIGHTS(SESSION_USER_ROW) \
	USER_KEPT(SESSION_USER_ROW) \
	{ .name = "version", .off = offsetof(struct session, user.version), .kind = K_INT, .use = 1 }, \
	{ .name = "behind", .off = offsetof(struct session, user.behind), .kind = K_INT, .use = 1 }
/* clang-format on */

/* What a record of Redis says of session `sid`; any bytes are safe to read. */
enum heard session_record_read(const char *text, size_t len, int64_t sid, struct session *out_r);

/* Ask Redis for the session; the slot to listen at. */
int session_ask(struct ctx *c, int64_t sid);

/* What Redis had. HEARD: alive, *out_r has id, role, status. HEARD_GONE: ended. HEARD_STALE:
 * something is there, but nothing to go by. */
enum heard session_heard(struct ctx *c, int slot, int64_t sid, struct session *out_r);

/* After each round trip to Redis, before what was heard is judged: if the connection is a new
 * one, learn the epoch. Until that is known again no copy is trusted. On an old one look at it
 * again each second, and keep what was known where PostgreSQL does not answer. */
void session_learn_epoch(struct ctx *c);

/* A session to load; `stale`: Redis has something that the copy must replace. */
struct session_wanted {
	int64_t id;
	bool stale;
};

/* Load those of the `n` sessions that are alive, in one statement, with their users; they
 * are put into Redis at the end of the turn. *rows_r, *found_r: in the arena. */
enum err session_load(struct ctx *c, const struct session_wanted *w, int n, struct session **rows_r,
		      int *found_r) MUST_CHECK;

/* The alive sessions of a user. `end`: end them. Within the transaction that changes or
 * deletes the user, after its row is locked. */
struct session_ids {
	int n;
	int64_t *id;
};
enum err session_of_user(struct ctx *c, int64_t user_id, bool end,
			 struct session_ids *out_r) MUST_CHECK;

/* End all of a user's sessions but one (0: all), under the same rule. */
enum err session_end_others(struct ctx *c, int64_t user_id, int64_t but,
			    struct session_ids *out_r) MUST_CHECK;

/* After the commit and before the answer: tell Redis what the user now is (an inactive one's sessions are over),
 * or that it is no more. */
void session_rights_changed(struct ctx *c, const struct session_ids *ids, const struct user *u);
void session_gone(struct ctx *c, const struct session_ids *ids);

/* Redis may have missed that: tell it again of the sessions that these events ended or gave other
 * rights. `event_ids` is an array literal. Nothing there is touched that is newer. E_UNAVAILABLE
 * where PostgreSQL or Redis is away. */
enum err session_repair(struct ctx *c, const char *event_ids) MUST_CHECK;
/* A session as its user sees it. */
struct session_seen {
	int64_t id;
	const char *device, *user_agent, *ip;
	const char *created_at, *last_used_at, *expires_at;
	bool current;
};

struct logout {
	const char *scope; /* "this", "others" or "all" */
};

extern const struct shape SESSION_SEEN, LOGOUT;

/* The actor's sessions that are alive, the one used last first, at most 1000. */
enum err session_list(struct ctx *c, struct session_seen **rows_r, int *n_r) MUST_CHECK;

/* End those sessions of the actor, with one event; OK also where there was none to end. */
enum err session_log_out(struct ctx *c, const char *scope) MUST_CHECK;

/* End one of the actor's; E_NO_SESSION where it has none of that number. One that is over is OK. */
enum err session_end_one(struct ctx *c, int64_t sid) MUST_CHECK;

/* nginx repeats a DELETE whose connection broke: OK where this very request has ended the
 * session, else `otherwise`. */
enum err session_was_ended_here(struct ctx *c, int64_t sid, enum err otherwise) MUST_CHECK;

#endif
