/* refresh: making, sealing, and the one statement that rotates. */
#include "refresh.h"

#include <string.h>

#include "db.h"
#include "log.h"
#include "metric.h"
#include "rnd.h"

#include "event.h"
#include "settings.h"

enum { FAMILY = 24, OWN_BYTES = 32, OWN = 43 };
_Static_assert(FAMILY + OWN + 1 == REFRESH_SIZE, "a token is its family and its own part");
_Static_assert((int)OWN_BYTES == (int)SHA256_SIZE, "a pad covers the whole of a token's own part");

enum { ROTATE };

/* clang-format off */
/* $5 hash of the family, $6 of the token, $7 of its successor, $8 that one sealed, $9 days, $10
 * address, $11 program, $12 seconds of grace. Whoever waits for the row's lock sees the row as the
 * one before has left it, so of many at once one rotates and the others come "again". */
static const struct db_stmt SQL[] = {
	[ROTATE] = { "refresh_rotate",
		"WITH s AS (SELECT s.id, s.user_id, s.successor, CASE"
		"   WHEN s.refresh_hash = decode($6, 'hex') THEN 'current'"
		"   WHEN s.parent_hash = decode($6, 'hex')"
		"    AND s.rotated_at > clock_timestamp() - make_interval(secs => $12::int) THEN 'again'"
		"   ELSE 'reused' END AS fate"
		"  FROM sessions s JOIN users u ON u.id = s.user_id"
		"  WHERE s.family_hash = decode($5, 'hex') AND s.ended_at IS NULL AND s.expires_at > now()"
		"  AND u.status = 'active' FOR UPDATE OF s), "
		"moved AS (UPDATE sessions t SET refresh_hash = decode($7, 'hex'), parent_hash = t.refresh_hash,"
		"  successor = decode($8, 'hex'), rotated_at = clock_timestamp(), last_used_at = now(),"
		"  expires_at = now() + make_interval(days => $9::int), ip = COALESCE($10, t.ip),"
		"  user_agent = COALESCE($11, t.user_agent) FROM s WHERE t.id = s.id AND s.fate = 'current'), "
		"over AS (UPDATE sessions t SET ended_at = now() FROM s"
		"  WHERE t.id = s.id AND s.fate = 'reused' RETURNING t.id, t.user_id), "
		SQL_EVENT("user_session_reused", "over.user_id", "NULL::bigint",
			  "jsonb_build_object('session_id', over.id)", "over")
		"SELECT s.id, " USER_COLUMNS ", s.fate, encode(s.successor, 'hex')"
		" FROM s JOIN users u ON u.id = s.user_id", 12, true },
};
/* clang-format on */
const struct db_set REFRESH_STATEMENTS = { SQL, NELEM(SQL) };

/* The session's row, and what has become of the token. */
struct rotated {
	struct session s;
	const char *fate, *successor;
};

_Static_assert(offsetof(struct rotated, s) == 0, "its rows are those of a session, and then more");

/* clang-format off */
static const struct shape ROTATED = SHAPE(struct rotated, SESSION_ROWS,
	{ F(struct rotated, fate), .use = 1 },
	{ F(struct rotated, successor), .use = 1 });
/* clang-format on */

static const char *
hash_of(struct ctx *c, const char *text, size_t len)
{
	unsigned char digest[SHA256_SIZE];
	char *hash = arena_get(c->arena, 2 * SHA256_SIZE + 1);

	rnd_sha256(text, len, digest);
	rnd_hex(digest, sizeof(digest), hash);
	return hash;
}

/* The family's letters, then those of the token's own bytes. */
static struct refresh
joined(struct ctx *c, const char *family, const unsigned char own[OWN_BYTES])
{
	char *token = arena_get(c->arena, REFRESH_SIZE);

	memcpy(token, family, FAMILY);
	rnd_base64url(own, OWN_BYTES, token + FAMILY);
	return (struct refresh){ token, hash_of(c, token, FAMILY + OWN),
				 hash_of(c, token, FAMILY) };
}

struct refresh
refresh_first(struct ctx *c)
{
	unsigned char family_bytes[FAMILY / 4 * 3], *own = arena_get(c->arena, OWN_BYTES);
	char family[FAMILY + 1];

	rnd_bytes(family_bytes, sizeof(family_bytes));
	rnd_base64url(family_bytes, sizeof(family_bytes), family);
	rnd_bytes(own, OWN_BYTES);
	return joined(c, family, own);
}

/* Sealing and opening are the same. */
static void
seal(struct ctx *c, const char *predecessor, unsigned char own[OWN_BYTES])
{
	const char *text = arena_printf(c->arena, "usher refresh %s", predecessor);
	unsigned char pad[SHA256_SIZE];

	rnd_sha256(text, strlen(text), pad);
	for (int i = 0; i < OWN_BYTES; i++)
		own[i] ^= pad[i];
	explicit_bzero(pad, sizeof(pad));
}

static unsigned
digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* What the predecessor's owner is given: the row's successor, which is lower-case hexadecimal. */
static const char *
opened(struct ctx *c, const char *predecessor, const char *hex)
{
	unsigned char *own = arena_get(c->arena, OWN_BYTES);

	for (int i = 0; i < OWN_BYTES; i++)
		own[i] = (unsigned char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
	seal(c, predecessor, own);
	return joined(c, predecessor, own).token;
}

static bool
has_form(const char *token)
{
	static const char LETTERS[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	return strspn(token, LETTERS) == FAMILY + OWN && token[FAMILY + OWN] == '\0';
}

static enum err
rotate(struct ctx *c, const char *token, struct rotated *out_r, const char **next_r)
{
	unsigned char *own = arena_get(c->arena, OWN_BYTES);
	char *sealed = arena_get(c->arena, 2 * OWN_BYTES + 1);
	struct refresh next;

	rnd_bytes(own, OWN_BYTES);
	next = joined(c, token, own);
	seal(c, token, own);
	rnd_hex(own, OWN_BYTES, sealed);
	*next_r = next.token;
	return db_one(c->db, c->arena, &SQL[ROTATE],
		      ARGS(EVENT_ARGS(c), next.family_hash, hash_of(c, token, FAMILY + OWN),
			   next.hash, sealed, db_int(c->arena, c->conf->refresh_expire_days),
			   c->peer, c->agent, db_int(c->arena, REFRESH_GRACE_S)),
		      &ROTATED, 1, out_r);
}

enum err
refresh_use(struct ctx *c, const char *token, struct session *s_r, const char **token_r)
{
	struct rotated r;
	enum err e = has_form(token) ? rotate(c, token, &r, token_r) : E_NOT_FOUND;

	if (e != OK)
		return e == E_NOT_FOUND ? E_BAD_REFRESH : e;
	*s_r = r.s;
	if (strcmp(r.fate, "reused") == 0) {
		metric_add(METRIC_SESSIONS_REUSED, 1);
		log_warn(EV("session.reused"), KI("user", r.s.user.id), KI("session", r.s.id));
		session_gone(c, &(struct session_ids){ 1, &r.s.id });
		return E_BAD_REFRESH;
	}
	if (strcmp(r.fate, "again") == 0)
		*token_r = opened(c, token, r.successor);
	return OK;
}
