/* idem: a claim, an answer, a look. */
#include "idem.h"

#include <string.h>

#include "db.h"
#include "rnd.h"
#include "service.h"

enum { KEY_MOST = 255, LOOK_MS = 20, LOOKS_MOST = 100 };

enum { CLAIM, KEEP, FIND };

/* clang-format off */
/* A claim waits for the transaction of another on the same key; a row whose time is over is as
 * good as none. */
static const struct db_stmt SQL[] = {
	[CLAIM] = { "idem_claim",
		"INSERT INTO idempotency_keys AS k (caller, key, request_hash) VALUES ($1, $2, $3)"
		" ON CONFLICT (caller, key) DO UPDATE SET request_hash = $3, created_at = now()"
		" WHERE k.created_at < now() - interval '24 hours' RETURNING key", 3, true },
	[KEEP] = { "idem_keep",
		"UPDATE idempotency_keys SET status = $3::int, user_id = $4::bigint, version = $5::bigint,"
		" body = $6 WHERE caller = $1 AND key = $2", 6, true },
	[FIND] = { "idem_find",
		"SELECT request_hash = $3, EXISTS (SELECT FROM sagas s WHERE s.user_id = k.user_id"
		"  AND s.state = 'running'), status, user_id, version, body FROM idempotency_keys k"
		" WHERE caller = $1 AND key = $2 AND created_at >= now() - interval '24 hours'", 3, false },
};
const struct db_set IDEM_STATEMENTS = { SQL, NELEM(SQL) };

struct found {
	bool same, open;
	struct kept kept;
};

static const struct shape FOUND = SHAPE(struct found,
	{ F(struct found, same), .use = 1 },
	{ F(struct found, open), .use = 1 },
	{ F(struct found, kept.status), .use = 1 },
	{ F(struct found, kept.user_id), .use = 1 },
	{ F(struct found, kept.version), .use = 1 },
	{ F(struct found, kept.body), .use = 1 });
/* clang-format on */

static enum err
bad_key(struct ctx *c, enum msg m)
{
	fault_add(&c->faults, "header", "Idempotency-Key", m, NULL);
	return E_INVALID;
}

static bool
good_key(const char *key)
{
	size_t len = strlen(key);

	for (const char *p = key; *p != '\0'; p++) {
		if (*p <= ' ' || *p > '~')
			return false;
	}
	return len > 0 && len <= KEY_MOST;
}

static const char *
hash_of(struct ctx *c, const char *bytes, size_t len)
{
	unsigned char digest[SHA256_SIZE];
	char *hex = arena_get(c->arena, 2 * SHA256_SIZE + 1);

	rnd_sha256(bytes, len, digest);
	rnd_hex(digest, sizeof(digest), hex);
	return hex;
}

/* A body may hold a password, and a bare hash would let who reads the table try them quickly. So
 * the key, of which the table has the hash only, is part of it. Each part is ended, so that none
 * can pass for the beginning of the next. */
static const char *
request_hash(struct ctx *c, const char *key, const char *method, const char *path, const char *body,
	     size_t len)
{
	struct buf b = buf_new(c->arena, len + 512);
	size_t path_len = strlen(path);

	if (path_len > 1 && path[path_len - 1] == '/')
		path_len--; /* a collection is the same with and without it */
	buf_printf(&b, "%s\n%s %.*s\n", key, method, (int)path_len, path);
	buf_put(&b, body, len);
	return hash_of(c, b.text, b.len);
}

enum err
idem_begin(struct ctx *c, const char *key, const char *method, const char *path, const char *body,
	   size_t len, struct idem *idem_r)
{
	if (!good_key(key))
		return bad_key(c, MSG_KEY);
	idem_r->caller = c->actor != 0 ? arena_printf(c->arena, "user %lld", (long long)c->actor)
				       : arena_printf(c->arena, "address %s",
						      c->peer == NULL ? "" : c->peer);
	idem_r->key = hash_of(c, key, strlen(key));
	idem_r->hash = request_hash(c, key, method, path, body, len);
	idem_r->lost = false;
	c->idem = idem_r;
	return OK;
}

/* The answer of a saga that is not over is waited for as long as a lock is. */
static enum err
find(struct ctx *c, struct found *f)
{
	enum err e;

	for (int looks = 0; looks < LOOKS_MOST; looks++) {
		e = db_one(c->db, c->arena, &SQL[FIND],
			   ARGS(c->idem->caller, c->idem->key, c->idem->hash), &FOUND, 1, f);
		if (e != OK || !f->same || !f->open)
			return e;
		if (service_pause(LOOK_MS))
			break;
	}
	return E_CONFLICT;
}

enum err
idem_find(struct ctx *c, struct kept *out_r)
{
	struct found f;
	enum err e = find(c, &f);

	if (e != OK)
		return e;
	*out_r = f.kept;
	return f.same ? OK : bad_key(c, MSG_KEY_USED);
}

struct run {
	struct ctx *c;
	enum err (*body)(void *arg, struct kept *answer_r);
	void *arg;
};

/* A twin that is at it longer than a lock is waited for has the key as well. */
static enum err
claim(struct ctx *c)
{
	int64_t claimed;
	enum err e = db_do(c->db, &SQL[CLAIM], ARGS(c->idem->caller, c->idem->key, c->idem->hash),
			   &claimed);

	c->idem->lost = e == E_BUSY || (e == OK && claimed == 0);
	return c->idem->lost ? E_CONFLICT : e;
}

static enum err
run_body(void *arg)
{
	struct run *r = arg;
	struct ctx *c = r->c;
	struct kept k = { .user_id = NO_INT, .version = NO_INT };
	enum err e;

	if (c->idem == NULL)
		return r->body(r->arg, &k);
	if ((e = claim(c)) != OK || (e = r->body(r->arg, &k)) != OK)
		return e;
	return db_do(c->db, &SQL[KEEP],
		     ARGS(c->idem->caller, c->idem->key, db_int(c->arena, k.status),
			  db_int(c->arena, k.user_id), db_int(c->arena, k.version), k.body),
		     NULL);
}

enum err
idem_together(struct ctx *c, enum err (*body)(void *arg, struct kept *answer_r), void *arg)
{
	return db_within(c->db, run_body, &(struct run){ c, body, arg });
}

enum err
idem_within(struct ctx *c, enum err (*body)(void *arg, struct kept *answer_r), void *arg)
{
	struct kept unkept;

	return c->idem == NULL ? body(arg, &unkept) : idem_together(c, body, arg);
}
