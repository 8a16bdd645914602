/*
 * keyring: keys of every kind sign and verify; one that is not fit ends the start; and no token's
 * word makes a key into another.
 */
#include "keyring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "clock.h"
#include "log.h"
#include "rnd.h"
#include "settings.h"
#include "tap.h"
#include "token.h"

#define SECRET "kN8rV2xQ5tY1wE7uI3oP9aS4dF6gH0jK"
#define NEW_SECRET "Zp4LmX9cVb2Nq7Wr5Ty8Ui1Oa3Sd6Fg0"

/* RFC 7638, 3.1: the example and its thumbprint. */
#define RFC_KID "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
static const char RFC_KEY[] = "-----BEGIN PUBLIC KEY-----\n"
			      "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0vx7agoebGcQSuuPiLJX\n"
			      "ZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tS\n"
			      "oc/BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ/2W+5JsGY4Hc5n9yBXArwl93lqt\n"
			      "7/RN5w6Cf0h4QyQ5v+65YGjQR0/FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0\n"
			      "zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt+bFTWhAI4vMQFh6WeZu0f\n"
			      "M4lFd2NcRwr3XPksINHaQ+G/xBniIqbw0Ls1jF44+csFCur+kEgU8awapJzKnqDK\n"
			      "gwIDAQAB\n"
			      "-----END PUBLIC KEY-----\n";

static struct arena *arena;
static char folder[] = "/tmp/usher-keyring.XXXXXX";

static const char *
in_folder(const char *name)
{
	return arena_printf(arena, "%s/%s", folder, name);
}

static const char *
file_text(const char *path)
{
	char *text = arena_get(arena, 8192);
	FILE *f = fopen(path, "r");

	if (f != NULL) {
		text[fread(text, 1, 8191, f)] = '\0';
		fclose(f);
	}
	return text;
}

static const char *
put_file(const char *name, const char *text)
{
	const char *path = in_folder(name);
	FILE *f = fopen(path, "w");

	if (f != NULL) {
		fputs(text, f);
		fclose(f);
	}
	return path;
}

static void
shell(const char *command)
{
	ok(system(command) == 0, "%.60s", command);
}

static enum err
start(const char *algorithm, const char *secret, const char *old, const char *file, const char *dir)
{
	static struct settings s;

	s = (struct settings){ .jwt_algorithm = algorithm,
			       .jwt_secret_key = secret,
			       .jwt_secret_key_old = old,
			       .jwt_private_key_file = file,
			       .jwt_keys_dir = dir,
			       .jwt_expire_minutes = 30 };
	return token_init(&s);
}

static const char *
issued(void)
{
	struct ctx c = { .arena = arena };
	const char *text = "";

	is_int(token_issue(&c, 42, 7, &text), OK, "a token is issued");
	return text;
}

static bool
is_good(const char *token)
{
	struct claims c;

	return token_read(token, &c) == OK && c.user_id == 42 && c.session == 7;
}

static const char *
base64url(const void *bytes, size_t len)
{
	char *out = arena_get(arena, 4 * ((len + 2) / 3) + 1);

	rnd_base64url(bytes, len, out);
	return out;
}

static const char *
claims_now(void)
{
	return arena_printf(
		arena,
		"{\"use\":\"access\",\"iss\":\"usher\",\"aud\":\"usher\",\"sub\":\"42\","
		"\"sid\":7,\"jti\":\"x\",\"iat\":%lld,\"exp\":%lld}",
		(long long)clock_wall_s(), (long long)clock_wall_s() + 600);
}

static const char *
made(const char *header, const char *key)
{
	const char *claims = claims_now();
	const char *both = arena_printf(arena, "%s.%s", base64url(header, strlen(header)),
					base64url(claims, strlen(claims)));
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)both, strlen(both), mac,
	     &len);
	return arena_printf(arena, "%s.%s", both, base64url(mac, len));
}

/* The token with another header before what was signed. */
static const char *
with_header(const char *token, const char *header)
{
	return arena_printf(arena, "%s%s", base64url(header, strlen(header)), strchr(token, '.'));
}

static void
test_make(void)
{
	const char *es = in_folder("es.pem"), *rs = in_folder("rs.pem"), *kid = NULL;
	struct stat st;

	is_int(keyring_make(arena, "ES256", es, &kid), OK, "a key for ES256 is made");
	ok(kid != NULL && strlen(kid) == 43, "its kid is a thumbprint");
	ok(stat(es, &st) == 0 && (st.st_mode & 0777) == 0600, "for its owner alone");
	ok(strstr(file_text(in_folder("es.pem.pub")), "BEGIN PUBLIC KEY") != NULL,
	   "its public half beside it");
	is_int(keyring_make(arena, "RS256", rs, &kid), OK, "a key for RS256 is made");
	errno = 0;
	is_int(keyring_make(arena, "ES256", es, &kid), E_CONFLICT, "none is written over");
	is_int(errno, EEXIST, "and that is said");
	is_int(keyring_make(arena, "HS256", in_folder("hs"), &kid), E_INVALID, "no secret is made");
	is_int(keyring_make(arena, "ES256", "/nowhere/x", &kid), E_CONFLICT,
	       "nor where nothing is");
}

