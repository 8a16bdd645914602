/*
 * profile: what users say of themselves, in a database of its own (PROFILE_DATABASE_URL).
 *
 * No transaction spans two databases. So a change writes its event beside it, into an outbox of
 * the second one, and the event is carried over to the event store of the first, where its id
 * makes it one of its kind: at once by who made the change, else by the daemon. The deletion of
 * a user is noted in the first and carried over likewise. Either may be away meanwhile.
 */
#ifndef PROFILE_H
#define PROFILE_H

#include "ctx.h"

struct db_set;
extern const struct db_set PROFILE_STATEMENTS; /* of the first database */

/* The handle of the second, which connects at its first use; NULL where none is set. `conf_r`
 * must outlive it. */
struct db_conf;
struct db *profile_open(const struct settings *s, const char *program, struct db_conf *conf_r);

struct profile {
	int64_t user_id;
	const char *bio, *avatar_url, *locale, *timezone, *links, *updated_at;
	bool changed; /* by the statement that answered this row */
};

/* Rows of use SHOWN in answers, of IN_REPLACE in the body of a PUT. */
extern const struct shape PROFILE;

/* E_NOT_FOUND: no such user. E_NO_PROFILE: it has none. */
enum err profile_read(struct ctx *c, int64_t user_id, struct profile *out_r) MUST_CHECK;

/* What is left out is emptied. A change that changes nothing is OK, without an event. */
enum err profile_replace(struct ctx *c, int64_t user_id, const struct profile *in,
			 struct profile *out_r) MUST_CHECK;

/* Those calls need the second database: E_UNAVAILABLE, logged, where none is set. */
enum err profile_store_is_set(struct ctx *c) MUST_CHECK;

/* The first that a new user says, `says` as JSON of use IN_REPLACE, as of the time `at`. OK, and
 * nothing changes, where it has said something already. Whether there is such a user is not looked
 * at: what is written for who is gone goes when its event is carried over. */
enum err profile_create(struct ctx *c, int64_t user_id, const char *says,
			const char *at) MUST_CHECK;

/* There is no profile of this user from now on; of who had none either. */
enum err profile_remove(struct ctx *c, int64_t user_id) MUST_CHECK;

/* Carry over what waits, at most `most` of each kind; *n_r: how many there were. */
enum err profile_carry(struct ctx *c, int most, int *n_r) MUST_CHECK;

#endif
