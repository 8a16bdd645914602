/* What Redis says of users and sessions: only what we wrote is believed. */
#include "user.h"

#include "session.h"
#include "tap.h"

#define T(literal) "" literal, sizeof(literal) - 1
enum { ID = 42 };

static const char *const WORDS[] = {
	[MISSED] = "a miss",
	[HEARD] = "heard",
	[HEARD_GONE] = "gone",
	[HEARD_STALE] = "stale, to be replaced",
};

static const struct {
	const char *what, *text;
	size_t len;
	enum heard heard;
	int64_t version;
	const char *body;
} USERS[] = {
	{ "a page", T("7\n{\"id\":42}"), HEARD, 7, "{\"id\":42}" },
	{ "the least page", T("1\n{}"), HEARD, 1, "{}" },
	{ "the newest version", T("9223372036854775807\n{}"), HEARD, INT64_MAX, "{}" },
	{ "a page with a line feed in it", T("7\n{\"a\":\n1}"), HEARD, 7, "{\"a\":\n1}" },
	{ "no such user", T("0\n"), HEARD_GONE, 0, NULL },
	{ "deleted", T("8\n"), HEARD_GONE, 0, NULL },
	{ "stale", T("8\n?"), HEARD_STALE, 0, NULL },
	{ "nothing", T(""), HEARD_STALE, 0, NULL },
	{ "a line feed", T("\n"), HEARD_STALE, 0, NULL },
	{ "no version", T("\n{}"), HEARD_STALE, 0, NULL },
	{ "no line feed", T("7{}"), HEARD_STALE, 0, NULL },
	{ "a version alone", T("7"), HEARD_STALE, 0, NULL },
	{ "a version below zero", T("-1\n{}"), HEARD_STALE, 0, NULL },
	{ "a version beyond 64 bits", T("9223372036854775808\n{}"), HEARD_STALE, 0, NULL },
	{ "a version of many digits", T("00000000000000000000000000007\n{}"), HEARD_STALE, 0,
	  NULL },
	{ "a leading zero", T("07\n{}"), HEARD_STALE, 0, NULL },
	{ "a blank before the version", T(" 7\n{}"), HEARD_STALE, 0, NULL },
	{ "a blank behind the version", T("7 \n{}"), HEARD_STALE, 0, NULL },
	{ "CR before the line feed", T("7\r\n{}"), HEARD_STALE, 0, NULL },
	{ "a real version", T("7.0\n{}"), HEARD_STALE, 0, NULL },
	{ "a page with pending changes", T("7.2\n{}"), HEARD, 7, "{}" },
	{ "one of a user that had such before", T("7.2+30\n{}"), HEARD, 7, "{}" },
	{ "none pending now", T("7+30\n{}"), HEARD, 7, "{}" },
	{ "pending what?", T("7.\n{}"), HEARD_STALE, 0, NULL },
	{ "a plus alone", T("7+\n{}"), HEARD_STALE, 0, NULL },
	{ "a zero behind the plus", T("7+0\n{}"), HEARD_STALE, 0, NULL },
	{ "the wrong way about", T("7+3.2\n{}"), HEARD_STALE, 0, NULL },
	{ "more than there is", T("7.2+3+4\n{}"), HEARD_STALE, 0, NULL },
	{ "a head without end",
	  T("7.11111111111111111111111111111111111111111111111111111111111111111\n{}"), HEARD_STALE,
	  0, NULL },
	{ "words", T("nonsense\n{}"), HEARD_STALE, 0, NULL },
	{ "half an object", T("7\n{"), HEARD_STALE, 0, NULL },
	{ "the other half", T("7\n}"), HEARD_STALE, 0, NULL },
	{ "a page cut off", T("7\n{\"id\":42"), HEARD_STALE, 0, NULL },
	{ "an array", T("7\n[]"), HEARD_STALE, 0, NULL },
	{ "something behind the page", T("7\n{}\n"), HEARD_STALE, 0, NULL },
	{ "a blank for a page", T("7\n "), HEARD_STALE, 0, NULL },
	{ "NUL behind the version", T("7\0x\n{}"), HEARD_STALE, 0, NULL },
	{ "zeros", T("\0\0\0\0"), HEARD_STALE, 0, NULL },
	{ "bytes", T("\xff\xfe\n\x80"), HEARD_STALE, 0, NULL },
};

