/* rnd: the kernel's randomness, libcrypto's SHA-256. */
#include "rnd.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

void
rnd_bytes(void *out, size_t len)
{
	unsigned char *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n <= 0)
			continue; /* EINTR only: the pool is up long before we are */
		p += n;
		len -= (size_t)n;
	}
}

void
rnd_hex(const void *bytes, size_t len, char *out)
{
	static const char DIGITS[] = "0123456789abcdef";
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++) {
		*out++ = DIGITS[p[i] >> 4];
		*out++ = DIGITS[p[i] & 15];
	}
	*out = '\0';
}

void
rnd_uuid7(char out[UUID_SIZE])
{
	unsigned char b[16];
	char hex[33];
	struct timespec t;
	uint64_t ms;

	clock_gettime(CLOCK_REALTIME, &t);
	ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	rnd_bytes(b, sizeof(b));
	for (int i = 0; i < 6; i++)
		b[i] = (unsigned char)(ms >> (40 - 8 * i));
	b[6] = (unsigned char)(0x70 | (b[6] & 0x0f));
	b[8] = (unsigned char)(0x80 | (b[8] & 0x3f));
	rnd_hex(b, sizeof(b), hex);
	snprintf(out, UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
		 hex + 20);
}

uint32_t
rnd_below(uint32_t below)
{
	uint32_t n;

	assert(below > 0);
	rnd_bytes(&n, sizeof(n));
	return n % below;
}

void
rnd_base64url(const void *bytes, size_t len, char *out)
{
	static const char DIGITS[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const unsigned char *p = bytes;
	uint32_t bits = 0;
	int have = 0;

	for (size_t i = 0; i < len; i++) {
		bits = (bits << 8 | p[i]) & 0xffff;
		for (have += 8; have >= 6; have -= 6)
			*out++ = DIGITS[bits >> (have - 6) & 63];
	}
	if (have > 0)
		*out++ = DIGITS[bits << (6 - have) & 63];
	*out = '\0';
}

static int
digit_of(char c)
{
	return c >= 'A' && c <= 'Z'   ? c - 'A'
	       : c >= 'a' && c <= 'z' ? c - 'a' + 26
	       : c >= '0' && c <= '9' ? c - '0' + 52
	       : c == '-'	      ? 62
	       : c == '_'	      ? 63
				      : -1;
}

bool
rnd_unbase64url(const char *text, size_t len, unsigned char *out, size_t *len_r)
{
	uint32_t bits = 0;
	int have = 0;

	*len_r = 0;
	for (size_t i = 0; i < len; i++) {
		int digit = digit_of(text[i]);

		if (digit < 0)
			return false;
		bits = (bits << 6 | (uint32_t)digit) & 0xfff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[(*len_r)++] = (unsigned char)(bits >> have);
		}
	}
	return have < 6 && (bits & ((1u << have) - 1)) == 0;
}

bool
rnd_same(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

void
rnd_sha256(const void *bytes, size_t len, unsigned char out[SHA256_SIZE])
{
	static EVP_MD *md; /* fetched once: the implicit fetch of EVP_sha256() is slow */
	static EVP_MD_CTX *ctx;
	int ok;

	if (ctx == NULL) {
		md = EVP_MD_fetch(NULL, "SHA256", NULL);
		ctx = EVP_MD_CTX_new();
	}
	ok = md != NULL && ctx != NULL && EVP_DigestInit_ex2(ctx, md, NULL) == 1 &&
	     EVP_DigestUpdate(ctx, bytes, len) == 1 && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	if (!ok)
		abort(); /* no SHA-256: nothing of ours can work */
}

void
rnd_secret_hash(const char *secret, char hash[SECRET_HASH_SIZE])
{
	unsigned char digest[SHA256_SIZE];

	rnd_sha256(secret, strlen(secret), digest);
	rnd_hex(digest, sizeof(digest), hash);
}

void
rnd_secret(char secret[SECRET_SIZE], char hash[SECRET_HASH_SIZE])
{
	unsigned char bytes[32];

	rnd_bytes(bytes, sizeof(bytes));
	rnd_base64url(bytes, sizeof(bytes), secret);
	explicit_bzero(bytes, sizeof(bytes));
	rnd_secret_hash(secret, hash);
}
