/* passwd: crypt_rn with its work area wiped; long passwords by way of SHA-256. */
#include "passwd.h"

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "log.h"
#include "rnd.h"

#include "denylist.h"

/* Before a bcrypt hash of base64(SHA-256(password)). libcrypt never sees it. */
#define LONG_TAG "$sha256"
enum { COST_LEAST = 4, STEPS = 4 };
enum { BCRYPT_SEES = 72, HASH_LENGTH = 60, SETTING_SIZE = CRYPT_GENSALT_OUTPUT_SIZE };

static int set_cost;
static int64_t spent; /* on hashing, so far, us */
static char nobody[HASH_LENGTH + 1];

/* What bcrypt is to see: the password, or what stands for a long one. */
static const char *
digestible(const char *password, char room[48])
{
	unsigned char digest[SHA256_SIZE];

	rnd_sha256(password, strlen(password), digest);
	EVP_EncodeBlock((unsigned char *)room, digest, sizeof(digest));
	explicit_bzero(digest, sizeof(digest));
	return room;
}

static int64_t
cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* others' load is not our work */
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

int64_t
passwd_spent_us(void)
{
	return spent;
}

/* libcrypt's answer, copied out of its work area; false for its kind of failure. */
static bool
crypt_into(const char *phrase, const char *setting, char out[CRYPT_OUTPUT_SIZE])
{
	struct crypt_data *work = must_alloc(sizeof(*work));
	const char *hash;
	bool good;
	int64_t from = cpu_us();

	memset(work, 0, sizeof(*work));
	hash = crypt_rn(phrase, setting, work, (int)sizeof(*work));
	good = hash != NULL && hash[0] != '*';
	if (good)
		snprintf(out, CRYPT_OUTPUT_SIZE, "%s", hash);
	explicit_bzero(work, sizeof(*work));
	free(work);
	spent += cpu_us() - from;
	return good;
}

static bool
hash_at_cost(const char *phrase, char out[CRYPT_OUTPUT_SIZE])
{
	char setting[SETTING_SIZE];

	if (crypt_gensalt_rn("$2b$", (unsigned long)set_cost, NULL, 0, setting, sizeof(setting)) ==
	    NULL)
		return false;
	return crypt_into(phrase, setting, out) && strlen(out) == HASH_LENGTH;
}

enum err
passwd_hash(struct arena *a, const char *password, const char **hash_r)
{
	bool is_long = strlen(password) > BCRYPT_SEES;
	char room[48], out[CRYPT_OUTPUT_SIZE];
	bool good = hash_at_cost(is_long ? digestible(password, room) : password, out);

	explicit_bzero(room, sizeof(room));
	if (!good)
		return log_fail(E_BUG, EV("password.not_hashed"), KI("cost", set_cost));
	*hash_r = arena_printf(a, "%s%s", is_long ? LONG_TAG : "", out);
	explicit_bzero(out, sizeof(out));
	return OK;
}

static bool
equal(const char *a, const char *b)
{
	size_t len = strlen(a);

	return len == strlen(b) && rnd_same(a, b, len);
}

bool
passwd_is_old(const char *hash)
{
	if (strncmp(hash, LONG_TAG, sizeof(LONG_TAG) - 1) == 0)
		hash += sizeof(LONG_TAG) - 1;
	return strncmp(hash, "$2b$", 4) != 0 || atoi(hash + 4) < set_cost;
}

/*
 * Equal time
 */

/* Work as nobody's hash of this cost makes it; how long it took. */
static int64_t
idle_hash(int cost)
{
	char setting[HASH_LENGTH + 1], out[CRYPT_OUTPUT_SIZE];
	int64_t from = cpu_us();

	memcpy(setting, nobody, sizeof(setting));
	setting[4] = (char)('0' + cost / 10);
	setting[5] = (char)('0' + cost % 10);
	if (!crypt_into("", setting, out))
		log_error(EV("password.hash_unreadable"));
	return cpu_us() - from;
}

/* A hash of another system, or of an earlier cost, took `us` so far; one of ours takes twice as
 * long with each step of cost. What is missing is made up by the steps that fit, so that the
 * clock does not tell whose hash is old. (One that is dearer than ours shows until its user's
 * next login.) */
static void
make_up(int64_t us)
{
	int step = set_cost < COST_LEAST + STEPS ? COST_LEAST : set_cost - STEPS;
	int64_t unit = idle_hash(step), ours = unit << (set_cost - step);

	us += unit;
	for (int cost = set_cost - 1; cost >= COST_LEAST; cost--) {
		if (us + (ours >> (set_cost - cost)) <= ours)
			us += idle_hash(cost);
	}
}

/* A password that this hash can't be of: bcrypt would see 72 bytes of it and take it for another,
 * and libcrypt refuses 512 at once, which would tell by the time. It costs a hash all the same. */
static bool
is_too_long(const char *password, const char *stored, bool tagged)
{
	size_t len = strlen(password);

	return !tagged && (len >= CRYPT_MAX_PASSPHRASE_SIZE ||
			   (len > BCRYPT_SEES && strncmp(stored, "$2", 2) == 0));
}

