/*
 * passwd: hashing and checking passwords; the one place with a policy on cost.
 *
 * bcrypt ($2b$) by libcrypt. bcrypt sees 72 bytes: a longer password is never cut, it
 * goes through SHA-256 and base64 first and its hash is stored under a tag of its own.
 * Hashes made elsewhere that libcrypt knows verify too. Nothing here touches a store.
 */
#ifndef PASSWD_H
#define PASSWD_H

#include "ctx.h"

/* Once, at start: the cost, the deny list (denylist.h; may be NULL), and the hash of nobody. E_BUG when
 * libcrypt can't do it or the file can't be read; logged. */
enum err passwd_init(int cost, const char *denylist_file) MUST_CHECK;

/* The hash of `password` at the set cost, in the arena. About 0.2 s of a core at 12. */
enum err passwd_hash(struct arena *a, const char *password, const char **hash_r) MUST_CHECK;

/* Does it match? `hash` NULL stands for nobody and is false. A hash that libcrypt can't read is
 * false, and logged. It takes as long as a hash of the set cost, whatever the hash, unless
 * that is a dearer one. */
bool passwd_matches(const char *password, const char *hash);

/* How long this process has worked on hashes so far, us of a core. */
int64_t passwd_spent_us(void);

/* A rule for hashes made elsewhere: whole, of a scheme that we verify (bcrypt, yescrypt,
 * gost-yescrypt, scrypt, SHA-512-, SHA-256- and MD5-crypt), and not so costly that a login would
 * hold a worker for long or take much memory. */
enum msg passwd_rule_hash(struct arena *a, const char *text, const char **out_r);

/* Ought this hash be made anew at the next login: of a lower cost, or not ours? */
bool passwd_is_old(const char *hash);

/* Is it on the deny list, whatever the case of its ASCII letters? */
bool passwd_is_common(const char *password);

#endif
