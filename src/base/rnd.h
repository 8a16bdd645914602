/*
 * rnd: randomness, and the few things that must be done with care around secrets:
 * comparing them in constant time, hashing them, and printing them for a URL.
 */
#ifndef RND_H
#define RND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UUID_SIZE = 37, SHA256_SIZE = 32 };

/* `len` random bytes from the kernel (getrandom); ends the process if it has none. */
void rnd_bytes(void *out, size_t len);

/* A UUIDv7 (RFC 9562, 5.7): 48 bits of wall clock in ms, the rest random. */
void rnd_uuid7(char out[UUID_SIZE]);

/* A number from 0 to `below` - 1, near enough to uniform for spreading TTLs. */
uint32_t rnd_below(uint32_t below);

/* base64url without padding (RFC 4648, 5). `out` holds 4 * ((len + 2) / 3) + 1. */
void rnd_base64url(const void *bytes, size_t len, char *out);

/* The bytes of `len` letters of base64url; `out` holds 3 * len / 4. False where it is none, or not
 * the only way to write these bytes. */
bool rnd_unbase64url(const char *text, size_t len, unsigned char *out, size_t *len_r);

/* Lower-case hexadecimal; `out` holds 2 * len + 1. */
void rnd_hex(const void *bytes, size_t len, char *out);

enum { SECRET_SIZE = 44, SECRET_HASH_SIZE = 65 };

/* A secret for somebody to bring back: 256 random bits as base64url, of which we keep the
 * hash only: SHA-256 in hexadecimal. */
void rnd_secret(char secret[SECRET_SIZE], char hash[SECRET_HASH_SIZE]);

/* The hash of what was brought back, whatever it is. */
void rnd_secret_hash(const char *secret, char hash[SECRET_HASH_SIZE]);

/* Equal? Takes the same time wherever two texts of one length differ. */
bool rnd_same(const void *a, const void *b, size_t len);

/* SHA-256 (FIPS 180-4) by libcrypto. */
void rnd_sha256(const void *bytes, size_t len, unsigned char out[SHA256_SIZE]);

#endif
