/*
 * search: one pass after another, the best first, until there are as many as were asked for.
 *
 * What is common is found at the beginnings (a walk along a B-tree) or among the newest (a short
 * scan), so that the passes which gather all that match before the first is shown come into
 * play only where few do. Thus no question takes long, however many would fit it.
 */
#include "search.h"

#include <string.h>

#include "db.h"
#include "doc.h"

#include "rules.h"

/* clang-format off */
const struct shape SEARCH = SHAPE(struct search,
	{ F(struct search, q), .use = 1, .need = 1, .min = 1, .max = 100, .rule = rule_line,
	  .help = "a piece of a name or nickname; with @, of an address", .example = "길동" },
	{ F(struct search, limit), .use = 1, .min = 1, .max = 100, .def = "10",
	  .help = "how many at most" });

enum { PATTERN_MOST = 6 }; /* characters */

enum { KEY, HEADS, ADDRESS_HEADS, NEWEST, NEWEST_ADDRESSES, TRIGRAMS, GRAMS, ADDRESSES };

#define ADDRESS "lower(email COLLATE \"C\")"

/* Of all passes: $1 the key, $2 how many, $3 who was found before. `key` is compared by bytes,
 * and nothing that begins with $1 lies beyond $1 and the last code point. */
#define SQL_HEADS(id, key, table)                                                              \
	"SELECT " USER_COLUMNS " FROM (SELECT h.id, min(h.worse) AS worse, min(h.key) AS key FROM" \
	" (SELECT " id " AS id, (" key " <> $1)::int AS worse, " key " AS key FROM " table     \
	"   WHERE " key " >= $1 AND " key " < $1 || chr(1114111) AND NOT " id " = ANY ($3::bigint[])" \
	"   ORDER BY " key " LIMIT 2 * $2::int) h GROUP BY h.id) h"                            \
	" JOIN users u ON u.id = h.id ORDER BY h.worse, char_length(h.key), h.key, u.id LIMIT $2::int"

/* $4, where it is there, narrows an index to few enough; that the whole key is in it is looked at
 * apart, by a function that no index knows. The first hundred that match are ranked, not
 * all; the CTE is read no further. */
#define SQL_HOLDS(source, key)                                                                 \
	"WITH found AS MATERIALIZED (" source " AND strpos(" key ", $1) > 0), "                \
	"few AS (SELECT id, key FROM found WHERE NOT id = ANY ($3::bigint[]) LIMIT 100) "      \
	"SELECT " USER_COLUMNS " FROM (SELECT id, max(similarity(key, $1)) AS alike FROM few"  \
	" GROUP BY id) h JOIN users u ON u.id = h.id ORDER BY h.alike DESC, u.id LIMIT $2::int"

static const struct db_stmt SQL[] = {
	[KEY] = { "search_key",
		"SELECT search_key($1), lower($1 COLLATE \"C\")", 1, false },
	[HEADS] = { "search_heads", SQL_HEADS("user_id", "key", "user_names"), 3, false },
	[ADDRESS_HEADS] = { "search_address_heads", SQL_HEADS("id", ADDRESS, "users"), 3, false },
	[NEWEST] = { "search_newest",
		SQL_HOLDS("SELECT user_id AS id, key FROM (SELECT user_id, key FROM user_names"
			  " ORDER BY user_id DESC LIMIT 1000) n WHERE true", "key"), 3, false },
	[NEWEST_ADDRESSES] = { "search_newest_addresses",
		SQL_HOLDS("SELECT id, " ADDRESS " AS key FROM (SELECT id, email FROM users"
			  " ORDER BY id DESC LIMIT 1000) n WHERE true", ADDRESS), 3, false },
	[TRIGRAMS] = { "search_trigrams",
		SQL_HOLDS("SELECT user_id AS id, key FROM user_names WHERE key LIKE $4", "key"), 4, false },
	/* two neighbours say all that their single letters say */
	[GRAMS] = { "search_grams",
		SQL_HOLDS("SELECT user_id AS id, key FROM user_names WHERE search_grams(key) @>"
			  " ARRAY(SELECT g FROM unnest(search_grams($1)) g"
			  "  WHERE char_length(g) = least(2, char_length($1)))", "key"), 3, false },
	[ADDRESSES] = { "search_addresses",
		SQL_HOLDS("SELECT id, " ADDRESS " AS key FROM users WHERE " ADDRESS " LIKE $4", ADDRESS),
		4, false },
};
const struct db_set SEARCH_STATEMENTS = { SQL, NELEM(SQL) };

