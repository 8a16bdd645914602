/* passwd: bcrypt at its edges. The cost is the least there is, or the tests would take minutes. */
#include "passwd.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "tap.h"

enum { COST = 4 };

#define L9 "123456789"
#define L36 L9 L9 L9 L9
#define L72 L36 L36
#define L512 L72 L72 L72 L72 L72 L72 L72 "12345678"

static const char *
hash_of(struct arena *a, const char *password)
{
	const char *hash = NULL;

	ok(passwd_hash(a, password, &hash) == OK && hash != NULL,
	   "a password of %zu bytes is hashed", strlen(password));
	return hash == NULL ? "" : hash;
}

static const struct {
	const char *what, *password;
	bool tagged;
} PASSWORDS[] = {
	{ "a short one", "a", false },
	{ "blanks at the ends", " a ", false },
	{ "bytes above ASCII", "비밀번호", false },
	{ "71 bytes", L36 L9 L9 L9 "12345678", false },
	{ "72 bytes", L72, false },
	{ "73 bytes", L72 "x", true },
	{ "24 syllables, 72 bytes", "가가가가가가가가가가가가가가가가가가가가가가가가", false },
	{ "25 syllables, 75 bytes", "가가가가가가가가가가가가가가가가가가가가가가가가가", true },
	{ "600 bytes, more than libcrypt takes", L72 L72 L72 L72 L72 L72 L72 L72 L36, true },
};

/* What this process has worked; others' load is not in it. */
static int64_t
worked_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static int64_t
guess_us(const char *password, const char *hash)
{
	int64_t from = worked_us();

	ok(!passwd_matches(password, hash), "%zu bytes are not the password", strlen(password));
	return worked_us() - from;
}

/* libcrypt refuses 512 bytes before it has worked at all. */
static void
test_long_guess(struct arena *a)
{
	const char *hash = hash_of(a, "a");
	int64_t plain = guess_us("wrong", hash), l = guess_us(L512, hash);

	ok(l > plain / 4, "a guess of 512 bytes costs a hash (%lld us, another %lld us)",
	   (long long)l, (long long)plain);
	ok(guess_us(L512, NULL) > plain / 4, "nobody's too");
}

static void
test_hashes(struct arena *a)
{
	for (size_t i = 0; i < NELEM(PASSWORDS); i++) {
		const char *password = PASSWORDS[i].password, *hash = hash_of(a, password);
		const char *bcrypt = hash + (PASSWORDS[i].tagged ? strlen("$sha256") : 0);
		char *other = arena_text(a, password);

		ok(strncmp(hash, "$sha256$2b$04$", 14) == 0 || !PASSWORDS[i].tagged,
		   "%s: goes through SHA-256", PASSWORDS[i].what);
		ok(strncmp(bcrypt, "$2b$04$", 7) == 0 && strlen(bcrypt) == 60,
		   "%s: bcrypt of the set cost", PASSWORDS[i].what);
		ok(passwd_matches(password, hash), "%s: matches", PASSWORDS[i].what);
		ok(!passwd_is_old(hash), "%s: is up to date", PASSWORDS[i].what);
		other[strlen(other) - 1] ^= 1;
		ok(!passwd_matches(other, hash), "%s: the last byte counts", PASSWORDS[i].what);
		ok(!passwd_matches("", hash), "%s: nothing does not match", PASSWORDS[i].what);
		ok(strcmp(hash, hash_of(a, password)) != 0, "%s: twice it is another hash",
		   PASSWORDS[i].what);
	}
	ok(!passwd_matches(L72, hash_of(a, L72 "x")), "72 bytes do not stand for 73");
	test_long_guess(a);
}

/* Made elsewhere from "secret", and what is no hash of anything. */
static const struct {
	const char *what, *hash;
	bool matches, old;
} FOREIGN[] = {
	{ "bcrypt as $2b$", "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", true,
	  false },
	{ "bcrypt as $2a$", "$2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", true,
	  true },
	{ "bcrypt as $2y$", "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", true,
	  true },
	{ "yescrypt", "$y$j75$abcdefgh$uMUXG79B2cFpoAYyDccUnsaH/aGTyBYMlnQidzyag01", true, true },
	{ "SHA-512",
	  "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.",
	  true, true },
	{ "SHA-256", "$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.", true, true },
	{ "a setting without a hash", "$5$abcdefgh$", false, true },
	{ "bcrypt without its end", "$2b$04$abcdefghijklmnopqrstuu", false, false },
	{ "bcrypt of an impossible cost",
	  "$2b$99$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", false, false },
	{ "nothing", "", false, true },
	{ "a star", "*", false, true },
	{ "libcrypt's own sign of failure", "*0", false, true },
	{ "a locked account", "!", false, true },
	{ "text", "not a hash", false, true },
	{ "an unknown kind", "$99$abc$def", false, true },
	{ "only the tag", "$sha256", false, true },
	{ "the tag before nonsense", "$sha256nonsense", false, true },
	{ "the password itself", "secret", false, true },
};

