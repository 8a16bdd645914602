/*
 * auth: signing in.
 *
 * A stranger, a wrong password, a locked and an inactive account get the same answer after
 * the same work: one hash and two statements. The log and the event tell them apart.
 */
#ifndef AUTH_H
#define AUTH_H

#include "ctx.h"

struct db_set;
extern const struct db_set AUTH_STATEMENTS;

struct sign_in {
	const char *email, *password;
};

struct renewal {
	const char *refresh_token;
};

struct grant {
	const char *access_token, *token_type;
	int64_t expires_in; /* seconds */
	const char *refresh_token;
};

extern const struct shape SIGN_IN, RENEWAL, GRANT;

/* A new session and its tokens; the user's login_count and version go up, with an event.
 * E_LIMITED; E_DENIED for a wrong password, an unknown address, a
 * locked and an inactive user alike. */
enum err auth_sign_in(struct ctx *c, const struct sign_in *in, struct grant *out_r) MUST_CHECK;

/* New tokens for a session by its refresh token, which is used up (see refresh.h).
 * E_BAD_REFRESH. */
enum err auth_refresh(struct ctx *c, const struct renewal *in, struct grant *out_r) MUST_CHECK;

#endif
