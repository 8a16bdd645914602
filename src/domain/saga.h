/*
 * saga: flows over more than one store, to an end whatever dies meanwhile.
 *
 * A saga is a table of steps, each with what does it and what takes it back, and a row of `sagas`
 * that says how far it has come. The row is committed with the first step. Who has the saga has it
 * until a time, and is numbered: one that hung and comes late finds another number in the row, and
 * moves nothing more. So steps may be done twice at once, and each is harmless then.
 *
 * A sign-up with a profile makes the user, with the saga, in the first database, and the profile in
 * the second. Where that fails the worker at once takes all back: the user is deleted as any other is,
 * the profile removed, which may have to wait for its database. Where the worker died the daemon
 * goes on: forwards a few times, then back, and back until it is done. A user who is deleted meanwhile
 * takes the saga back too. What a late try writes for a user who is gone goes when its event is
 * carried over (see profile.h). Nothing of the password is in the row, and when the saga is over nothing
 * of the profile.
 *
 * With an Idempotency-Key the answer is kept with the first step, and stands once the saga is done:
 * a repetition waits for that. It is forgotten when the saga turns back.
 */
#ifndef SAGA_H
#define SAGA_H

#include "ctx.h"
#include "user.h"

struct db_set;
extern const struct db_set SAGA_STATEMENTS;

/* What a sign-up with a profile answers: documents of USER and PROFILE. */
struct user_with_profile {
	const char *user, *profile, *saga_id;
};

/* A saga as it is told: `steps` are documents of struct saga_step. */
struct saga_seen {
	const char *id, *kind, *state, *steps;
	int64_t user_id;
	const char *created_at, *updated_at;
};

extern const struct shape USER_WITH_PROFILE, SAGA;

/* Sign up, with in->profile. *answer_r: a USER_WITH_PROFILE, with the user's id and version. As
 * user_create; E_UNAVAILABLE: all is being taken back, or was; E_UNCERTAIN: nobody can tell just now
 * how it will end, but it will with both or with neither. */
enum err saga_sign_up(struct ctx *c, const struct user *in, struct page *answer_r) MUST_CHECK;

/* For an admin or the user that it made. E_FORBIDDEN for anybody else, whether or not there is such
 * a saga; E_NO_SAGA. */
enum err saga_read(struct ctx *c, const char *id, struct saga_seen *out_r) MUST_CHECK;

/* Take on a saga that nobody has, and go on with it as far as that can be done now. E_NOT_FOUND:
 * there is none. */
enum err saga_resume(struct ctx *c) MUST_CHECK;

/* How many are neither done nor undone. */
enum err saga_count(struct ctx *c, int64_t *n_r) MUST_CHECK;

#endif
