/* kv_put: what is written, and scripts of the caller's. */
#include "kv_link.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "metric.h"

enum { WORDS_MOST = 16 }; /* of a put */

/*
 * Writing
 */

/* One of the words is the value, which may hold any byte. */
static bool
append_words(struct kv *kv, const char **argv, int n, int value, size_t value_len)
{
	size_t len[WORDS_MOST];

	assert(n <= WORDS_MOST);
	for (int i = 0; i < n; i++)
		len[i] = i == value ? value_len : strlen(argv[i]);
	metric_add(METRIC_CACHE_PUTS, 1);
	return redisAppendCommandArgv(kv->c, n, argv, len) == REDIS_OK;
}

/* A word list for redisAppendCommandArgv, of at most WORDS_MOST words. */
struct words {
	const char *word[WORDS_MOST];
	int n;
};

static void
add_words(struct words *w, const char *const *words, int n)
{
	assert(w->n + n <= WORDS_MOST);
	for (int i = 0; i < n; i++)
		w->word[w->n++] = words[i];
}

static bool
append_put_by(struct kv *kv, const struct kv_put *p, const char *version, const char *ttl)
{
	char n_keys[12];
	struct words w = { { "EVAL", p->by->text, n_keys, p->key }, 4 };

	snprintf(n_keys, sizeof(n_keys), "%d", 1 + p->by->n_keys);
	add_words(&w, p->by->keys, p->by->n_keys);
	add_words(&w, (const char *const[]){ version, p->value, ttl }, 3);
	add_words(&w, p->by->args, p->by->n_args);
	return append_words(kv, w.word, w.n, 5 + p->by->n_keys, p->len);
}

static bool
append_put(struct kv *kv, const struct kv_put *p)
{
	char version[24], ttl[24];
	const char *newer[] = { "EVALSHA", kv->sha[PUT], "1", p->key, version, p->value, ttl };
	const char *first[] = { "SET", p->key, p->value, "EX", ttl, "NX" };

	snprintf(version, sizeof(version), "%lld", (long long)p->version);
	snprintf(ttl, sizeof(ttl), "%lld", (long long)p->ttl_s);
	if (p->if_absent)
		return append_words(kv, first, NELEM(first), 2, p->len);
	return p->by != NULL ? append_put_by(kv, p, version, ttl)
			     : append_words(kv, newer, NELEM(newer), 5, p->len);
}

/* A Redis that was begun anew since may have lost what is newer, and then would take what is old. */
void
kv_put_later(struct kv *kv, const struct kv_put *p)
{
	bool good = kv_connected(kv);

	if (good && (kv->heard_on == 0 || kv->heard_on == kv->connections) && append_put(kv, p))
		kv->owed++;
}

enum put_end { PUT_DONE, PUT_REFUSED, PUT_BROKEN };

/* All puts went out; read the answers. One that Redis refuses (another type at the key, no
 * memory, a read-only replica) says nothing against the connection. */
static enum put_end
collect_puts(struct kv *kv, int n)
{
	enum put_end end = PUT_DONE;
	redisReply *r;

	if (!kv_collect_owed(kv))
		return PUT_BROKEN;
	for (int i = 0; i < n; i++) {
		if (!kv_next_reply(kv, &r))
			return PUT_BROKEN;
		kv_note_put(kv, r);
		end = r->type == REDIS_REPLY_ERROR ? PUT_REFUSED : end;
		freeReplyObject(r);
	}
	return end;
}

static enum put_end
put_once(struct kv *kv, const struct kv_put *puts, int n)
{
	kv_begin_trip(kv);
	for (int i = 0; i < n; i++) {
		if (!append_put(kv, &puts[i]))
			return PUT_BROKEN;
	}
	return collect_puts(kv, n);
}

enum err
kv_put(struct kv *kv, const struct kv_put *puts, int n)
{
	/* Twice: the connection may have died while idle, or Redis have lost the script. A put
	 * that was done already is refused the second time, which is as good. */
	for (int try = 0; try < 2 && kv_connected_for_writer(kv); try++) {
		enum put_end end = put_once(kv, puts, n);

		if (end == PUT_DONE)
			return OK;
		if (end == PUT_REFUSED && !kv->script_lost)
			return E_UNAVAILABLE;
		if (end == PUT_BROKEN && (try > 0 || !kv_worth_another(kv)))
			kv_back_off(kv, kv->c->errstr);
		else
			kv_hang_up(kv);
	}
	return E_UNAVAILABLE;
}

