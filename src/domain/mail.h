/*
 * mail: the queue of mails, for whoever sends them.
 *
 * A mail is claimed for a while, so that several senders share the queue and the mails of one
 * that died come back. It ends sent, kept (there is no server to send it with), failed (it
 * was refused, or waited too long) or dropped (nobody wants it any more); kept and failed
 * ones can be put back.
 */
#ifndef MAIL_H
#define MAIL_H

#include "ctx.h"

struct db_set;
extern const struct db_set MAIL_STATEMENTS;

/* clang-format off */
struct mail {
	int64_t id, user_id;	/* NO_INT: no user */
	const char *event_id, *kind, *recipient;
	const char *language;	/* en or ko */
	int64_t attempts;	/* this one included */
	int64_t unsettled;	/* of them, the last so many: nobody has said what became of it */
	int64_t waited_s;	/* since it was asked for, or put back */
};
/* clang-format on */

/* The next mail that is due, ours for `lease_s` seconds, and ever longer if those who had it before
 * have not settled it. E_NOT_FOUND: none. */
enum err mail_claim(struct ctx *c, int64_t lease_s, struct mail *out_r) MUST_CHECK;

/* What became of it: a state of the table, and a word on why (or NULL); one that waits on may
 * be tried again after `wait_s`. */
enum err mail_settle(struct ctx *c, const struct mail *m, const char *state, const char *why,
		     int64_t wait_s) MUST_CHECK;

/* How long to wait after so many attempts, seconds: doubled each time, an hour at most. */
int64_t mail_wait_s(const struct ctx *c, int64_t attempts);

/* What an operator sees of a mail; the address is masked. */
struct mail_seen {
	int64_t id;
	const char *state, *kind, *recipient, *created_at;
	int64_t attempts, user_id;
	const char *last_error;
};

/* The newest of a state, or of all but the sent ones where it is NULL. */
enum err mail_list(struct ctx *c, const char *state, int most, struct mail_seen **rows_r,
		   int *n_r) MUST_CHECK;

/* One of them. E_NOT_FOUND. */
enum err mail_find(struct ctx *c, int64_t id, struct mail_seen *out_r) MUST_CHECK;

/* Put a failed or kept one back, or all of them where `id` is NO_INT; *n_r: how many. */
enum err mail_retry(struct ctx *c, int64_t id, int64_t *n_r) MUST_CHECK;

#endif
