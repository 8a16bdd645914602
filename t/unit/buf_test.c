/* buf: growth without loss, numbers, and JSON strings that nothing can break out of. */
#include "buf.h"

#include "tap.h"

static const struct {
	const char *what, *text, *json;
} STRINGS[] = {
	{ "null", NULL, "null" },
	{ "nothing", "", "\"\"" },
	{ "plain text", "abc", "\"abc\"" },
	{ "a quote and a backslash", "a\"b\\c", "\"a\\\"b\\\\c\"" },
	{ "a slash", "</script>", "\"</script>\"" },
	{ "CR and LF", "a\r\nb", "\"a\\r\\nb\"" },
	{ "the other short ones", "\b\f\t", "\"\\b\\f\\t\"" },
	{ "a terminal's sequence", "\x1b[2J", "\"\\u001b[2J\"" },
	{ "the first and the last control character", "\x01\x1f", "\"\\u0001\\u001f\"" },
	{ "DEL", "\x7f", "\"\\u007f\"" },
	{ "a blank and a tilde", " ~", "\" ~\"" },
	{ "Hangul", "홍길동", "\"홍길동\"" },
	{ "beyond the basic plane", "a\xf0\x9f\x98\x80", "\"a\xf0\x9f\x98\x80\"" },
	{ "one to escape at each end", "\"a\"", "\"\\\"a\\\"\"" },
};

static const struct {
	int64_t n;
	const char *text;
} NUMBERS[] = {
	{ 0, "0" },
	{ -1, "-1" },
	{ 9, "9" },
	{ 10, "10" },
	{ -100, "-100" },
	{ INT64_MAX, "9223372036854775807" },
	{ INT64_MIN, "-9223372036854775808" },
};

static void
test_growth(struct arena *a)
{
	enum { LENGTH = 10000 };
	struct buf b = buf_new(a, 0);
	bool whole = true;

	is_text(b.text, "", "a new one is empty");
	for (int i = 0; i < LENGTH; i++) {
		buf_char(&b, (char)('a' + i % 26));
		whole = whole && b.len == (size_t)i + 1 && b.text[b.len] == '\0';
	}
	ok(whole, "it ends in NUL after each letter");
	for (int i = 0; i < LENGTH; i++)
		whole = whole && b.text[i] == 'a' + i % 26;
	ok(whole, "%d letters, one by one, are all there", LENGTH);

	b = buf_new(a, 4);
	buf_lit(&b, "1234");
	buf_put(&b, "", 0);
	is_text(b.text, "1234", "what just fits, fits");
	buf_printf(&b, "%s", "");
	buf_printf(&b, "<%0500d>", 7);
	is_int((long long)b.len, 4 + 502, "a print makes room for itself");
	ok(strncmp(b.text, "1234<000", 8) == 0 && strcmp(b.text + 500, "00007>") == 0,
	   "what was there stays in front of it");
	buf_put(&b, "a\0b", 3);
	is_int((long long)b.len, 509, "bytes are counted, NUL among them");
}

int
main(void)
{
	struct arena *a = arena_new(1024);

	for (size_t i = 0; i < NELEM(STRINGS); i++) {
		struct buf b = buf_new(a, 1);

		buf_json(&b, STRINGS[i].text);
		is_text(b.text, STRINGS[i].json, STRINGS[i].what);
	}
	for (size_t i = 0; i < NELEM(NUMBERS); i++) {
		struct buf b = buf_new(a, 1);

		buf_int(&b, NUMBERS[i].n);
		is_text(b.text, NUMBERS[i].text, "a number in plain digits");
	}
	test_growth(a);
	arena_free(&a);
	return tap_end();
}
