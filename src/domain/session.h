/*
 * session: who is signed in. PostgreSQL is the truth, Redis the copy.
 *
 * The copy is `version LF user_id role status`, the version being the user's, so that it
 * is replaced and ended by the same rule as a user's page: only a newer one gives way.
 * An ended session leaves a mark that outlives every access token of it.
 */
#ifndef SESSION_H
#define SESSION_H

#include "user.h"

struct db_set;
extern const struct db_set SESSION_STATEMENTS;

struct session {
	int64_t id;
	struct user user; /* id, role, status and version; whole where it was loaded */
};

/* A row "session id, USER_COLUMNS", all of use 1. */
extern const struct shape SESSION_ROW;

/* What a record of Redis says of session `sid`; any bytes are safe to read. */
enum heard session_record_read(const char *text, size_t len, int64_t sid, struct session *out_r);

/* Ask Redis for the session; the slot to listen at. */
int session_ask(struct ctx *c, int64_t sid);

/* What Redis had. HEARD: alive, *out_r has id, role, status. HEARD_GONE: ended. */
enum heard session_heard(struct ctx *c, int slot, int64_t sid, struct session *out_r);

/* Load those of the `n` sessions that are alive, in one statement, with their users; they
 * and the users' pages are put into Redis. *rows_r, *found_r: in the arena. */
enum err session_load(struct ctx *c, const int64_t *sids, int n, struct session **rows_r,
		      int *found_r) MUST_CHECK;

/* The alive sessions of a user. `end`: end them. Within the transaction that changes or
 * deletes the user, after its row is locked. */
struct session_ids {
	int n;
	int64_t *id;
};
enum err session_of_user(struct ctx *c, int64_t user_id, bool end,
			 struct session_ids *out_r) MUST_CHECK;

/* After the commit: tell Redis what the user now is (an inactive one's sessions are over),
 * or that it is no more. */
void session_rights_changed(struct ctx *c, const struct session_ids *ids, const struct user *u);
void session_gone(struct ctx *c, const struct session_ids *ids);

/* Redis may have missed that: tell it again of the sessions that these events ended or gave other
 * rights. `event_ids` is an array literal. Nothing there is touched that is newer. E_UNAVAILABLE
 * where PostgreSQL or Redis is away. */
enum err session_repair(struct ctx *c, const char *event_ids) MUST_CHECK;

#endif
