/*
 * account: proving an address, and changing a password with or without the old one.
 *
 * Tokens work once (see onetime.h). What ends sessions is felt by the next request, on any
 * worker. Whether an address is known is told to nobody: a forgotten password is answered
 * after the same work for any address, and the mail follows from the event.
 */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include "ctx.h"

struct db_set;
extern const struct db_set ACCOUNT_STATEMENTS;

struct proof {
	const char *token;
};

struct password_change {
	const char *current_password, *new_password;
};

struct forgotten {
	const char *email;
};

struct password_reset {
	const char *token, *new_password;
};

struct accepted {
	const char *status;
};

extern const struct shape PROOF, PASSWORD_CHANGE, FORGOTTEN, PASSWORD_RESET, ACCEPTED;

/* The address that the token was sent to is its user's. E_INVALID for a token that is not good,
 * or not good any more; OK again for another one of a proven address. */
enum err account_verify_email(struct ctx *c, const struct proof *in) MUST_CHECK;

/* The actor's new password; its other sessions end. A wrong current one counts as at a login
 * and is E_INVALID, as is a new one that may not be; E_LIMITED; E_CONFLICT where another change
 * was quicker. */
enum err account_change_password(struct ctx *c, const struct password_change *in) MUST_CHECK;

/* A mail will go to the address if it is an active user's. E_LIMITED, else OK. */
enum err account_forgot_password(struct ctx *c, const struct forgotten *in) MUST_CHECK;

/* A new password by token: all sessions end, and so does a lock. E_INVALID. */
enum err account_reset_password(struct ctx *c, const struct password_reset *in) MUST_CHECK;

#endif
