/*
 * lockout: ten wrong passwords in a row lock an account for 15 minutes.
 *
 * Counted in PostgreSQL, within the statements of those who count: wrong passwords at once
 * are each counted once, and what was counted outlives Redis. A lock ends with its time, with
 * a password's reset, or by an admin's hand; attempts at a locked account neither count nor
 * make it longer. Nothing of it is told to who tries: see auth.c.
 */
#ifndef LOCKOUT_H
#define LOCKOUT_H

#include "ctx.h"

#define LOCK_AFTER 10

/* clang-format off */
#define SQL_NUMBER_(n) #n
#define SQL_NUMBER(n) SQL_NUMBER_(n)
#define SQL_LOCK_AFTER SQL_NUMBER(LOCK_AFTER)
#define SQL_LOCK_FOR "interval '15 minutes'"

/* Is the user of this number locked out now? */
#define SQL_IS_LOCKED(user_id_) \
	"EXISTS (SELECT FROM login_failures l WHERE l.user_id = " user_id_ " AND l.locked_until > now())"

/* One more wrong password of user `user_id_` where `if_`. The CTE f answers how many have
 * failed by now, and `locks`: whether it was this one that has locked the account. */
#define SQL_COUNT_FAILURE(user_id_, if_)                                                   \
	"f AS (INSERT INTO login_failures AS l (user_id, failed) SELECT " user_id_ ", 1 WHERE " if_ \
	" ON CONFLICT (user_id) DO UPDATE SET"                                             \
	"  failed = CASE WHEN l.locked_until > now() THEN l.failed ELSE l.failed % " SQL_LOCK_AFTER " + 1 END," \
	"  locked_until = CASE WHEN l.locked_until > now() THEN l.locked_until"            \
	"   WHEN l.failed % " SQL_LOCK_AFTER " + 1 = " SQL_LOCK_AFTER " THEN now() + " SQL_LOCK_FOR " END" \
	" RETURNING failed, locked_until IS NOT NULL AND locked_until = now() + " SQL_LOCK_FOR " AS locks), "

/* Forget them, and the lock, for the users of `from` (a CTE with id): a login, a new password. */
#define SQL_FORGET_FAILURES(from) \
	"forgiven AS (DELETE FROM login_failures WHERE user_id IN (SELECT id FROM " from ")), "
/* clang-format on */

struct db_set;
extern const struct db_set LOCKOUT_STATEMENTS;

/* An admin lets the user in again. *was_r: was the account locked? */
enum err lockout_release(struct ctx *c, int64_t user_id, bool *was_r) MUST_CHECK;

#endif
