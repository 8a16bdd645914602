/*
 * rules: addresses after the classes of cases that email-validator and pydantic's EmailStr
 * are tested with, telephone numbers, names.
 */
#include "rules.h"

#include "tap.h"

#define L10 "abcdefghij"
#define L60 L10 L10 L10 L10 L10 L10
#define L63 L60 "abc"
#define L64 L60 "abcd"
#define LABELS_183 L60 "." L60 "." L60 "."

/* In, and what is kept of it; NULL is refused. */
static const struct {
	const char *what, *text, *kept;
} EMAILS[] = {
	{ "an ordinary one", "hong@example.com", "hong@example.com" },
	{ "the domain in lower case, the rest as given", "Hong.Gil@EXAMPLE.Com",
	  "Hong.Gil@example.com" },
	{ "trimmed", " \t\xe3\x80\x80hong@example.com\n", "hong@example.com" },
	{ "one letter", "a@b.co", "a@b.co" },
	{ "digits", "123@456.com", "123@456.com" },
	{ "every sign that an atom allows", "!#$%&'*+-/=?^_`.{|}~@example.org",
	  "!#$%&'*+-/=?^_`.{|}~@example.org" },
	{ "a tag and a path", "u+box/dep=ship@example.org", "u+box/dep=ship@example.org" },
	{ "many labels", "a@b.c.d.e.museum", "a@b.c.d.e.museum" },
	{ "hyphens within a label", "a@ma-son.d-i-xon.com", "a@ma-son.d-i-xon.com" },
	{ "one letter before two hyphens", "a@g--a.com", "a@g--a.com" },
	{ "a dash first in the local part", "-a-@example.com", "-a-@example.com" },
	{ "example.com, which is nobody's", "a@example.com", "a@example.com" },
	{ "punycode", "a@xn--hxajbheg2az3al.xn--jxalpdlp", "a@xn--hxajbheg2az3al.xn--jxalpdlp" },
	{ "punycode in upper case", "a@XN--FIQQ24B10VI0D.tw", "a@xn--fiqq24b10vi0d.tw" },
	{ "what looks like punycode before the @", "xn--a@example.com", "xn--a@example.com" },
	{ "a Korean local part", "홍길동@example.com", "홍길동@example.com" },
	{ "Latin with accents", "ñoñó@example.com", "ñoñó@example.com" },
	{ "Cyrillic with dots and dashes", "чебурашка-с.рф@example.com",
	  "чебурашка-с.рф@example.com" },
	{ "Devanagari, which has combining marks", "उदाहरण.परीक्ष@example.com",
	  "उदाहरण.परीक्ष@example.com" },
	{ "a domain of other letters", "ιωάννης@εεττ.gr", "ιωάννης@εεττ.gr" },
	{ "a top-level domain of other letters", "a@메일.한국", "a@메일.한국" },
	{ "a local part of 64", L64 "@example.com", L64 "@example.com" },
	{ "a label of 63", "a@" L63 ".com", "a@" L63 ".com" },

	{ "nothing", "", NULL },
	{ "blanks", "   ", NULL },
	{ "no @", "hong.example.com", NULL },
	{ "only @", "@", NULL },
	{ "nothing before the @", "@example.com", NULL },
	{ "nothing after the @", "hong@", NULL },
	{ "two @", "a@b@example.com", NULL },
	{ "an escaped @", "a\\@b@example.com", NULL },
	{ "a local part of 65", L64 "e@example.com", NULL },
	{ "64 letters but 65 bytes", L60 "abcé@example.com", NULL },
	{ "a label of 64", "a@" L64 ".com", NULL },
	{ "a domain without a dot", "a@io", NULL },
	{ "a dot first", ".a@example.com", NULL },
	{ "a dot last", "a.@example.com", NULL },
	{ "two dots", "a..b@example.com", NULL },
	{ "a domain's dot first", "a@.example.com", NULL },
	{ "a domain's dot last", "a@example.com.", NULL },
	{ "a domain of two dots", "a@example..com", NULL },
	{ "a domain of a dot", "a@.", NULL },
	{ "a label that begins with a hyphen", "a@-example.com", NULL },
	{ "a label that ends with a hyphen", "a@example-.com", NULL },
	{ "a hyphen between dots", "a@b.-.com", NULL },
	{ "a hyphen at the end", "a@example.com-", NULL },
	{ "two letters and two hyphens that are no punycode", "a@yy--0.com", NULL },
	{ "a top-level domain that ends in a digit", "a@example.c1", NULL },
	{ "an address of numbers", "a@127.0.0.1", NULL },
	{ "arpa", "a@1.in-addr.arpa", NULL },
	{ "invalid", "a@b.invalid", NULL },
	{ "local", "a@printer.local", NULL },
	{ "localhost", "a@b.localhost", NULL },
	{ "localhost alone", "a@localhost", NULL },
	{ "onion", "a@b.c.onion", NULL },
	{ "test", "a@b.test", NULL },
	{ "test in upper case", "a@b.TEST", NULL },
	{ "a name that only ends like one of them", "a@b.contest", "a@b.contest" },
	{ "a blank within", "a b@example.com", NULL },
	{ "a blank around the @", "a @example.com", NULL },
	{ "a blank in the domain", "a@exam ple.com", NULL },
	{ "a no-break space within", "a\xc2\xa0z@example.com", NULL },
	{ "an ideographic space in the domain", "a@exam\xe3\x80\x80ple.com", NULL },
	{ "a line feed within", "a\nb@example.com", NULL },
	{ "a line feed in the domain", "a@exa\nmple.com", NULL },
	{ "a header smuggled in", "a@example.com\r\nBcc: b@example.com", NULL },
	{ "ESC", "a\x1b[1m@example.com", NULL },
	{ "DEL", "a\x7f@example.com", NULL },
	{ "a C1 control", "a\xc2\x9c@example.com", NULL },
	{ "a zero-width space", "a\xe2\x80\x8b@example.com", NULL },
	{ "a bidi override", "a\xe2\x80\xae@example.com", NULL },
	{ "a line separator", "a\xe2\x80\xa8z@example.com", NULL },
	{ "quotes", "\"a b\"@example.com", NULL },
	{ "quotes that nobody needs", "\"a\"@example.com", NULL },
	{ "one quote", "a\"@example.com", NULL },
	{ "a comment", "a(me)@example.com", NULL },
	{ "an IPv4 literal", "a@[127.0.0.1]", NULL },
	{ "an IPv6 literal", "a@[IPv6:::1]", NULL },
	{ "a name before it", "Hong <hong@example.com>", NULL },
	{ "angle brackets", "<hong@example.com>", NULL },
	{ "a comma", "a,b@example.com", NULL },
	{ "a semicolon", "a;b@example.com", NULL },
	{ "a colon", "a:b@example.com", NULL },
	{ "a backslash", "a\\b@example.com", NULL },
	{ "an underscore in the domain", "a@exam_ple.com", NULL },
	{ "a sign in the domain", "a@exam!ple.com", NULL },
	{ "a slash in the domain", "a@example.com/b", NULL },
	{ "a percent sign in the domain", "a@exam%ple.com", NULL },
};

