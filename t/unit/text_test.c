/* text: the decoder against RFC 3629, and the questions built upon it. */
#include "text.h"

#include "tap.h"

/* A literal with its length, so that NUL can be in it. */
#define T(literal) "" literal, sizeof(literal) - 1

static const struct {
	const char *what, *text;
	size_t len;
	bool good;
} UTF8[] = {
	{ "nothing", T(""), true },
	{ "ASCII", T("abc \x7f"), true },
	{ "two bytes, least and most", T("\xc2\x80\xdf\xbf"), true },
	{ "three bytes, least and most", T("\xe0\xa0\x80\xef\xbf\xbf"), true },
	{ "around the surrogates", T("\xed\x9f\xbf\xee\x80\x80"), true },
	{ "four bytes, least and most", T("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), true },
	{ "NUL", T("a\0b"), false },
	{ "NUL alone", T("\0"), false },
	{ "NUL in two bytes", T("\xc0\x80"), false },
	{ "a slash in two bytes", T("\xc0\xaf"), false },
	{ "a slash in three bytes", T("\xe0\x80\xaf"), false },
	{ "a slash in four bytes", T("\xf0\x80\x80\xaf"), false },
	{ "the longest overlong of two", T("\xc1\xbf"), false },
	{ "the longest overlong of three", T("\xe0\x9f\xbf"), false },
	{ "the longest overlong of four", T("\xf0\x8f\xbf\xbf"), false },
	{ "the first surrogate", T("\xed\xa0\x80"), false },
	{ "the last surrogate", T("\xed\xbf\xbf"), false },
	{ "a pair of surrogates", T("\xed\xa0\xbd\xed\xb8\x80"), false },
	{ "beyond U+10FFFF", T("\xf4\x90\x80\x80"), false },
	{ "five bytes", T("\xf8\x88\x80\x80\x80"), false },
	{ "FE and FF", T("\xfe\xff"), false },
	{ "a continuation alone", T("a\x80"), false },
	{ "cut after one of two", T("\xc3"), false },
	{ "cut after two of three", T("\xed\x99"), false },
	{ "cut after three of four", T("\xf0\x9f\x98"), false },
	{ "a letter where a continuation belongs", T("\xe2\x28\xa1"), false },
	{ "Latin-1", T("caf\xe9"), false },
};

static const struct {
	const char *text;
	size_t count;
} COUNTS[] = {
	{ "", 0 },  { "abc", 3 },	{ "홍길동", 3 },
	{ "é", 1 }, { "e\xcc\x81", 2 }, { "a\xf0\x9f\x98\x80z", 3 },
};

static const struct {
	const char *what, *text, *trimmed;
} TRIMS[] = {
	{ "nothing", "", "" },
	{ "nothing to trim", "a b", "a b" },
	{ "blanks only", " \t\r\n\v\f ", "" },
	{ "both ends", "  a b\n", "a b" },
	{ "the separators that Python strips",
	  "\x1c\x1d\x1e\x1f"
	  "a\x1f",
	  "a" },
	{ "NEL and the no-break space",
	  "\xc2\x85\xc2\xa0"
	  "a\xc2\xa0",
	  "a" },
	{ "the ideographic space", "\xe3\x80\x80홍 길동\xe3\x80\x80", "홍 길동" },
	{ "en quad to hair space",
	  "\xe2\x80\x80"
	  "a\xe2\x80\x8a",
	  "a" },
	{ "line and paragraph separator",
	  "\xe2\x80\xa8"
	  "a\xe2\x80\xa9",
	  "a" },
	{ "Ogham, narrow and mathematical space",
	  "\xe1\x9a\x80\xe2\x80\xaf\xe2\x81\x9f"
	  "a",
	  "a" },
	{ "a zero-width space is no blank",
	  "\xe2\x80\x8b"
	  "a",
	  "\xe2\x80\x8b"
	  "a" },
	{ "a last letter of several bytes stays whole", " 동 ", "동" },
	{ "what is not UTF-8 cuts nothing off", " caf\xe9 au lait ", "caf\xe9 au lait" },
};

static const struct {
	const char *what, *text;
	bool has;
} CONTROLS[] = {
	{ "nothing", "", false },
	{ "letters", "홍 길동 é", false },
	{ "the first", "\x01", true },
	{ "a line feed", "a\nb", true },
	{ "ESC", "a\x1b[1m", true },
	{ "DEL", "\x7f", true },
	{ "the first of C1", "\xc2\x80", true },
	{ "NEL", "\xc2\x85", true },
	{ "the last of C1", "\xc2\x9f", true },
	{ "a no-break space is none", "a\xc2\xa0z", false },
	{ "zero-width space", "a\xe2\x80\x8bz", true },
	{ "zero-width joiner, which emoji need, is none", "a\xe2\x80\x8dz", false },
	{ "left-to-right mark", "\xe2\x80\x8e", true },
	{ "right-to-left mark", "\xe2\x80\x8f", true },
	{ "line separator", "\xe2\x80\xa8", true },
	{ "embedding", "\xe2\x80\xaa", true },
	{ "right-to-left override", "a\xe2\x80\xaetxt.exe", true },
	{ "isolate", "\xe2\x81\xa6", true },
	{ "end of isolate", "\xe2\x81\xa9", true },
	{ "byte order mark",
	  "\xef\xbb\xbf"
	  "a",
	  true },
	{ "what is not UTF-8", "a\xff", true },
};

static const struct {
	const char *text;
	bool good;
	int64_t n;
} INTS[] = {
	{ "0", true, 0 },
	{ "7", true, 7 },
	{ "-7", true, -7 },
	{ "10", true, 10 },
	{ "9223372036854775807", true, INT64_MAX },
	{ "-9223372036854775808", true, INT64_MIN },
	{ "9223372036854775808", false, 0 },
	{ "-9223372036854775809", false, 0 },
	{ "9223372036854775810", false, 0 },
	{ "18446744073709551616", false, 0 },
	{ "18446744073709551617", false, 0 },
	{ "99999999999999999999999999", false, 0 },
	{ "", false, 0 },
	{ "-", false, 0 },
	{ "-0", false, 0 },
	{ "+1", false, 0 },
	{ "01", false, 0 },
	{ "-01", false, 0 },
	{ "00", false, 0 },
	{ " 1", false, 0 },
	{ "1 ", false, 0 },
	{ "1.0", false, 0 },
	{ "1e3", false, 0 },
	{ "0x10", false, 0 },
	{ "1_000", false, 0 },
	{ "--1", false, 0 },
	{ "١٢", false, 0 },
};

static const struct {
	const char *word, *words;
	bool is;
} AMONG[] = {
	{ "active", "active inactive", true },
	{ "inactive", "active inactive", true },
	{ "act", "active inactive", false },
	{ "tive", "active inactive", false },
	{ "", "active inactive", false },
	{ "", "", false },
	{ "a", "", false },
	{ "a b", "a b c", false },
	{ "Active", "active inactive", false },
	{ "active ", "active inactive", false },
	{ "b", "a  b", true },
	{ "", "a  b", false },
};

int
main(void)
{
	struct arena *a = arena_new(1024);

	for (size_t i = 0; i < NELEM(UTF8); i++)
		ok(text_is_utf8(UTF8[i].text, UTF8[i].len) == UTF8[i].good, "UTF-8, %s: %s",
		   UTF8[i].what, UTF8[i].good ? "yes" : "no");
	ok(text_is_utf8("\xed\x99\x8d", 3) && !text_is_utf8("\xed\x99\x8d", 2),
	   "UTF-8 ends where it is said to end");
	for (size_t i = 0; i < NELEM(COUNTS); i++)
		is_int((long long)text_count(COUNTS[i].text), (long long)COUNTS[i].count,
		       "code points are counted");
	for (size_t i = 0; i < NELEM(TRIMS); i++)
		is_text(text_trim(a, TRIMS[i].text), TRIMS[i].trimmed, TRIMS[i].what);
	for (size_t i = 0; i < NELEM(CONTROLS); i++)
		ok(text_has_control(CONTROLS[i].text) == CONTROLS[i].has,
		   "control characters, %s: %s", CONTROLS[i].what, CONTROLS[i].has ? "yes" : "no");
	ok(text_has_blank("a b") && text_has_blank("a\xe3\x80\x80") && text_has_blank("\t") &&
		   text_has_blank("a\xff"),
	   "a blank is found, and what is not UTF-8 has one");
	ok(!text_has_blank("") && !text_has_blank("홍길동\xe2\x80\x8b"), "letters are none");
	for (size_t i = 0; i < NELEM(INTS); i++) {
		int64_t n = 42;
		bool good = text_to_int(INTS[i].text, &n);

		ok(good == INTS[i].good && n == (good ? INTS[i].n : 42), "\"%s\" is %s",
		   INTS[i].text,
		   INTS[i].good ? "this number" : "no number, and nothing is touched");
	}
	for (size_t i = 0; i < NELEM(AMONG); i++)
		ok(text_among(AMONG[i].word, AMONG[i].words) == AMONG[i].is,
		   "\"%s\" among \"%s\": %s", AMONG[i].word, AMONG[i].words,
		   AMONG[i].is ? "yes" : "no");
	arena_free(&a);
	return tap_end();
}