static const struct {
	const char *what, *text;
	size_t len;
	enum heard heard;
	int64_t version, user;
	const char *role;
} SESSIONS[] = {
	{ "a user's", T("7\n42 user active 3"), HEARD, 7, 42, "user" },
	{ "an admin's", T("1\n1 admin active 3"), HEARD, 1, 1, "admin" },
	{ "great numbers", T("9007199254740991\n9223372036854775807 user active 3"), HEARD,
	  9007199254740991, INT64_MAX, "user" },
	{ "an inactive user's", T("7\n42 user inactive 3"), HEARD_GONE, 0, 0, NULL },
	{ "ended", T("9007199254740991\n"), HEARD_GONE, 0, 0, NULL },
	{ "no epoch", T("7\n42 user active"), HEARD_STALE, 0, 0, NULL },
	{ "an empty epoch", T("7\n42 user active "), HEARD_STALE, 0, 0, NULL },
	{ "epoch zero", T("7\n42 user active 0"), HEARD_STALE, 0, 0, NULL },
	{ "an epoch that is no number", T("7\n42 user active x"), HEARD_STALE, 0, 0, NULL },
	{ "nothing", T(""), HEARD_STALE, 0, 0, NULL },
	{ "no status", T("7\n42 user"), HEARD_STALE, 0, 0, NULL },
	{ "no role", T("7\n42"), HEARD_STALE, 0, 0, NULL },
	{ "no version", T("\n42 user active 3"), HEARD_STALE, 0, 0, NULL },
	{ "a version of zero", T("0\n42 user active 3"), HEARD_STALE, 0, 0, NULL },
	{ "a version below zero", T("-7\n42 user active 3"), HEARD_STALE, 0, 0, NULL },
	{ "user zero", T("7\n0 user active 3"), HEARD_STALE, 0, 0, NULL },
	{ "a user below zero", T("7\n-42 user active 3"), HEARD_STALE, 0, 0, NULL },
	{ "something behind it", T("7\n42 user active 3 "), HEARD_STALE, 0, 0, NULL },
	{ "NUL behind it", T("7\n42 user active 3\0x"), HEARD_STALE, 0, 0, NULL },
	{ "a long role", T("7\n42 superuser active 3"), HEARD_STALE, 0, 0, NULL },
	{ "a long status", T("7\n42 user activeactiveactive 3"), HEARD_STALE, 0, 0, NULL },
	{ "upper case", T("7\n42 USER ACTIVE 3"), HEARD_STALE, 0, 0, NULL },
	{ "a user's page", T("7\n{\"id\":42}"), HEARD_STALE, 0, 0, NULL },
	{ "words", T("nonsense"), HEARD_STALE, 0, 0, NULL },
	{ "zeros", T("\0\0\0\0"), HEARD_STALE, 0, 0, NULL },
	{ "bytes", T("\xff\xfe\x80"), HEARD_STALE, 0, 0, NULL },
	{ "far too much",
	  T("7\n42 user active 3                                                                      "),
	  HEARD_STALE, 0, 0, NULL },
	{ "words and a line feed", T("nonsense\n"), HEARD_STALE, 0, 0, NULL },
	{ "a line feed", T("\n"), HEARD_STALE, 0, 0, NULL },
	{ "a blank for the line feed", T("7 42 user active 3"), HEARD_STALE, 0, 0, NULL },
	{ "a blank before it", T(" 7\n42 user active 3"), HEARD_STALE, 0, 0, NULL },
	{ "a plus sign", T("+7\n42 user active 3"), HEARD_STALE, 0, 0, NULL },
	{ "two blanks", T("7\n42  user active 3"), HEARD_STALE, 0, 0, NULL },
	{ "no such role", T("7\n42 root active 3"), HEARD_STALE, 0, 0, NULL },
	{ "no such status", T("7\n42 user asleep 3"), HEARD_STALE, 0, 0, NULL },
};

static void
test_users(struct arena *a)
{
	for (size_t i = 0; i < NELEM(USERS); i++) {
		/* exactly as long as the record, so that a sanitizer sees a step beyond it */
		char *text = arena_textn(a, USERS[i].text, USERS[i].len);
		struct page p = { 0 };
		enum heard h = user_record_read(text, USERS[i].len, ID, &p);
		bool body = USERS[i].body == NULL || (p.len == strlen(USERS[i].body) &&
						      memcmp(p.body, USERS[i].body, p.len) == 0);

		ok(h == USERS[i].heard, "user, %s: %s", USERS[i].what, WORDS[USERS[i].heard]);
		if (h == HEARD)
			ok(body && p.version == USERS[i].version && p.id == ID && p.hit,
			   "with its version and body");
	}
}

static void
test_sessions(struct arena *a)
{
	for (size_t i = 0; i < NELEM(SESSIONS); i++) {
		char *text = arena_textn(a, SESSIONS[i].text, SESSIONS[i].len);
		struct session s = { 0 };
		enum heard h = session_record_read(text, SESSIONS[i].len, ID, &s);

		ok(h == SESSIONS[i].heard, "session, %s: %s", SESSIONS[i].what,
		   WORDS[SESSIONS[i].heard]);
		if (h != HEARD || SESSIONS[i].heard != HEARD)
			continue;
		ok(s.id == ID && s.user.id == SESSIONS[i].user &&
			   s.user.version == SESSIONS[i].version,
		   "with its numbers");
		is_text(s.user.role, SESSIONS[i].role, "with its role");
		is_text(s.user.status, "active", "with its status");
	}
}

int
main(void)
{
	struct arena *a = arena_new(4096);

	test_users(a);
	test_sessions(a);
	arena_free(&a);
	return tap_end();
}