int
kv_unsettled(const struct kv *kv)
{
	return kv->n_soon;
}

enum err
kv_settle(struct kv *kv)
{
	bool lost = kv->soon_lost;
	enum err e = kv->n_soon == 0 ? OK : kv_put(kv, kv->soon, kv->n_soon);

	kv->n_soon = 0;
	kv->soon_lost = false;
	return lost ? E_UNAVAILABLE : e;
}

void
kv_put_soon(struct kv *kv, const struct kv_put *p)
{
	if (kv->n_soon == KV_SOON_MOST)
		kv->soon_lost = kv_settle(kv) != OK;
	kv->soon[kv->n_soon++] = *p;
}

/*
 * Scripts of the caller's
 */

static bool
append_script(struct kv *kv, struct arena *a, const struct kv_script *s)
{
	int n = 3 + s->n_keys + s->n_args;
	const char **argv = arena_get(a, (size_t)n * sizeof(*argv));

	argv[0] = "EVAL";
	argv[1] = s->text;
	argv[2] = arena_printf(a, "%d", s->n_keys);
	for (int i = 0; i < s->n_keys; i++)
		argv[3 + i] = s->keys[i];
	for (int i = 0; i < s->n_args; i++)
		argv[3 + s->n_keys + i] = s->args[i];
	return redisAppendCommandArgv(kv->c, n, argv, NULL) == REDIS_OK;
}

static const char *
word_of(struct arena *a, const redisReply *r)
{
	if (r->type == REDIS_REPLY_INTEGER)
		return arena_printf(a, "%lld", r->integer);
	return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS
		       ? arena_textn(a, r->str, r->len)
		       : "";
}

static void
words_of(struct arena *a, const redisReply *r, const char ***words_r, int *n_r)
{
	bool list = r->type == REDIS_REPLY_ARRAY;

	*n_r = list ? (int)r->elements : 1;
	*words_r = arena_get(a, (size_t)*n_r * sizeof(**words_r) + 1);
	for (int i = 0; i < *n_r; i++)
		(*words_r)[i] = word_of(a, list ? r->element[i] : r);
}

enum err
kv_run(struct kv *kv, struct arena *a, const struct kv_script *s, const char ***words_r, int *n_r)
{
	redisReply *r;

	*n_r = 0;
	for (int try = 0; try < 2 && kv_connected(kv); try++) {
		kv_begin_trip(kv);
		if (append_script(kv, a, s) && kv_collect_owed(kv) && kv_next_reply(kv, &r)) {
			enum err e = r->type == REDIS_REPLY_ERROR ? E_UNAVAILABLE : OK;

			if (e != OK)
				kv_note_refusal(kv, r);
			else
				words_of(a, r, words_r, n_r);
			freeReplyObject(r);
			return e;
		}
		if (try > 0 || !kv_worth_another(kv))
			kv_back_off(kv, kv->c->errstr);
		else
			kv_hang_up(kv);
	}
	return E_UNAVAILABLE;
}

enum err
kv_drop(struct kv *kv, const struct kv_put *puts, int n)
{
	bool good = kv_connected(kv);

	if (!good)
		return E_UNAVAILABLE;
	kv_begin_trip(kv);
	good = kv_collect_owed(kv);
	for (int i = 0; good && i < n; i++)
		good = kv_said(redisCommand(kv->c, "DEL %s", puts[i].key), REDIS_REPLY_INTEGER);
	if (!good)
		kv_hang_up(kv);
	return good ? OK : E_UNAVAILABLE;
}

enum err
kv_part_all(struct kv *kv)
{
	bool good = kv_connected(kv);

	if (!good)
		return E_UNAVAILABLE;
	kv_begin_trip(kv);
	good = kv_collect_owed(kv) &&
	       kv_said(redisCommand(kv->c, "CLIENT KILL TYPE normal SKIPME yes"),
		       REDIS_REPLY_INTEGER);
	kv_hang_up(kv);
	return good ? OK : E_UNAVAILABLE;
}
