/*
 * token: issuing by libjwt; reading by our own keys, so that nothing of a token is believed
 * before its signature is checked with a key that we chose.
 *
 * libjwt 1.10 obeys the token's own algorithm, checks no claim, takes the last of two claims
 * of one name, an empty key for "no check", and decodes on the stack.
 */
#include "token.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jwt.h>

#include "clock.h"
#include "doc.h"
#include "log.h"
#include "metric.h"
#include "rnd.h"
#include "text.h"

#include "keyring.h"
#include "settings.h"

enum { TOKEN_MOST = 4096, SKEW_S = 30, KNOWN_SETS = 1024, KNOWN_WAYS = 4 };

#define ISSUER "usher"
#define USE \
	"access" /* libjwt writes its own "typ", so what kind of token it is stands in a claim */

static const struct settings *conf;
static struct arena *scratch; /* of one token that is read */

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
	enum err e = keyring_init(s);

	conf = s;
	if (e != OK)
		return e;
	if (scratch == NULL) {
		scratch = arena_new(8 * 1024);
		known = must_alloc(KNOWN_SETS * sizeof(*known));
	}
	memset(known, 0, KNOWN_SETS * sizeof(*known));
	return OK;
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
	const struct key *k = keyring_signer();
	const char *key = key_text(k);
	jwt_t *jwt = NULL;
	char *text = NULL;

	if (jwt_new(&jwt) == 0 &&
	    jwt_set_alg(jwt, jwt_str_alg(conf->jwt_algorithm), (const unsigned char *)key,
			(int)strlen(key)) == 0 &&
	    jwt_add_header(jwt, "kid", key_kid(k)) == 0 &&
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

struct header {
	const char *alg, *kid, *crit;
};

struct payload {
	const char *use, *iss, *aud, *sub, *jti;
	int64_t sid, exp, iat, nbf;
};

/* clang-format off */
static const struct shape HEADER = SHAPE(struct header,
	{ F(struct header, alg), .use = 1, .need = 1 },
	{ F(struct header, kid), .use = 1 },
	{ F(struct header, crit), .use = 1 }); /* a list by RFC 7515, and so always wrong here */

static const struct shape PAYLOAD = SHAPE(struct payload,
	{ F(struct payload, use), .use = 1, .need = 1, .choices = USE },
	{ F(struct payload, iss), .use = 1, .need = 1, .choices = ISSUER },
	{ F(struct payload, aud), .use = 1, .need = 1, .choices = ISSUER },
	{ F(struct payload, sub), .use = 1, .need = 1 },
	{ F(struct payload, jti), .use = 1, .need = 1 },
	{ F(struct payload, sid), .use = 1, .need = 1, .min = 1, .max = INT64_MAX },
	{ F(struct payload, exp), .use = 1, .need = 1, .min = 1, .max = INT64_MAX },
	{ F(struct payload, iat), .use = 1, .need = 1, .min = 1, .max = INT64_MAX },
	{ F(struct payload, nbf), .use = 1, .min = 1, .max = INT64_MAX });
/* clang-format on */

/* The three parts of a token. */
struct parts {
	const char *at[3];
	size_t len[3];
};

/* Three parts, none of them empty, of base64url's letters. */
static bool
split(const char *text, struct parts *p)
{
	static const char LETTERS[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	for (int i = 0; i < 3; i++) {
		p->at[i] = text;
		p->len[i] = strspn(text, LETTERS);
		text += p->len[i] + 1;
		if (p->len[i] == 0 || text[-1] != (i < 2 ? '.' : '\0'))
			return false;
	}
	return true;
}

static bool
decoded(const struct parts *p, int i, unsigned char **bytes_r, size_t *len_r)
{
	*bytes_r = arena_get(scratch, p->len[i] + 1);
	return rnd_unbase64url(p->at[i], p->len[i], *bytes_r, len_r);
}

/* One of the two documents, in which no name stands twice and every value is of its kind. */
static bool
document(const struct parts *p, int i, const struct shape *s, void *out)
{
	struct faults *faults = arena_get(scratch, sizeof(*faults));
	unsigned char *text;
	size_t len;

	return decoded(p, i, &text, &len) &&
	       doc_pick(scratch, s, 1, (const char *)text, len, out, faults) == OK;
}

static bool
is_signed(const struct parts *p)
{
	unsigned char *signature;
	const struct key *k;
	struct header h;
	size_t len;

	if (!document(p, 0, &HEADER, &h) || h.crit != NULL)
		return false;
	k = keyring_find(h.kid, h.alg);
	return k != NULL && decoded(p, 2, &signature, &len) &&
	       key_verifies(k, p->at[0], (size_t)(p->at[2] - 1 - p->at[0]), signature, len);
}

static bool
claims_hold(const struct payload *c, struct claims *out_r)
{
	int64_t now = clock_wall_s();

	*out_r = (struct claims){ .session = c->sid, .expires_s = c->exp };
	return text_to_int(c->sub, &out_r->user_id) && out_r->user_id > 0 && c->exp > now &&
	       c->iat <= now + SKEW_S && (c->nbf == NO_INT || c->nbf <= now + SKEW_S);
}

static enum err
verify(const char *text, struct claims *out_r)
{
	struct payload c;
	struct parts p;
	bool good;

	metric_add(METRIC_TOKENS_CHECKED, 1);
	good = split(text, &p) && is_signed(&p) && document(&p, 1, &PAYLOAD, &c) &&
	       claims_hold(&c, out_r);
	arena_reset(scratch);
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
	if (strncasecmp(p, "Bearer ", 7) != 0)
		return E_BAD_TOKEN;
	p += 7 + strspn(p + 7, " "); /* RFC 9110, 11.4: 1*SP */
	if (*p == '\0' || strpbrk(p, " ,\t") != NULL)
		return E_BAD_TOKEN;
	*text_r = p;
	return OK;
}