/* A pass is made where the question has an '@' (or needs none), and three letters in a row (or
 * has none). */
static const struct pass {
	int  statement;
	bool address;
	enum { ANY, RUN, NO_RUN } letters;
} PASSES[] = {
	{ ADDRESS_HEADS,    true,  ANY },
	{ HEADS,            false, ANY },
	{ NEWEST_ADDRESSES, true,  ANY },
	{ NEWEST,           false, ANY },
	{ ADDRESSES,        true,  RUN },
	{ TRIGRAMS,         false, RUN },
	{ GRAMS,            false, NO_RUN },
};

struct keys {
	const char *name, *address;
};

static const struct shape KEYS = SHAPE(struct keys,
	{ F(struct keys, name), .use = 1 }, { F(struct keys, address), .use = 1 });
/* clang-format on */

static bool
is_letter(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

static bool
begins_character(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

/* The end of the last run of at least three letters before `end`; NULL where there is none.
 * *n_r: how many characters it has. */
static const char *
last_run(const char *key, const char *end, int *n_r)
{
	const char *last = NULL;
	int n = 0;

	for (; key < end; key++) {
		n = !is_letter(*key) ? 0 : n + begins_character(*key);
		if (n >= 3) {
			last = key + 1;
			*n_r = n;
		}
	}
	return last;
}

/* What LIKE looks for in the trigram index: the end of one run of letters, since the more
 * trigrams there are, the longer it takes, and ends differ more than beginnings do. Of an
 * address that of the local part. NULL where no run is long enough. Letters alone: nothing in
 * it means anything to LIKE. */
static const char *
pattern(struct arena *a, const char *key)
{
	const char *at = strchr(key, '@'), *from, *end = NULL;
	int n = 0;

	if (at != NULL)
		end = last_run(key, at, &n);
	if (end == NULL)
		end = last_run(key, key + strlen(key), &n);
	if (end == NULL)
		return NULL;
	n = n < PATTERN_MOST ? n : PATTERN_MOST;
	for (from = end; n > 0; n -= begins_character(*from))
		from--;
	return arena_printf(a, "%%%.*s%%", (int)(end - from), from);
}

/* What was found so far. */
struct finds {
	int64_t *id;
	int n, most;
	struct buf *out;
};

static enum err
run_pass(struct ctx *c, const struct pass *p, const char *key, const char *like, struct finds *f)
{
	struct user *rows;
	int n;
	enum err e = db_many(c->db, c->arena, &SQL[p->statement],
			     ARGS(key, db_int(c->arena, f->most - f->n),
				  db_array(c->arena, f->id, f->n), like),
			     &USER, IN_ROW, &rows, &n);

	if (e == OK)
		e = user_refresh(c, rows, n);
	for (int i = 0; e == OK && i < n; i++) {
		if (f->n > 0)
			buf_char(f->out, ',');
		doc_print(f->out, &USER, SHOWN, &rows[i]);
		f->id[f->n++] = rows[i].id;
	}
	return e;
}

enum err
search_users(struct ctx *c, const struct search *in, struct buf *out)
{
	struct finds f = { arena_get(c->arena, (size_t)in->limit * sizeof(int64_t)), 0,
			   (int)in->limit, out };
	bool address = strchr(in->q, '@') != NULL;
	struct keys keys;
	enum err e = db_one(c->db, c->arena, &SQL[KEY], ARGS(in->q), &KEYS, 1, &keys);

	buf_char(out, '[');
	for (const struct pass *p = PASSES; e == OK && p < PASSES + NELEM(PASSES); p++) {
		const char *key = p->address ? keys.address : keys.name;
		const char *like = pattern(c->arena, key);
		bool wanted = p->letters == ANY || (p->letters == RUN) == (like != NULL);

		if (f.n < f.most && wanted && (address || !p->address) && *key != '\0')
			e = run_pass(c, p, key, like, &f);
	}
	buf_char(out, ']');
	return e;
}
