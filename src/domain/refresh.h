/*
 * refresh: refresh tokens, which rotate at each use (RFC 6749, 6; RFC 9700, 4.14.2).
 *
 * A token is 67 letters of base64url: a family of 144 random bits, one for the whole session,
 * and 256 random bits of its own. Of both only the SHA-256 is kept, so what is stored opens
 * nothing. A token whose family is known and that is neither the current one nor its direct
 * predecessor was current once, or was made by who has seen one: the session ends.
 *
 * Two tabs, or a client that lost the answer, use the same token twice. So for ten seconds the
 * direct predecessor gets the current token again, although that is stored nowhere: at the
 * rotation it was sealed with what only the predecessor's owner has, a pad of
 * SHA-256("usher refresh " predecessor), used for this one text. Who can read the table has
 * the seal and not the pad.
 */
#ifndef REFRESH_H
#define REFRESH_H

#include "session.h"

extern const struct db_set REFRESH_STATEMENTS;

enum { REFRESH_SIZE = 68, REFRESH_GRACE_S = 10 };

/* A token and what is kept of it, hexadecimal; in the arena. */
struct refresh {
	const char *token, *hash, *family_hash;
};

/* The first one of a new session. */
struct refresh refresh_first(struct ctx *c);

/* Use one, in one statement: *s_r is its session with its user as it now is, *token_r what
 * comes after it. E_BAD_REFRESH where it is not ours, is no more, or has ended its session
 * just now, which is then committed and told to all. */
enum err refresh_use(struct ctx *c, const char *token, struct session *s_r,
		     const char **token_r) MUST_CHECK;

#endif