bool
passwd_matches(const char *password, const char *hash)
{
	bool tagged = hash != NULL && strncmp(hash, LONG_TAG, sizeof(LONG_TAG) - 1) == 0;
	const char *stored = hash == NULL ? nobody : tagged ? hash + sizeof(LONG_TAG) - 1 : hash;
	bool too_long = is_too_long(password, stored, tagged);
	char room[48], out[CRYPT_OUTPUT_SIZE];
	bool good, same;
	int64_t from = cpu_us();

	good = crypt_into(tagged || too_long ? digestible(password, room) : password, stored, out);
	if (!good)
		log_error(EV("password.hash_unreadable"));
	same = good && !too_long && equal(out, stored);
	explicit_bzero(room, sizeof(room));
	explicit_bzero(out, sizeof(out));
	if (passwd_is_old(stored))
		make_up(cpu_us() - from);
	return hash != NULL && same;
}

/*
 * Hashes made elsewhere
 */

#define LETTERS "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* Each reads what says the cost; what is behind it, or NULL where that is too much. */

static const char *
two_digits(const char *p)
{
	bool form = strspn(p, "0123456789") == 2 && p[2] == '$';

	return form && atoi(p) >= 4 && atoi(p) <= 15 ? p + 3 : NULL;
}

static const char *
rounds(const char *p)
{
	size_t digits;

	if (strncmp(p, "rounds=", 7) != 0)
		return p; /* 5000 */
	digits = strspn(p += 7, "0123456789");
	return digits >= 4 && digits <= 7 && p[digits] == '$' && atoi(p) <= 1000000 ? p + digits + 1
										    : NULL;
}

/* At most 64 MiB: N and r of yescrypt as crypt_gensalt writes them. */
static const char *
memory(const char *p)
{
	bool fits = p[0] == 'j' && p[1] != '\0' && strchr("56789AB", p[1]) != NULL &&
		    p[2] != '\0' && strchr("5T", p[2]) != NULL && p[3] == '$';

	return fits ? p + 4 : NULL;
}

static const char *
scrypt_memory(const char *p)
{
	bool fits = *p != '\0' && strchr("6789ABC", *p) != NULL &&
		    strncmp(p + 1, "U..../....", 10) == 0;

	return fits ? p + 11 : NULL;
}

static const char *
fixed(const char *p)
{
	return p;
}

/* clang-format off */
static const struct scheme {
	const char *prefix;
	const char *(*cost)(const char *p);
	size_t salt_most; /* before a '$'; 0: it is part of the rest */
	size_t rest;
} SCHEMES[] = {
	{ "$2a$", two_digits,     0, 53 }, { "$2b$", two_digits,     0, 53 },
	{ "$2y$", two_digits,     0, 53 }, { "$y$",  memory,        86, 43 },
	{ "$gy$", memory,        86, 43 }, { "$7$",  scrypt_memory, 86, 43 },
	{ "$6$",  rounds,        16, 86 }, { "$5$",  rounds,        16, 43 },
	{ "$1$",  fixed,          8, 22 },
};
/* clang-format on */

static bool
is_of(const struct scheme *s, const char *text)
{
	size_t prefix = strlen(s->prefix), salt;
	const char *p = strncmp(text, s->prefix, prefix) == 0 ? s->cost(text + prefix) : NULL;

	if (p == NULL)
		return false;
	if (s->salt_most > 0) {
		salt = strcspn(p, "$");
		if (salt > s->salt_most || strspn(p, LETTERS) != salt || p[salt] != '$')
			return false;
		p += salt + 1;
	}
	return strlen(p) == s->rest && strspn(p, LETTERS) == s->rest;
}

enum msg
passwd_rule_hash(struct arena *a, const char *text, const char **out_r)
{
	bool ours = strncmp(text, LONG_TAG "$2b$", sizeof(LONG_TAG "$2b$") - 1) == 0;
	const char *bare = ours ? text + sizeof(LONG_TAG) - 1 : text;

	*out_r = arena_text(a, text);
	for (size_t i = 0; i < NELEM(SCHEMES); i++) {
		if (is_of(&SCHEMES[i], bare))
			return crypt_checksalt(bare) == CRYPT_SALT_INVALID ? MSG_HASH : MSG_OK;
	}
	return MSG_HASH;
}

/* Lists are in lower case, and capitals make a common word no secret. */
bool
passwd_is_common(const char *password)
{
	size_t len = strlen(password);
	char *folded;
	bool common;

	if (denylist_has(password))
		return true;
	folded = must_alloc(len + 1);
	for (size_t i = 0; i <= len; i++)
		folded[i] = password[i] >= 'A' && password[i] <= 'Z'
				    ? (char)(password[i] + 'a' - 'A')
				    : password[i];
	common = denylist_has(folded);
	explicit_bzero(folded, len);
	free(folded);
	return common;
}

/* A stranger must cost what a user costs: a hash of the set cost whose password nobody
 * knows. Its salt is random and its last 31 letters are, with all but certainty, no
 * password's, so it need not be computed. */
static bool
make_nobody(void)
{
	char setting[SETTING_SIZE], noise[24];
	unsigned char bytes[16];

	if (crypt_gensalt_rn("$2b$", (unsigned long)set_cost, NULL, 0, setting, sizeof(setting)) ==
	    NULL)
		return false;
	rnd_bytes(bytes, sizeof(bytes));
	rnd_hex(bytes, 11, noise);
	snprintf(nobody, sizeof(nobody), "%.29s%.22s%.9s", setting, noise, "abcdefghi");
	return strlen(nobody) == HASH_LENGTH;
}

enum err
passwd_init(int cost, const char *denylist_file)
{
	set_cost = cost;
	if (!make_nobody())
		return log_fail(E_BUG, EV("password.no_bcrypt"), KI("cost", cost));
	return denylist_open(denylist_file);
}
