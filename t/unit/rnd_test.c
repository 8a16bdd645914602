/* rnd: the forms of what it prints, and known answers. */
#include "rnd.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

#include "arena.h"
#include "tap.h"

/* RFC 4648, section 10, without padding; the last two need the URL's own letters. */
static const struct {
	const char *bytes;
	size_t len;
	const char *text;
} BASE64URL[] = {
	{ "", 0, "" },
	{ "f", 1, "Zg" },
	{ "fo", 2, "Zm8" },
	{ "foo", 3, "Zm9v" },
	{ "foob", 4, "Zm9vYg" },
	{ "fooba", 5, "Zm9vYmE" },
	{ "foobar", 6, "Zm9vYmFy" },
	{ "\xfb\xff\xbf", 3, "-_-_" },
	{ "\0\0\0", 3, "AAAA" },
};

/* FIPS 180-4's examples. */
static const struct {
	const char *text, *hex;
} SHA256[] = {
	{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};

static void
test_tables(void)
{
	for (size_t i = 0; i < NELEM(BASE64URL); i++) {
		char out[16];

		memset(out, '#', sizeof(out));
		rnd_base64url(BASE64URL[i].bytes, BASE64URL[i].len, out);
		is_text(out, BASE64URL[i].text, "base64url without padding");
	}
	for (size_t i = 0; i < NELEM(SHA256); i++) {
		unsigned char digest[SHA256_SIZE];
		char hex[2 * SHA256_SIZE + 1];

		rnd_sha256(SHA256[i].text, strlen(SHA256[i].text), digest);
		rnd_hex(digest, sizeof(digest), hex);
		is_text(hex, SHA256[i].hex, "SHA-256");
	}
}

static bool
has_uuid_form(const char *u)
{
	static const char FORM[] = "xxxxxxxx-xxxx-7xxx-vxxx-xxxxxxxxxxxx";

	for (size_t i = 0; i < sizeof(FORM) - 1; i++) {
		bool hex = isdigit((unsigned char)u[i]) || (u[i] >= 'a' && u[i] <= 'f');
		bool good = FORM[i] == 'x'   ? hex
			    : FORM[i] == 'v' ? u[i] != '\0' && strchr("89ab", u[i]) != NULL
					     : u[i] == FORM[i];

		if (!good)
			return false;
	}
	return u[sizeof(FORM) - 1] == '\0';
}

static int64_t
ms_of(const char *u)
{
	char hex[13];

	memcpy(hex, u, 8);
	memcpy(hex + 8, u + 9, 4);
	hex[12] = '\0';
	return strtoll(hex, NULL, 16);
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
test_uuids(void)
{
	enum { MANY = 2000 };
	static char id[MANY][UUID_SIZE];
	int64_t from = now_ms();
	bool form = true, ordered = true, apart = true, in_time = true;

	for (int i = 0; i < MANY; i++)
		rnd_uuid7(id[i]);
	for (int i = 0; i < MANY; i++) {
		form = form && has_uuid_form(id[i]);
		in_time = in_time && ms_of(id[i]) >= from && ms_of(id[i]) <= now_ms();
		ordered = ordered && (i == 0 || ms_of(id[i]) >= ms_of(id[i - 1]));
		apart = apart && (i == 0 || strcmp(id[i] + 14, id[i - 1] + 14) != 0);
	}
	ok(form, "a UUIDv7 has its version, its variant and its dashes");
	ok(in_time && ordered, "it begins with the time in milliseconds");
	ok(apart, "the rest differs");
}

static void
test_randomness(void)
{
	unsigned char a[64] = { 0 }, b[64] = { 0 };
	bool seen[10] = { false }, within = true;
	int different = 0;

	rnd_bytes(a, sizeof(a));
	rnd_bytes(b, sizeof(b));
	ok(memcmp(a, b, sizeof(a)) != 0, "two draws differ");
	for (int i = 0; i < 1000; i++) {
		uint32_t n = rnd_below(10);

		within = within && n < 10;
		different += n < 10 && !seen[n];
		seen[n % 10] = true;
	}
	ok(within, "a number below 10 is below 10");
	is_int(different, 10, "all of them come up");
	is_int(rnd_below(1), 0, "below 1 there is only 0");
	ok(rnd_same("abcd", "abcd", 4) && !rnd_same("abcd", "abce", 4) &&
		   !rnd_same("xbcd", "abcd", 4),
	   "equal is equal, from the first byte to the last");
	ok(rnd_same("a", "b", 0), "nothing equals nothing");
}

static void
test_secrets(void)
{
	char one[SECRET_SIZE], two[SECRET_SIZE], hash[SECRET_HASH_SIZE], again[SECRET_HASH_SIZE];

	rnd_secret(one, hash);
	rnd_secret(two, again);
	ok(strlen(one) == SECRET_SIZE - 1 && strcmp(one, two) != 0, "two secrets differ");
	rnd_secret_hash(one, again);
	is_text(again, hash, "the hash of what comes back is the one that was kept");
	rnd_secret_hash("abc", hash);
	is_text(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"it is SHA-256");
}

int
main(void)
{
	test_secrets();
	test_tables();
	test_uuids();
	test_randomness();
	return tap_end();
}
