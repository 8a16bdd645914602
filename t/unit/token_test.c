/*
 * token: what we issue is read back; what others forge, with or without our key, is not.
 * Tokens are made by hand here, so that they can be as wrong as one likes.
 */
#include "token.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "clock.h"
#include "log.h"
#include "metric.h"
#include "rnd.h"
#include "settings.h"
#include "tap.h"

#define KEY "kN8rV2xQ5tY1wE7uI3oP9aS4dF6gH0jK"
#define OTHER_KEY "kN8rV2xQ5tY1wE7uI3oP9aS4dF6gH0jL"
#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static struct arena *arena;
static struct settings settings = { .jwt_secret_key = KEY,
				    .jwt_algorithm = "HS256",
				    .jwt_expire_minutes = 30 };

static const char *
base64url(const void *bytes, size_t len)
{
	char *out = arena_get(arena, 4 * ((len + 2) / 3) + 1);

	rnd_base64url(bytes, len, out);
	return out;
}

/* header.claims.signature; a digest NULL leaves the signature empty. */
static const char *
made(const char *header, const char *claims, const char *key, const EVP_MD *digest)
{
	const char *head = base64url(header, strlen(header)),
		   *body = base64url(claims, strlen(claims));
	const char *both = arena_printf(arena, "%s.%s", head, body);
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (digest != NULL)
		HMAC(digest, key, (int)strlen(key), (const unsigned char *)both, strlen(both), mac,
		     &len);
	return arena_printf(arena, "%s.%s", both, base64url(mac, len));
}

static const char *
ours(const char *claims)
{
	return made(HS256, claims, KEY, EVP_sha256());
}

/* The claims of a good token; `instead` takes the place of the one called `name`, or comes
 * on top where there is none. */
static const char *
claims_with(const char *name, const char *instead)
{
	const char *const usual[][2] = {
		{ "use", "\"use\":\"access\"" },
		{ "iss", "\"iss\":\"usher\"" },
		{ "aud", "\"aud\":\"usher\"" },
		{ "sub", "\"sub\":\"42\"" },
		{ "sid", "\"sid\":7" },
		{ "jti", "\"jti\":\"x\"" },
		{ "iat", arena_printf(arena, "\"iat\":%lld", (long long)clock_wall_s()) },
		{ "exp", arena_printf(arena, "\"exp\":%lld", (long long)clock_wall_s() + 600) },
	};
	struct buf b = buf_new(arena, 256);
	bool known = false;

	buf_char(&b, '{');
	for (size_t i = 0; i < NELEM(usual); i++) {
		bool mine = strcmp(usual[i][0], name) == 0;
		const char *text = mine ? instead : usual[i][1];

		known = known || mine;
		if (*text != '\0')
			buf_printf(&b, "%s%s", b.len > 1 ? "," : "", text);
	}
	if (!known && *instead != '\0')
		buf_printf(&b, ",%s", instead);
	buf_char(&b, '}');
	return b.text;
}

/* NOW is replaced by the time, so that +60 and the like can be said. */
static const char *
with_time(const char *claim)
{
	const char *now = strstr(claim, "NOW");

	return now == NULL ? claim
			   : arena_printf(arena, "%.*s%lld", (int)(now - claim), claim,
					  (long long)clock_wall_s() + strtoll(now + 3, NULL, 10));
}

