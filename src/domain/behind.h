/*
 * behind: changes of users that Redis takes first, and PostgreSQL a moment later.
 *
 * What lies in Redis, and never elsewhere until it is flushed:
 *
 *   dirty:{id}    a hash. field: [stamp, ms, value], the newest change of that field; and
 *                 _stamp, the newest of all; _request and _trace, whose it was
 *   dirty_users   a sorted set: which users, by the ms of their first change not yet flushed
 *   user:{id}     the page with these changes in it, as version.pending
 *   hold:{id}     a change that must find a certain state is under way: no change is taken
 *
 * Stamps count a user's written-behind changes, from 1. The row's `behind` is the highest stamp
 * that it has: whoever changes the row with what is owed to it (the flusher; any synchronous
 * change of the user) sets it in the same statement, under the row's lock. So a change is due
 * where its stamp is higher, for the flusher, for a reader and for a writer alike; it can't
 * be applied twice or forgotten, whoever is killed at whatever moment; and two flushers at
 * once do no harm. What the row has is taken off the hash with the put of its page.
 *
 * Order. A synchronous change takes along what is owed, its own values over it. One made while
 * Redis is away can't: it notes in the row, by field, when it was made (`blind`), and what was
 * taken before then is not due any more. The clocks of Redis and PostgreSQL are compared for
 * that alone.
 *
 * PostgreSQL alone gives versions. Beside the version stands how many changes are pending; the
 * pair only grows. A change that must find a certain state (If-Match) is never written behind.
 */
#ifndef BEHIND_H
#define BEHIND_H

#include "user.h"

struct db_set;
extern const struct db_set BEHIND_STATEMENTS;

#define DIRTY_USERS "dirty_users"

/* "dirty:{id}", in the arena. */
const char *behind_key(struct ctx *c, int64_t id);

/* What Redis has for a user beside its row; stamp 0: nothing. */
struct owed {
	int64_t id, stamp;
	const char *fields;		      /* JSON, by name: [stamp, ms, value]; NULL: nothing */
	const char *request_id, *traceparent; /* of the newest change; NULL: none */
};

/* What is owed to `n` users, in their order, in the arena. E_UNAVAILABLE: nobody knows, and
 * *owed_r says nothing is. */
enum err behind_read(struct ctx *c, const int64_t *ids, int n, struct owed **owed_r) MUST_CHECK;

/* What this turn's round trip says: is something owed to somebody? False where Redis is away. */
bool behind_any(struct ctx *c);

/* Is it sure that nothing is owed to anybody? */
bool behind_none(struct ctx *c);

/* Ask that, in the turn's round trip. */
void behind_ask(struct ctx *c);

/* Those of them who are owed something, for SQL_OWED; NULL: nobody is. All are in it otherwise. */
const char *behind_json(struct ctx *c, const struct owed *owed, int n);

/* How many of the changes the row does not have. */
int64_t behind_pending(const struct owed *o, const struct user *u);

/* Change the fields that `in` bears, all of use BEHIND: in Redis now, in PostgreSQL soon. `page`
 * is what this turn heard of the user, NULL: nothing. *behind_r false: it was made at once, as
 * by user_change (too many are waiting; Redis is away; somebody holds the user). */
enum err behind_change(struct ctx *c, int64_t id, const struct user *in, const struct page *page,
		       struct page *page_r, bool *behind_r) MUST_CHECK;

/* May what `in` bears be written behind? */
bool behind_may(const struct user *in);

/* As behind_read for one, and from now on, for as long as a change may take or until
 * behind_let_go, nothing more of the user is written behind: for a change that must find a
 * certain state. *hold_r NULL with E_UNAVAILABLE. */
enum err behind_hold(struct ctx *c, int64_t id, struct owed **owed_r,
		     const char **hold_r) MUST_CHECK;
void behind_let_go(struct ctx *c, int64_t id, const char *hold);

/* Bring to PostgreSQL what has waited for `age_ms`, of at most `most` users; *n_r says how many
 * these were. E_BUSY: another process has the right to. */
enum err behind_flush(struct ctx *c, int64_t age_ms, int most, int *n_r) MUST_CHECK;

/* How many users wait, and for how long the first of them has (ms). E_UNAVAILABLE. */
struct behind_state {
	int64_t depth, oldest_ms;
};
enum err behind_state(struct ctx *c, struct behind_state *out_r) MUST_CHECK;

/* clang-format off */
/* The text that behind_json makes, as the rows `as`. */
#define SQL_OWED(json, as)                                                                \
	"jsonb_to_recordset(" json "::jsonb) AS " as "(id bigint, stamp bigint, fields jsonb," \
	" event_id uuid, request_id text, traceparent text)"

/* The fields that are still due to the row `u` of users, of the JSON `owed`; {} where none is. */
#define SQL_DUE(u, owed)                                                                  \
	"COALESCE((SELECT jsonb_object_agg(due.key, due.value -> 2) FROM jsonb_each(" owed ") due" \
	" WHERE (due.value ->> 0)::bigint > " u ".behind AND (due.value ->> 1)::bigint"   \
	"  >= COALESCE((" u ".blind ->> due.key)::bigint, 0)), '{}'::jsonb)"

/* In a script: of the record at KEYS[1], n is the version and q the pending; q is endless for a
 * mark, which any page must exceed. n is nil for what is nothing of ours. */
#define SCRIPT_HEAD                                                                       \
	"local head = redis.call('GETRANGE', KEYS[1], 0, 63) "                            \
	"local n, tail, first = string.match(head, '^(%d+)([%d.+]*)\\n(.?)') "            \
	"n = tonumber(n) "                                                                \
	"local q = first == '{' and (tonumber(string.match(tail, '^%.(%d+)')) or 0) or math.huge "
/* clang-format on */

#endif
