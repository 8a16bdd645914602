/*
 * token: access tokens (JWT, RFC 7519; profile of RFC 9068); the only file to know libjwt.
 *
 * The algorithm and the key come from the settings, never from the token (RFC 8725): see
 * keyring. No claim stands twice, and each is of its type. A token is
 * good for nothing by itself: it names a session, and that is asked for every time.
 * Tokens that were verified are remembered, by hash and until they expire.
 */
#ifndef TOKEN_H
#define TOKEN_H

#include "ctx.h"

struct claims {
	int64_t user_id, session, expires_s;
};

/* Once, at start, with the settings. E_BUG, logged, where a key is not fit (keyring_init). */
enum err token_init(const struct settings *conf) MUST_CHECK;

/* A token for this session; *text_r in the arena. */
enum err token_issue(struct ctx *c, int64_t user_id, int64_t session,
		     const char **text_r) MUST_CHECK;

/* Check signature, type, issuer, audience and time; E_BAD_TOKEN for whatever is wrong. */
enum err token_read(const char *text, struct claims *out_r) MUST_CHECK;

/* The value of an Authorization header: E_NO_TOKEN, E_BAD_TOKEN, or the token within it. */
enum err token_bearer(const char *authorization, const char **text_r) MUST_CHECK;

#endif
