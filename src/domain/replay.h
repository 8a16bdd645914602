/*
 * replay: users rebuilt from their events, as of any version or time, and the proof that these
 * are the users there are.
 *
 * A user is what its events say last of each field; a field that none of them names is null.
 * Times and version are the events' own; as of a time it is the newest version that, with all before
 * it, bears no later one. The password's hash is in no event.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "user.h"

struct db_set;
extern const struct db_set REPLAY_STATEMENTS;

/* The user `id` as of `version` (NO_INT: any) and of the time `at` (RFC 3339; NULL: now).
 * E_NOT_FOUND where it was not there then; E_INVALID for a time that is none. */
enum err replay_user(struct ctx *c, int64_t id, int64_t version, const char *at,
		     struct user *out_r) MUST_CHECK;

/* As of when: one of the two, or now. */
struct moment {
	int64_t version;
	const char *at;
};

extern const struct shape MOMENT;

/* The same for who asks over HTTP: its page, as GET answered it then. E_NOT_FOUND also for a version
 * that there never was; E_INVALID, with the fault noted, for both at once. */
enum err replay_page(struct ctx *c, int64_t id, const struct moment *when,
		     struct page *page_r) MUST_CHECK;

/* One user, compared. */
struct verified {
	struct user user;  /* its row; version NO_INT: there is none, and must be none */
	const char *wrong; /* where row and events differ; NULL: nowhere */
	const char *stale; /* where Redis has something else than the row; NULL: nowhere */
	bool waits;	   /* it has changes written behind: Redis is ahead, as it should be */
};

/* Compare up to `most` users, gone ones too, with ids above `after`: row, events and, where Redis
 * answers, its record. Rows and events are of one moment, Redis's records of one before: what is
 * changed meanwhile may look stale, and does not when asked again. */
enum err replay_verify(struct ctx *c, int64_t after, int most, struct verified **rows_r,
		       int *n_r) MUST_CHECK;

#endif
