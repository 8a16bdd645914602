/*
 * token: libjwt, and the checks that it leaves to us.
 *
 * libjwt 1.10 obeys the token's own algorithm, checks no claim, takes an empty key for
 * "no check" and decodes on the stack; each of these is closed here before or after.
 */
#include "token.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jwt.h>

#include "clock.h"
#include "log.h"
#include "metric.h"
#include "rnd.h"

#include "settings.h"

enum { TOKEN_MOST = 4096, SKEW_S = 30, KNOWN_SETS = 1024, KNOWN_WAYS = 4 };

#define ISSUER "usher"
#define USE \
	"access" /* libjwt writes its own "typ", so what kind of token it is stands in a claim */

static const struct settings *conf;
static jwt_alg_t alg;

/* Tokens verified before: the first bytes of the SHA-256 choose a set, in which the one that
 * expires first gives way to a new one. */
struct known {
	unsigned char digest[SHA256_SIZE];
	struct claims claims;
};

static struct known (*known)[KNOWN_WAYS];

enum err
token_init(const struct settings *s)
{
	conf = s;
	alg = jwt_str_alg(s->jwt_algorithm);
	if (alg == JWT_ALG_NONE || alg == JWT_ALG_INVAL || strlen(s->jwt_secret_key) < 32)
		return log_fail(E_BUG, EV("token.algorithm_unknown"), KS("name", s->jwt_algorithm));
	known = calloc(KNOWN_SETS, sizeof(*known));
	return known == NULL ? E_BUG : OK;
}

/*
 * Issuing
 */

static int
add_claims(jwt_t *jwt, struct ctx *c, int64_t user_id, int64_t session)
{
	int64_t now = clock_wall_s();
	char jti[UUID_SIZE];

	rnd_uuid7(jti);
	return jwt_add_grant(jwt, "use", USE) || jwt_add_grant(jwt, "iss", ISSUER) ||
	       jwt_add_grant(jwt, "aud", ISSUER) ||
	       jwt_add_grant(jwt, "sub", arena_printf(c->arena, "%lld", (long long)user_id)) ||
	       jwt_add_grant_int(jwt, "sid", session) || jwt_add_grant_int(jwt, "iat", now) ||
	       jwt_add_grant_int(jwt, "exp", now + conf->jwt_expire_minutes * 60) ||
	       jwt_add_grant(jwt, "jti", jti);
}

enum err
token_issue(struct ctx *c, int64_t user_id, int64_t session, const char **text_r)
{
	const unsigned char *key = (const unsigned char *)conf->jwt_secret_key;
	jwt_t *jwt = NULL;
	char *text = NULL;

	if (jwt_new(&jwt) == 0 &&
	    jwt_set_alg(jwt, alg, key, (int)strlen(conf->jwt_secret_key)) == 0 &&
	    add_claims(jwt, c, user_id, session) == 0)
		text = jwt_encode_str(jwt);
	jwt_free(jwt);
	if (text == NULL)
		return log_fail(E_BUG, EV("token.not_issued"));
	*text_r = arena_text(c->arena, text);
	explicit_bzero(text, strlen(text));
	free(text);
	return OK;
}

/*
 * Reading
 */

/* A whole number above zero; missing, of another type or below is false. */
static bool
positive(jwt_t *jwt, const char *name, int64_t *out_r)
{
	errno = 0;
	*out_r = jwt_get_grant_int(jwt, name);
	return errno == 0 && *out_r > 0;
}

static bool
is_text(const char *found, const char *expected)
{
	return found != NULL && strcmp(found, expected) == 0;
}

static bool
absent(jwt_t *jwt, const char *name)
{
	errno = 0;
	jwt_get_grant_int(jwt, name);
	return errno == ENOENT;
}

/* "sub" is a text of digits; anything else is not ours. */
static bool
subject(jwt_t *jwt, int64_t *out_r)
{
	const char *sub = jwt_get_grant(jwt, "sub");
	char *end;

	if (sub == NULL || *sub < '1' || *sub > '9' || strlen(sub) > 19)
		return false;
	errno = 0;
	*out_r = strtoll(sub, &end, 10);
	return errno == 0 && *end == '\0';
}

