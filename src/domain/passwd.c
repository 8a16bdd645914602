/* passwd: crypt_rn with its work area wiped; long passwords by way of SHA-256. */
#include "passwd.h"

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "log.h"
#include "rnd.h"

#include "denylist.h"

/* Before a bcrypt hash of base64(SHA-256(password)). libcrypt never sees it. */
#define LONG_TAG "$sha256"
enum { BCRYPT_SEES = 72, HASH_LENGTH = 60, SETTING_SIZE = CRYPT_GENSALT_OUTPUT_SIZE };

static int set_cost;
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

/* libcrypt's answer, copied out of its work area; false for its kind of failure. */
static bool
crypt_into(const char *phrase, const char *setting, char out[CRYPT_OUTPUT_SIZE])
{
	struct crypt_data *work = must_alloc(sizeof(*work));
	const char *hash;
	bool good;

	memset(work, 0, sizeof(*work));
	hash = crypt_rn(phrase, setting, work, (int)sizeof(*work));
	good = hash != NULL && hash[0] != '*';
	if (good)
		snprintf(out, CRYPT_OUTPUT_SIZE, "%s", hash);
	explicit_bzero(work, sizeof(*work));
	free(work);
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
passwd_matches(const char *password, const char *hash)
{
	bool tagged = hash != NULL && strncmp(hash, LONG_TAG, sizeof(LONG_TAG) - 1) == 0;
	const char *stored = hash == NULL ? nobody : tagged ? hash + sizeof(LONG_TAG) - 1 : hash;
	char room[48], out[CRYPT_OUTPUT_SIZE];
	bool good, same;

	good = crypt_into(tagged ? digestible(password, room) : password, stored, out);
	if (!good)
		log_error(EV("password.hash_unreadable"));
	same = good && equal(out, stored);
	/* bcrypt saw 72 bytes of it: another password, which it can't tell from this one */
	if (!tagged && strncmp(stored, "$2", 2) == 0 && strlen(password) > BCRYPT_SEES)
		same = false;
	explicit_bzero(room, sizeof(room));
	explicit_bzero(out, sizeof(out));
	return hash != NULL && same;
}

bool
passwd_is_old(const char *hash)
{
	if (strncmp(hash, LONG_TAG, sizeof(LONG_TAG) - 1) == 0)
		hash += sizeof(LONG_TAG) - 1;
	return strncmp(hash, "$2b$", 4) != 0 || atoi(hash + 4) < set_cost;
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