static const struct {
	const char *algorithm, *file; /* NULL: a secret */
} KINDS[] = {
	{ "HS256", NULL },     { "HS384", NULL },     { "HS512", NULL },
	{ "ES256", "es.pem" }, { "RS256", "rs.pem" },
};

static const char *
header_of(const char *token)
{
	size_t len = strcspn(token, ".");
	unsigned char *out = arena_get(arena, len + 1);

	if (!rnd_unbase64url(token, len, out, &len))
		return "";
	return (const char *)out;
}

static void
test_kinds(void)
{
	for (size_t i = 0; i < NELEM(KINDS); i++) {
		const char *file = KINDS[i].file == NULL ? NULL : in_folder(KINDS[i].file), *token;
		char *other;
		bool secret = file == NULL;

		ok(start(KINDS[i].algorithm, SECRET, NULL, file, NULL) == OK, "start with %s",
		   KINDS[i].algorithm);
		token = issued();
		ok(is_good(token), "%s: read back", KINDS[i].algorithm);
		ok(strstr(header_of(token),
			  arena_printf(arena, "\"alg\":\"%s\"", KINDS[i].algorithm)) != NULL &&
			   strstr(header_of(token), key_kid(keyring_signer())) != NULL,
		   "%s: says its algorithm and key", KINDS[i].algorithm);
		other = arena_text(arena, token);
		other[strlen(other) - 10] ^= 1;
		ok(!is_good(other), "%s: another signature is refused", KINDS[i].algorithm);
		ok(!is_good(arena_printf(arena, "%.*s", (int)strlen(token) - 4, token)),
		   "%s: so is a shorter one", KINDS[i].algorithm);
		ok((strstr(keyring_jwks(), "\"kty\"") == NULL) == secret,
		   "%s: a secret is in no set of public keys, a public key is", KINDS[i].algorithm);
		ok(strstr(keyring_jwks(), "\"d\"") == NULL &&
			   strstr(keyring_jwks(), "\"k\"") == NULL &&
			   strstr(keyring_jwks(), "\"p\"") == NULL,
		   "%s: no private part is", KINDS[i].algorithm);
	}
}

/* With the public key, which everybody has. */
static void
test_confusion(void)
{
	const char *pub = file_text(in_folder("rs.pem.pub")), *kid, *good;
	const char *secret_token;

	is_int(start("RS256", NULL, NULL, in_folder("rs.pem"), NULL), OK, "start with RS256");
	kid = key_kid(keyring_signer());
	good = issued();
	ok(is_good(good), "its token is good");
	ok(!is_good(made("{\"alg\":\"HS256\"}", pub)), "HS256 with the public key: refused");
	ok(!is_good(made(arena_printf(arena, "{\"alg\":\"HS256\",\"kid\":\"%s\"}", kid), pub)),
	   "the same with its kid: refused");
	ok(!is_good(made(arena_printf(arena, "{\"alg\":\"RS256\",\"kid\":\"%s\"}", kid), pub)),
	   "the same that calls itself RS256: refused");
	ok(!is_good(with_header(good,
				arena_printf(arena, "{\"alg\":\"none\",\"kid\":\"%s\"}", kid))),
	   "none: refused");
	ok(!is_good(with_header(good,
				arena_printf(arena, "{\"alg\":\"RS512\",\"kid\":\"%s\"}", kid))),
	   "RS512: refused");
	ok(!is_good(with_header(good, "{\"alg\":\"RS256\",\"kid\":\"another\"}")),
	   "a kid that is nobody's: refused");
	ok(!is_good(with_header(good,
				arena_printf(arena, "{\"alg\":\"RS256\",\"kid\":[\"%s\"]}", kid))),
	   "a kid that is a list: refused");
	is_int(start("HS256", SECRET, NULL, NULL, NULL), OK, "start with HS256");
	ok(!is_good(good), "a token of RS256 where nobody knows its key: refused");
	secret_token = issued();
	ok(is_good(made("{\"alg\":\"HS256\"}", SECRET)),
	   "one without a kid, of the key that signs");
	ok(!is_good(made("{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", SECRET)),
	   "one with crit: refused");
	ok(!is_good(made("{\"alg\":\"HS256\",\"crit\":\"b64\",\"b64\":false}", SECRET)),
	   "though it is no list: refused");
	ok(!is_good(made("{\"alg\":\"HS256\",\"alg\":\"HS256\"}", SECRET)), "alg twice: refused");
	ok(!is_good(made("{\"alg\":\"HS256\",\"kid\":\"\"}", SECRET)), "an empty kid: refused");
	ok(is_good(secret_token), "the one it issued is good");
}