static bool
claims_hold(jwt_t *jwt, struct claims *out_r)
{
	int64_t now = clock_wall_s(), issued, not_before;
	bool ours = jwt_get_alg(jwt) == alg && is_text(jwt_get_grant(jwt, "use"), USE) &&
		    is_text(jwt_get_grant(jwt, "iss"), ISSUER) &&
		    is_text(jwt_get_grant(jwt, "aud"), ISSUER) && jwt_get_grant(jwt, "jti") != NULL;
	bool whole = subject(jwt, &out_r->user_id) && positive(jwt, "sid", &out_r->session) &&
		     positive(jwt, "exp", &out_r->expires_s) && positive(jwt, "iat", &issued);

	if (!ours || !whole || out_r->expires_s <= now || issued > now + SKEW_S)
		return false;
	return absent(jwt, "nbf") ||
	       (positive(jwt, "nbf", &not_before) && not_before <= now + SKEW_S);
}

/* Three parts, none of them empty, of base64url's letters. libjwt writes a NUL behind what it
 * has decoded, and of nothing that is a byte beyond its memory. */
static bool
has_form(const char *text)
{
	static const char LETTERS[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	for (int part = 1; part <= 3; part++) {
		size_t len = strspn(text, LETTERS);

		if (len == 0 || text[len] != (part < 3 ? '.' : '\0'))
			return false;
		text += len + 1;
	}
	return true;
}

static enum err
verify(const char *text, struct claims *out_r)
{
	const unsigned char *key = (const unsigned char *)conf->jwt_secret_key;
	int len = (int)strlen(conf->jwt_secret_key);
	jwt_t *jwt = NULL;
	bool good;

	assert(len >= 32); /* an empty key would mean "do not check" */
	metric_add(METRIC_TOKENS_CHECKED, 1);
	good = has_form(text) && jwt_decode(&jwt, text, key, len) == 0 && jwt != NULL &&
	       claims_hold(jwt, out_r);
	if (jwt != NULL)
		jwt_free(jwt);
	return good ? OK : E_BAD_TOKEN;
}

/* The place of this digest in its set, or the place to take for it. */
static struct known *
known_place(const unsigned char digest[SHA256_SIZE])
{
	struct known *set = known[(digest[0] | digest[1] << 8) % KNOWN_SETS], *first = set;

	for (int i = 0; i < KNOWN_WAYS; i++) {
		if (memcmp(set[i].digest, digest, SHA256_SIZE) == 0)
			return &set[i];
		if (set[i].claims.expires_s < first->claims.expires_s)
			first = &set[i];
	}
	return first;
}

enum err
token_read(const char *text, struct claims *out_r)
{
	unsigned char digest[SHA256_SIZE];
	size_t len = strlen(text);
	struct known *k;
	enum err e;

	if (len > TOKEN_MOST)
		return E_BAD_TOKEN;
	rnd_sha256(text, len, digest);
	k = known_place(digest);
	if (memcmp(k->digest, digest, sizeof(digest)) == 0 &&
	    k->claims.expires_s > clock_wall_s()) {
		metric_add(METRIC_TOKENS_KNOWN, 1);
		*out_r = k->claims;
		return OK;
	}
	if ((e = verify(text, out_r)) != OK)
		return e;
	memcpy(k->digest, digest, sizeof(digest));
	k->claims = *out_r;
	return OK;
}

enum err
token_bearer(const char *authorization, const char **text_r)
{
	const char *p = authorization;

	if (p == NULL || *p == '\0')
		return E_NO_TOKEN;
	if (strncasecmp(p, "Bearer ", 7) != 0 || p[7] == '\0' || strpbrk(p + 7, " ,\t") != NULL)
		return E_BAD_TOKEN;
	*text_r = p + 7;
	return OK;
}
