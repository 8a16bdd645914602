/*
 * onetime: tokens that are good once, for one purpose, at one address.
 *
 * A token is made when the mail that bears it is about to leave, and only its hash is kept:
 * there is no table, event or log from which one could be read. It dies by use, by time, and
 * when its user leaves the address that it was sent to.
 */
#ifndef ONETIME_H
#define ONETIME_H

#include "ctx.h"

/* clang-format off */
/* Take the token whose hash is `hash`, in hexadecimal: a row (user_id, address) for one request
 * only, whoever comes at the same moment. */
#define SQL_TAKE_TOKEN(purpose_, hash)                                                    \
	"t AS (UPDATE one_time_tokens SET used_at = now() WHERE hash = decode(" hash ", 'hex')" \
	"  AND purpose = '" purpose_ "' AND used_at IS NULL AND expires_at > now()"      \
	"  RETURNING hash, user_id, address), "
/* clang-format on */

struct db_set;
extern const struct db_set ONETIME_STATEMENTS;

struct mail;

/* A new one for the active user to whom `m` goes; *token_r in the arena. E_NOT_FOUND where there
 * is no such user any more, it has another address, or the mail no longer waits. */
enum err onetime_make(struct ctx *c, const char *purpose, int64_t minutes, const struct mail *m,
		      const char **token_r) MUST_CHECK;

#endif