/* Keys change, and nobody is logged out. */
static void
test_rotation(void)
{
	const char *dir = in_folder("keys"), *kid, *by_old, *by_new, *by_rs;

	is_int(start("HS256", SECRET, NULL, NULL, NULL), OK, "start with a secret");
	by_old = issued();
	is_int(start("HS256", NEW_SECRET, SECRET, NULL, NULL), OK,
	       "then with another, and the old one");
	by_new = issued();
	ok(is_good(by_old) && is_good(by_new), "tokens of both are good");
	is_int(start("HS256", NEW_SECRET, NULL, NULL, NULL), OK, "then without the old one");
	ok(!is_good(by_old) && is_good(by_new), "its tokens are good no longer");

	mkdir(dir, 0700);
	is_int(keyring_make(arena, "ES256", in_folder("es2.pem"), &kid), OK, "a second key");
	is_int(start("ES256", NULL, NULL, in_folder("es.pem"), dir), OK, "start with the first");
	by_old = issued();
	shell(arena_printf(arena, "cp %s/*.pub %s", folder, dir));
	is_int(start("ES256", NULL, NULL, in_folder("es.pem"), dir), OK,
	       "then the second is known beforehand");
	ok(strstr(keyring_jwks(), kid) != NULL, "and published");
	is_int(start("ES256", NULL, NULL, in_folder("es2.pem"), dir), OK, "then it signs");
	by_new = issued();
	is_text(key_kid(keyring_signer()), kid, "by its own name");
	ok(is_good(by_old) && is_good(by_new), "tokens of both are good");
	is_int(start("RS256", NULL, NEW_SECRET, in_folder("rs.pem"), dir), OK,
	       "then a key of another algorithm signs");
	by_rs = issued();
	ok(is_good(by_old) && is_good(by_new) && is_good(by_rs), "tokens of all three are good");
	ok(is_good(made("{\"alg\":\"HS256\"}", NEW_SECRET)) == false,
	   "one without a kid is not tried with an old secret");
	is_int(start("HS384", NEW_SECRET, NULL, NULL, NULL), OK, "start with HS384");
	by_old = issued();
	is_int(start("ES256", NULL, NEW_SECRET, in_folder("es.pem"), dir), OK, "then with a pair");
	ok(is_good(by_old), "tokens of the secret are good");
}

static void
test_fitness(void)
{
	const char *dir = in_folder("others");

	mkdir(dir, 0700);
	shell(arena_printf(arena,
			   "openssl genrsa 1024 >%s/rsa1024.pem 2>/dev/null && "
			   "openssl ecparam -name secp384r1 -genkey -noout >%s/p384.pem",
			   folder, folder));
	put_file("rubbish.pem",
		 "-----BEGIN PRIVATE KEY-----\nrubbish\n-----END PRIVATE KEY-----\n");
	is_int(start("RS256", NULL, NULL, in_folder("rsa1024.pem"), NULL), E_BUG,
	       "RSA of 1024 bits");
	is_int(start("ES256", NULL, NULL, in_folder("p384.pem"), NULL), E_BUG, "P-384");
	is_int(start("ES256", NULL, NULL, in_folder("rs.pem"), NULL), E_BUG,
	       "an RSA key for ES256");
	is_int(start("RS256", NULL, NULL, in_folder("es.pem"), NULL), E_BUG, "an EC key for RS256");
	is_int(start("ES256", NULL, NULL, in_folder("es.pem.pub"), NULL), E_BUG, "a public key");
	is_int(start("ES256", NULL, NULL, in_folder("rubbish.pem"), NULL), E_BUG, "rubbish");
	is_int(start("ES256", NULL, NULL, in_folder("nobody.pem"), NULL), E_BUG, "no file");
	is_int(start("ES256", NULL, NULL, NULL, NULL), E_BUG, "none named");
	is_int(start("ES256", NULL, NULL, in_folder("es.pem"), in_folder("nowhere")), E_BUG,
	       "no folder");
	is_int(start("HS256", SECRET, "short", NULL, NULL), E_BUG, "an old secret that is short");
	put_file("others/rfc.pem", RFC_KEY);
	is_int(start("ES256", NULL, NULL, in_folder("es.pem"), dir), OK, "the RFC's key is one");
	ok(strstr(keyring_jwks(), "\"kid\":\"" RFC_KID "\"") != NULL, "with the RFC's thumbprint");
	put_file("others/bad.pem", "rubbish");
	is_int(start("ES256", NULL, NULL, in_folder("es.pem"), dir), E_BUG,
	       "rubbish in the folder");
}

int
main(void)
{
	arena = arena_new(256 * 1024);
	clock_tick();
	log_init("keyring_test", "text", "error");
	if (mkdtemp(folder) == NULL)
		return 1;
	test_make();
	test_kinds();
	test_confusion();
	test_rotation();
	test_fitness();
	shell(arena_printf(arena, "rm -rf %s", folder));
	arena_free(&arena);
	return tap_end();
}