/* One claim instead of the usual one, with our own key and algorithm. */
static const struct {
	const char *what, *name, *claim;
	bool good;
} CLAIMS[] = {
	{ "as it should be", "", "", true },
	{ "one claim more", "x", "\"x\":[1,{\"y\":null}]", true },
	{ "nbf that has passed", "nbf", "\"nbf\":NOW-10", true },
	{ "nbf within the clocks' difference", "nbf", "\"nbf\":NOW+20", true },
	{ "iat within the clocks' difference", "iat", "\"iat\":NOW+20", true },
	{ "almost expired", "exp", "\"exp\":NOW+5", true },
	{ "the greatest user", "sub", "\"sub\":\"9223372036854775807\"", true },

	{ "expired", "exp", "\"exp\":NOW-1", false },
	{ "expiring now", "exp", "\"exp\":NOW+0", false },
	{ "expired long ago", "exp", "\"exp\":1", false },
	{ "no exp", "exp", "", false },
	{ "exp zero", "exp", "\"exp\":0", false },
	{ "exp below zero", "exp", "\"exp\":-1", false },
	{ "exp as text", "exp", "\"exp\":\"9999999999\"", false },
	{ "exp as a real", "exp", "\"exp\":9999999999.0", false },
	{ "exp with an exponent", "exp", "\"exp\":1e10", false },
	{ "exp null", "exp", "\"exp\":null", false },
	{ "exp true", "exp", "\"exp\":true", false },
	{ "exp in an array", "exp", "\"exp\":[9999999999]", false },
	{ "exp beyond 64 bits", "exp", "\"exp\":99999999999999999999", false },
	{ "nbf ahead", "nbf", "\"nbf\":NOW+60", false },
	{ "nbf as text", "nbf", "\"nbf\":\"1\"", false },
	{ "nbf as a real", "nbf", "\"nbf\":1.0", false },
	{ "nbf null", "nbf", "\"nbf\":null", false },
	{ "no iat", "iat", "", false },
	{ "iat ahead", "iat", "\"iat\":NOW+60", false },
	{ "no sub", "sub", "", false },
	{ "sub as a number", "sub", "\"sub\":42", false },
	{ "sub zero", "sub", "\"sub\":\"0\"", false },
	{ "sub empty", "sub", "\"sub\":\"\"", false },
	{ "sub below zero", "sub", "\"sub\":\"-42\"", false },
	{ "sub with a plus", "sub", "\"sub\":\"+42\"", false },
	{ "sub with a blank", "sub", "\"sub\":\" 42\"", false },
	{ "sub with a leading zero", "sub", "\"sub\":\"042\"", false },
	{ "sub with something behind it", "sub", "\"sub\":\"42 or 1=1\"", false },
	{ "sub beyond 64 bits", "sub", "\"sub\":\"9223372036854775808\"", false },
	{ "no sid", "sid", "", false },
	{ "sid as text", "sid", "\"sid\":\"7\"", false },
	{ "sid as a real", "sid", "\"sid\":7.0", false },
	{ "sid zero", "sid", "\"sid\":0", false },
	{ "sid below zero", "sid", "\"sid\":-7", false },
	{ "no use", "use", "", false },
	{ "another use", "use", "\"use\":\"refresh\"", false },
	{ "use as a number", "use", "\"use\":1", false },
	{ "no iss", "iss", "", false },
	{ "another iss", "iss", "\"iss\":\"usher2\"", false },
	{ "no aud", "aud", "", false },
	{ "another aud", "aud", "\"aud\":\"bank\"", false },
	{ "aud in an array", "aud", "\"aud\":[\"bank\"]", false },
	{ "no jti", "jti", "", false },
};

static bool
is_good(const char *token)
{
	struct claims c = { 0 };

	return token_read(token, &c) == OK && c.user_id > 0 && c.session == 7 &&
	       c.expires_s > clock_wall_s();
}

static bool
is_bad(const char *token)
{
	struct claims c;
	bool bad = token_read(token, &c) == E_BAD_TOKEN;

	return bad && token_read(token, &c) == E_BAD_TOKEN; /* and no better the second time */
}

static void
test_claims(void)
{
	for (size_t i = 0; i < NELEM(CLAIMS); i++) {
		const char *token = ours(claims_with(CLAIMS[i].name, with_time(CLAIMS[i].claim)));

		if (CLAIMS[i].good)
			ok(is_good(token), "%s: good", CLAIMS[i].what);
		else
			ok(is_bad(token), "%s: refused", CLAIMS[i].what);
	}
}

