/* limit: the table, the keys, and what Redis said. */
#include "limit.h"

#include <arpa/inet.h>
#include <string.h>

#include "kv.h"
#include "log.h"
#include "metric.h"
#include "rnd.h"

#include "settings.h"

/* clang-format off */
static const struct {
	const char *policy;
	bool of_account;
	size_t setting; /* where struct settings keeps its rate */
} LIMITS[] = {
	[LOGINS_OF_CLIENT]     = { "login-ip",       false, offsetof(struct settings, rate_login_ip) },
	[SIGNUPS_OF_CLIENT]    = { "signup-ip",      false, offsetof(struct settings, rate_signup_ip) },
	[LOGINS_OF_ACCOUNT]    = { "login-account",  true, offsetof(struct settings, rate_login_account) },
	[FORGOT_OF_ACCOUNT]    = { "forgot-account", true, offsetof(struct settings, rate_forgot_account) },
	[ADDRESSES_OF_ACCOUNT] = { "email-account",  true, offsetof(struct settings, rate_email_account) },
};
/* clang-format on */

struct limit_asked {
	const char *policy;
	bool of_account;
	struct kv_rate rate;
};

/*
 * Who is counted
 */

static const unsigned char V4_MAPPED[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

const char *
limit_client(struct arena *a, const char *peer)
{
	unsigned char b[16];

	if (peer != NULL && inet_pton(AF_INET, peer, b) == 1)
		return arena_printf(a, "%d.%d.%d.%d", b[0], b[1], b[2], b[3]);
	if (peer == NULL || inet_pton(AF_INET6, peer, b) != 1)
		return "unknown";
	if (memcmp(b, V4_MAPPED, sizeof(V4_MAPPED)) == 0)
		return arena_printf(a, "%d.%d.%d.%d", b[12], b[13], b[14], b[15]);
	return arena_printf(a, "%x:%x:%x:%x", b[0] << 8 | b[1], b[2] << 8 | b[3], b[4] << 8 | b[5],
			    b[6] << 8 | b[7]);
}

/* As the unique index folds it: ASCII letters only. */
static const char *
account(struct arena *a, const char *address)
{
	char *folded = arena_text(a, address), *name = arena_get(a, 33);
	unsigned char digest[SHA256_SIZE];

	for (char *p = folded; *p != '\0'; p++)
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 'a' - 'A') : *p;
	rnd_sha256(folded, strlen(folded), digest);
	rnd_hex(digest, 16, name);
	return name;
}

/*
 * Counting
 */

static struct limit_asked *
question(struct ctx *c, enum limit l, const char *who)
{
	struct limit_asked *q;
	const char *text;
	int64_t count, seconds;

	memcpy(&text, (const char *)c->conf + LIMITS[l].setting, sizeof(text));
	if (!settings_rate(text, &count, &seconds) || count == 0)
		return NULL;
	q = arena_get(c->arena, sizeof(*q));
	q->policy = LIMITS[l].policy;
	q->of_account = LIMITS[l].of_account;
	q->rate.key = arena_printf(c->arena, "rl:%s:%s", q->policy, who);
	q->rate.count = count;
	q->rate.seconds = seconds;
	return q;
}

struct limit_asked *
limit_ask(struct ctx *c, enum limit l)
{
	struct limit_asked *q;

	if (l == LIMIT_NONE)
		return NULL;
	q = question(c, l, limit_client(c->arena, c->peer));
	if (q != NULL)
		kv_ask_rate(c->kv, &q->rate);
	return q;
}

static int64_t
seconds_of(int64_t ms)
{
	return (ms + 999) / 1000;
}

enum err
limit_heard(struct ctx *c, struct limit_asked *q)
{
	struct counted *n;

	if (q == NULL || !q->rate.heard)
		return OK;
	n = arena_get(c->arena, sizeof(*n));
	*n = (struct counted){ .policy = q->policy,
			       .count = q->rate.count,
			       .seconds = q->rate.seconds,
			       .left = q->rate.left,
			       .rest_s = seconds_of(q->rate.rest_ms),
			       .wait_s = seconds_of(q->rate.wait_ms),
			       .too_many = q->rate.too_many,
			       .of_account = q->of_account,
			       .next = c->counted };
	c->counted = n;
	if (!n->too_many)
		return OK;
	metric_add(METRIC_LIMITED, 1);
	log_info(EV("request.limited"), KS("policy", n->policy));
	return E_LIMITED;
}

static enum err
take(struct ctx *c, enum limit l, const char *who)
{
	struct limit_asked *q = question(c, l, who);

	if (q != NULL)
		kv_rate(c->kv, &q->rate);
	return limit_heard(c, q);
}

enum err
limit_take(struct ctx *c, enum limit l, const char *address)
{
	return take(c, l, account(c->arena, address));
}

enum err
limit_take_of_client(struct ctx *c, enum limit l)
{
	return take(c, l, limit_client(c->arena, c->peer));
}

enum err
limit_take_of_actor(struct ctx *c, enum limit l)
{
	if (c->role == ROLE_ADMIN)
		return OK;
	return take(c, l, arena_printf(c->arena, "%lld", (long long)c->actor));
}