static const struct {
	const char *text, *kept;
} PHONES[] = {
	{ "+82 10-1234-5678", "+82 10-1234-5678" },
	{ "(02) 123 4567", "(02) 123 4567" },
	{ "  010  ", "010" },
	{ "", "" },
	{ "010.1234", NULL },
	{ "call me", NULL },
	{ "010\t1234", NULL },
	{ "٠١٠", NULL },
	{ "010\n", "010" },
	{ "0x10", NULL },
};

static const struct {
	const char *what, *text, *kept;
} LINES[] = {
	{ "a name", "홍길동", "홍길동" },
	{ "trimmed", "\xe3\x80\x80 홍 길동 \n", "홍 길동" },
	{ "nothing is left", " \t ", "" },
	{ "an emoji with a joiner", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb",
	  "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb" },
	{ "markup is only letters", "<b>\"&'</b>", "<b>\"&'</b>" },
	{ "a line feed within", "a\nb", NULL },
	{ "a tab within", "a\tb", NULL },
	{ "ESC", "\x1b[31mred", NULL },
	{ "DEL", "a\x7f", NULL },
	{ "a C1 control",
	  "a\xc2\x9b"
	  "1m",
	  NULL },
	{ "a right-to-left override",
	  "gpj.\xe2\x80\xae"
	  "exe",
	  NULL },
	{ "an isolate", "a\xe2\x81\xa7z", NULL },
	{ "a right-to-left mark", "a\xe2\x80\x8fz", NULL },
	{ "a zero-width space", "a\xe2\x80\x8bz", NULL },
	{ "a byte order mark",
	  "\xef\xbb\xbf"
	  "a",
	  NULL },
	{ "a paragraph separator", "a\xe2\x80\xa9z", NULL },
};