/* Forged: the header, the key or the form is not ours, the claims are. */
static void
test_forged(void)
{
	const char *claims = claims_with("", ""), *good = ours(claims), *text = good;
	const char *head = base64url(HS256, strlen(HS256)),
		   *body = base64url(claims, strlen(claims));
	size_t len = strlen(good);
	struct buf dots = buf_new(arena, 8192), longer = buf_new(arena, 8192);
	char *flipped = arena_text(arena, good), *mine = arena_text(arena, good);
	const struct {
		const char *what, *token;
	} forged[] = {
		{ "nothing", "" },
		{ "a dot", "." },
		{ "two dots", ".." },
		{ "words", "not.a.token" },
		{ "no signature", made("{\"alg\":\"none\"}", claims, KEY, NULL) },
		{ "none, signed", made("{\"alg\":\"none\"}", claims, KEY, EVP_sha256()) },
		{ "NONE", made("{\"alg\":\"NONE\"}", claims, KEY, NULL) },
		{ "nOnE", made("{\"alg\":\"nOnE\"}", claims, KEY, NULL) },
		{ "HS256 without a signature", made(HS256, claims, KEY, NULL) },
		{ "HS256 without the last dot", arena_printf(arena, "%s.%s", head, body) },
		{ "HS384 where HS256 is set",
		  made("{\"alg\":\"HS384\",\"typ\":\"JWT\"}", claims, KEY, EVP_sha384()) },
		{ "HS512 where HS256 is set",
		  made("{\"alg\":\"HS512\",\"typ\":\"JWT\"}", claims, KEY, EVP_sha512()) },
		{ "HS512 signed as HS256",
		  made("{\"alg\":\"HS512\",\"typ\":\"JWT\"}", claims, KEY, EVP_sha256()) },
		{ "RS256 signed as HS256",
		  made("{\"alg\":\"RS256\",\"typ\":\"JWT\"}", claims, KEY, EVP_sha256()) },
		{ "no algorithm", made("{\"typ\":\"JWT\"}", claims, KEY, EVP_sha256()) },
		{ "an algorithm that is no text",
		  made("{\"alg\":256}", claims, KEY, EVP_sha256()) },
		{ "an unknown algorithm", made("{\"alg\":\"HS257\"}", claims, KEY, EVP_sha256()) },
		{ "a header that is an array", made("[]", claims, KEY, EVP_sha256()) },
		{ "a header that is no JSON", made("{", claims, KEY, EVP_sha256()) },
		{ "another key", made(HS256, claims, OTHER_KEY, EVP_sha256()) },
		{ "an empty key", made(HS256, claims, "", EVP_sha256()) },
		{ "claims that are an array", ours("[]") },
		{ "claims that are nothing", ours("{}") },
		{ "claims that are no JSON", ours("{\"sub\":") },
		{ "empty claims", ours("") },
		{ "a segment more", arena_printf(arena, "%s.%s", good, body) },
		{ "an empty segment more", arena_printf(arena, "%s.", good) },
		{ "a dot before it", arena_printf(arena, ".%s", good) },
		{ "a letter of the signature more", arena_printf(arena, "%sA", good) },
		{ "a letter of the signature less",
		  arena_printf(arena, "%.*s", (int)len - 1, good) },
		{ "another's claims before our signature",
		  arena_printf(arena, "%s.%s%s", head, base64url("{\"sub\":\"1\"}", 11),
			       strrchr(good, '.')) },
		{ "a letter changed", flipped },
		{ "a sign in the signature", arena_printf(arena, "%s=", good) },
		{ "no header", arena_printf(arena, ".%s.AAAA", body) },
		{ "no claims", arena_printf(arena, "%s..AAAA", head) },
		{ "the signature changed", mine },
		{ "8 KB of dots", dots.text },
		{ "8 KB of a letter", longer.text },
		{ "a good one behind a blank", arena_printf(arena, " %s", good) },
	};

	for (int i = 0; i < 8191; i++) {
		buf_char(&dots, '.');
		buf_char(&longer, 'A');
	}
	flipped[len / 2] = flipped[len / 2] == 'A' ? 'B' : 'A';
	mine[len - 8] = mine[len - 8] == 'A' ? 'B' : 'A';
	ok(is_good(text), "the one they are made from is good");
	for (size_t i = 0; i < NELEM(forged); i++)
		ok(is_bad(forged[i].token), "%s: refused", forged[i].what);
}

/* With the key one may say a thing twice; which one counts must not open a door. */
static void
test_duplicates(void)
{
	const char *twice = claims_with("sid", "\"sid\":8,\"sid\":7"),
		   *alg = "{\"alg\":\"none\",\"alg\":\"HS256\"}";

	ok(is_bad(ours(twice)), "a claim given twice: refused");
	ok(is_bad(ours(claims_with("sid", "\"sid\":7,\"sid\":7"))),
	   "though it is the same: refused");
	ok(is_bad(made("{\"alg\":\"HS256\",\"alg\":\"none\"}", claims_with("", ""), KEY, NULL)),
	   "none behind HS256: refused");
	ok(is_bad(made(alg, claims_with("jti", "\"jti\":\"y\""), OTHER_KEY, EVP_sha256())),
	   "none before HS256: checked");
	ok(is_bad(ours(claims_with("exp", arena_printf(arena, "\"exp\":%lld,\"exp\":1",
						       (long long)clock_wall_s() + 60)))),
	   "expired behind good: refused");
}