static void
test_foreign(struct arena *a)
{
	const char *ours = hash_of(a, "secret");
	char *cheap = arena_text(a, ours), *damaged = arena_text(a, ours);
	const char *longer = arena_printf(a, "%sx", ours);

	for (size_t i = 0; i < NELEM(FOREIGN); i++) {
		ok(passwd_matches("secret", FOREIGN[i].hash) == FOREIGN[i].matches, "%s: %s",
		   FOREIGN[i].what, FOREIGN[i].matches ? "matches" : "no match");
		ok(!passwd_matches("Secret", FOREIGN[i].hash), "%s: not for another password",
		   FOREIGN[i].what);
		ok(passwd_is_old(FOREIGN[i].hash) == FOREIGN[i].old, "%s: %s", FOREIGN[i].what,
		   FOREIGN[i].old ? "old" : "not old");
	}
	cheap[5] = '3';
	ok(passwd_is_old(cheap), "a lower cost is old");
	cheap[4] = '1';
	ok(!passwd_is_old(cheap), "a higher one is not");
	damaged[20] ^= 1;
	ok(!passwd_matches("secret", damaged), "another salt, another hash");
	ok(!passwd_matches("secret", longer), "a hash with something behind it is none");
	ok(!passwd_matches("secret", arena_printf(a, "$sha256%s", ours)),
	   "the tag is part of the hash");
	ok(!passwd_is_old(arena_printf(a, "$sha256%s", ours)), "the cost of a tagged hash is seen");
}

static void
test_nobody(struct arena *a)
{
	ok(!passwd_matches("", NULL) && !passwd_matches("abcdefghi", NULL) &&
		   !passwd_matches(L72 "x", NULL),
	   "no hash is nobody's, whatever is tried");
	is_int(passwd_init(COST + 1, NULL), OK, "the cost can be raised");
	ok(passwd_is_old("$2b$04$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzabcde"),
	   "then yesterday's hashes are old");
	ok(strncmp(hash_of(a, "x"), "$2b$05$", 7) == 0, "and new ones cost that");
	is_int(passwd_init(COST, NULL), OK, "and lowered again");
}

/* A file with this text, opened as the list. */
static enum err
deny(const char *text)
{
	char path[] = "passwd_test.XXXXXX";
	int fd = mkstemp(path);
	enum err e;

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		printf("#   no file\n");
	close(fd);
	e = passwd_init(COST, path);
	unlink(path);
	return e;
}

static void
test_deny_list(void)
{
	static const char *const UNSORTED[] = { "b\na\n", "a\na\n", "a\nb\na", "a\n\n",
						"B\nb\na\n" };

	ok(!passwd_is_common("qwertyuiop"), "without a list nothing is common");
	is_int(deny("letmein123\r\nqwertyuiop\nthis-one\n비밀번호1234\n힣-without-end"), OK,
	       "a list is read");
	ok(passwd_is_common("qwertyuiop") && passwd_is_common("letmein123") &&
		   passwd_is_common("비밀번호1234") && passwd_is_common("힣-without-end"),
	   "what stands there is common");
	ok(passwd_is_common("Letmein123") && passwd_is_common("QWERTYUIOP"), "in capitals too");
	ok(!passwd_is_common("qwertyuio") && !passwd_is_common("qwertyuiop1") &&
		   !passwd_is_common("a") && !passwd_is_common("힣힣") && !passwd_is_common("") &&
		   !passwd_is_common("letmein123\r"),
	   "what does not is not");
	is_int(passwd_init(COST, "/nonexistent/list"), E_BUG,
	       "a list that can't be read is a fault");
	for (size_t i = 0; i < NELEM(UNSORTED); i++)
		is_int(deny(UNSORTED[i]), E_BUG, "so is one that is out of order");
	is_int(passwd_init(COST, "/dev/null"), OK, "an empty one denies nothing");
	ok(!passwd_is_common("qwertyuiop") && !passwd_is_common(""), "nothing at all");
}

/* Every line of the list that is shipped, and none beside it. */
static void
test_shipped_list(void)
{
	const char *path = getenv("PASSWORD_DENYLIST_FILE");
	char line[64];
	int lines = 0, found = 0, beside = 0;
	FILE *f = path == NULL ? NULL : fopen(path, "re");

	if (f == NULL) {
		printf("# PASSWORD_DENYLIST_FILE is not set: the shipped list is not looked at\n");
		return;
	}
	is_int(passwd_init(COST, path), OK, "the shipped list is in order");
	while (fgets(line, sizeof(line) - 1, f) != NULL) {
		size_t len = strcspn(line, "\n");

		line[len] = '\0';
		lines++;
		found += passwd_is_common(line) && len >= 8;
		line[len] = '~';
		line[len + 1] = '\0';
		beside += passwd_is_common(line);
	}
	fclose(f);
	ok(lines > 3000 && found == lines, "all of its %d lines are found, each of 8 or more",
	   lines);
	is_int(beside, 0, "and nothing beside them");
}

/* A request is not called slow for the time that its hashes take. */
static void
test_spent(struct arena *a)
{
	int64_t before = passwd_spent_us(), worked = worked_us();
	const char *hash = hash_of(a, "a password");
	int64_t spent = passwd_spent_us() - before;

	worked = worked_us() - worked;
	ok(spent > 0 && spent <= worked, "what hashing takes is counted: %lld of %lld us",
	   (long long)spent, (long long)worked);
	before = passwd_spent_us();
	passwd_matches("a password", hash);
	ok(passwd_spent_us() > before, "so is what checking takes");
}

int
main(void)
{
	struct arena *a = arena_new(16 * 1024);

	log_init("passwd_test", "text", "error");
	is_int(passwd_init(COST, NULL), OK, "a cost of 4 can be had");
	test_hashes(a);
	test_foreign(a);
	test_nobody(a);
	test_spent(a);
	test_deny_list();
	test_shipped_list();
	arena_free(&a);
	return tap_end();
}