static const struct {
	const char *text;
	enum msg m;
} EVENT_TYPES[] = {
	{ "cart.filled", MSG_OK },
	{ "A1_b-c", MSG_OK },
	{ "users", MSG_OK },
	{ "user", MSG_OK },
	{ "", MSG_EVENT_TYPE },
	{ "1a", MSG_EVENT_TYPE },
	{ "_a", MSG_EVENT_TYPE },
	{ "a b", MSG_EVENT_TYPE },
	{ "홍", MSG_EVENT_TYPE },
	{ "a\n", MSG_EVENT_TYPE },
	{ "user_created", MSG_RESERVED },
	{ "User_x", MSG_RESERVED },
	{ "profile_created", MSG_RESERVED },
}, POSITIONS[] = {
	{ "0.0", MSG_OK },
	{ "740.12", MSG_OK },
	{ "9223372036854775807.9223372036854775807", MSG_OK },
	{ "", MSG_POSITION },
	{ ".", MSG_POSITION },
	{ "1", MSG_POSITION },
	{ "1.", MSG_POSITION },
	{ ".1", MSG_POSITION },
	{ "-1.1", MSG_POSITION },
	{ "1.-1", MSG_POSITION },
	{ "1.1.1", MSG_POSITION },
	{ "01.1", MSG_POSITION },
	{ "9223372036854775808.1", MSG_POSITION },
};

static const struct {
	const char *text, *kept; /* NULL: refused */
} TIMES[] = {
	{ "2026-01-31T09:00:00Z", "2026-01-31T09:00:00Z" },
	{ "2026-01-31t09:00:00z", "2026-01-31t09:00:00z" },
	{ "2026-01-31T09:00:00.5+09:00", "2026-01-31T09:00:00.5+09:00" },
	{ "2026-01-31T09:00:00.123456-00:30", "2026-01-31T09:00:00.123456-00:30" },
	{ "2026-01-31T09:00:00.123456999Z", "2026-01-31T09:00:00.123456Z" },
	{ "", NULL },
	{ "now", NULL },
	{ "infinity", NULL },
	{ "2026-01-31", NULL },
	{ "2026-01-31T09:00Z", NULL },
	{ "2026-01-31T09:00:00", NULL },
	{ "2026-01-31 09:00:00Z", NULL },
	{ "2026-01-31T09:00:00.Z", NULL },
	{ "2026-01-31T09:00:00 09:00", NULL },
	{ "2026-01-31T09:00:00+0900", NULL },
	{ "2026-01-31T09:00:00+09:00 ", NULL },
	{ "2026-01-31T09:00:00ZZ", NULL },
	{ "12026-01-31T09:00:00Z", NULL },
	{ "-026-01-31T09:00:00Z", NULL },
};

static void
check(struct arena *a, enum msg (*rule)(struct arena *, const char *, const char **),
      const char *what, const char *text, const char *kept, enum msg refusal)
{
	const char *got = NULL;
	enum msg m = rule(a, text, &got);

	if (kept == NULL)
		ok(m == refusal, "%s: refused", what);
	else if (ok(m == MSG_OK, "%s: taken", what))
		is_text(got, kept, what);
}

/* Around 255 bytes, with labels and a local part that are well within their own bounds. */
static void
test_length(struct arena *a)
{
	for (int all = 254; all <= 256; all++) {
		static const char DOMAIN_248[] = "@" LABELS_183 L60 ".com";
		char *text =
			arena_printf(a, "%.*s%s", all - (int)strlen(DOMAIN_248), L10, DOMAIN_248);

		check(a, rule_email, arena_printf(a, "%d bytes", all), text,
		      all <= 255 ? text : NULL, MSG_EMAIL);
	}
}

int
main(void)
{
	struct arena *a = arena_new(16 * 1024);

	for (size_t i = 0; i < NELEM(EMAILS); i++)
		check(a, rule_email, EMAILS[i].what, EMAILS[i].text, EMAILS[i].kept, MSG_EMAIL);
	test_length(a);
	for (size_t i = 0; i < NELEM(PHONES); i++)
		check(a, rule_phone, PHONES[i].text, PHONES[i].text, PHONES[i].kept, MSG_PHONE);
	for (size_t i = 0; i < NELEM(TIMES); i++)
		check(a, rule_time, TIMES[i].text, TIMES[i].text, TIMES[i].kept, MSG_TIME);
	for (size_t i = 0; i < NELEM(LINES); i++)
		check(a, rule_line, LINES[i].what, LINES[i].text, LINES[i].kept, MSG_CONTROL);
	for (size_t i = 0; i < NELEM(EVENT_TYPES); i++)
		is_int(rule_event_type(a, EVENT_TYPES[i].text, &(const char *){ NULL }),
		       EVENT_TYPES[i].m, EVENT_TYPES[i].text);
	for (size_t i = 0; i < NELEM(POSITIONS); i++)
		is_int(rule_position(a, POSITIONS[i].text, &(const char *){ NULL }), POSITIONS[i].m,
		       POSITIONS[i].text);
	arena_free(&a);
	return tap_end();
}