static void
test_issue(void)
{
	struct ctx c = { .arena = arena, .conf = &settings };
	const char *text = NULL, *other = NULL;
	struct claims claims = { 0 };
	uint64_t checked, known;

	is_int(token_issue(&c, INT64_MAX, 7, &text), OK, "a token is issued");
	is_int(token_issue(&c, INT64_MAX, 7, &other), OK, "and another");
	ok(strcmp(text, other) != 0, "no two are the same");
	ok(strlen(text) < 1024, "it fits a header");
	checked = metric_get(METRIC_TOKENS_CHECKED);
	known = metric_get(METRIC_TOKENS_KNOWN);
	is_int(token_read(text, &claims), OK, "it is read back");
	ok(claims.user_id == INT64_MAX && claims.session == 7, "with its user and session");
	is_int(claims.expires_s, clock_wall_s() + 30 * 60, "and its end");
	memset(&claims, 0, sizeof(claims));
	is_int(token_read(text, &claims), OK, "once more");
	ok(claims.user_id == INT64_MAX && claims.session == 7, "with the same claims");
	is_int((long long)(metric_get(METRIC_TOKENS_CHECKED) - checked), 1,
	       "its signature was checked once");
	is_int((long long)(metric_get(METRIC_TOKENS_KNOWN) - known), 1, "and remembered once");
}

/* What is remembered is forgotten when the token expires. */
static void
test_memory(void)
{
	const char *text = ours(claims_with("exp", with_time("\"exp\":NOW+1")));
	int64_t end = clock_wall_s() + 1;

	ok(is_good(text) && is_good(text), "a token of one second is good, and known");
	while (clock_wall_s() < end)
		clock_tick();
	ok(is_bad(text), "when it has expired it is not, though it was known");
}

static const struct {
	const char *header;
	enum err e;
	const char *token;
} HEADERS[] = {
	{ "Bearer abc.def.ghi", OK, "abc.def.ghi" },
	{ "bearer abc", OK, "abc" },
	{ "BEARER abc", OK, "abc" },
	{ NULL, E_NO_TOKEN, NULL },
	{ "", E_NO_TOKEN, NULL },
	{ "Bearer", E_BAD_TOKEN, NULL },
	{ "Bearer ", E_BAD_TOKEN, NULL },
	{ "Bearer   ", E_BAD_TOKEN, NULL },
	{ "Bearer  abc", OK, "abc" },
	{ "Bearer\tabc", E_BAD_TOKEN, NULL },
	{ "Bearer abc def", E_BAD_TOKEN, NULL },
	{ "Bearer abc, Bearer def", E_BAD_TOKEN, NULL },
	{ "Bearer abc,def", E_BAD_TOKEN, NULL },
	{ " Bearer abc", E_BAD_TOKEN, NULL },
	{ "Bearerabc", E_BAD_TOKEN, NULL },
	{ "Basic dTpw", E_BAD_TOKEN, NULL },
	{ "abc.def.ghi", E_BAD_TOKEN, NULL },
};

static void
test_headers(void)
{
	for (size_t i = 0; i < NELEM(HEADERS); i++) {
		const char *token = NULL;
		enum err e = token_bearer(HEADERS[i].header, &token);

		ok(e == HEADERS[i].e, "Authorization: %s",
		   HEADERS[i].header == NULL ? "(none)" : HEADERS[i].header);
		if (e == OK)
			is_text(token, HEADERS[i].token, "has this token in it");
	}
}

static void
test_start(void)
{
	static const struct {
		const char *algorithm, *key;
		enum err e;
	} STARTS[] = {
		{ "none", KEY, E_BUG }, { "HS257", KEY, E_BUG },
		{ "HS256", "", E_BUG }, { "HS256", "kN8rV2xQ5tY1wE7uI3oP9aS4dF6gH0j", E_BUG },
		{ "HS256", KEY, OK },
	};

	for (size_t i = 0; i < NELEM(STARTS); i++) {
		settings.jwt_algorithm = STARTS[i].algorithm;
		settings.jwt_secret_key = STARTS[i].key;
		ok(token_init(&settings) == STARTS[i].e, "start with %s and a key of %zu bytes",
		   STARTS[i].algorithm, strlen(STARTS[i].key));
	}
}

int
main(void)
{
	arena = arena_new(256 * 1024);
	test_start();
	test_claims();
	test_forged();
	test_duplicates();
	test_issue();
	test_memory();
	test_headers();
	arena_free(&arena);
	return tap_end();
}
