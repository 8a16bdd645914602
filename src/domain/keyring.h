/*
 * keyring: the keys that sign and verify access tokens; the only file to know libcrypto's.
 *
 * One key signs, all verify, so that keys change without logging anybody out: first the new
 * public key is put where all workers find it, then it signs, and the old one stays until its
 * last token has expired. Each key has one algorithm, its own; a token's word for it only has
 * to be the same (RFC 8725, 3.1). A secret that signed before is three keys, for HS256, HS384 and
 * HS512. A key is found by its kid, which says nothing of a secret: for a public key its
 * thumbprint (RFC 7638).
 */
#ifndef KEYRING_H
#define KEYRING_H

#include "ctx.h"

struct key;

/* Once, at start: JWT_SECRET_KEY and JWT_SECRET_KEY_OLD, or JWT_PRIVATE_KEY_FILE, and JWT_KEYS_DIR.
 * E_BUG, logged, where the key that signs can't be read or is not fit for JWT_ALGORITHM (less
 * than 256 bits for HS, RSA of less than 2048 bits, another curve than P-256), and where one of
 * the others is no key at all. */
enum err keyring_init(const struct settings *conf) MUST_CHECK;

/* The one that signs. Its text is what libjwt wants: the secret, or the private key as PEM. */
const struct key *keyring_signer(void);
const char *key_kid(const struct key *k);
const char *key_text(const struct key *k);

/* The key of this kid, if the algorithm is its own; kid NULL: the one that signs. NULL: none. */
const struct key *keyring_find(const char *kid, const char *algorithm);

/* Is this its signature of the text, in the form of RFC 7518, 3? */
bool key_verifies(const struct key *k, const char *text, size_t len, const unsigned char *signature,
		  size_t signature_len);

/* All public keys as a JWK set (RFC 7517), without any private part; of secrets there are none. */
const char *keyring_jwks(void);

/* A new private key for RS256 (RSA, 3072 bits) or ES256 (P-256): `path`, for its owner alone, and
 * its public half as `path`.pub. Neither may be there before. *kid_r in the arena; E_INVALID for
 * another algorithm; E_CONFLICT, errno set, where a file can't be made. */
enum err keyring_make(struct arena *a, const char *algorithm, const char *path,
		      const char **kid_r) MUST_CHECK;

#endif
