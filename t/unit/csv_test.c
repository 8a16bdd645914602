/* csv: records as spreadsheets and databases write them, and what is none. */
#include "csv.h"

#include <stdlib.h>

#include "tap.h"

/* A file, and how it is heard: fields between bars, "!" for what is no record. */
static const struct {
	const char *file, *heard;
} FILES[] = {
	{ "", "" },
	{ "\n\n", "" },
	{ "a,b\n", "1|a|b|\n" },
	{ "a,b", "1|a|b|\n" },
	{ "a,b\r\nc,d\r\n", "1|a|b|\n2|c|d|\n" },
	{ "\n\na\n\nb\n", "3|a|\n5|b|\n" },
	{ ",\n,,\n", "1|||\n2||||\n" },
	{ "\"a,b\",\"c\"\"d\",\"\"\n", "1|a,b|c\"d||\n" },
	{ "\"two\nlines\",x\ny\n", "1|two\nlines|x|\n3|y|\n" },
	{ "\"cr\r\nlf\"\n", "1|cr\nlf|\n" },
	{ "a\rb\n", "1|a\rb|\n" },
	{ "\xef\xbb\xbfname\n", "1|name|\n" },
	{ "이름,메일\n", "1|이름|메일|\n" },
	{ "a\"b\nc\n", "1!\n2|c|\n" },
	{ "\"a\"b\nc\n", "1!\n2|c|\n" },
	{ "\"a\"b,\"c\nd\"\ne\n", "1!\n3|e|\n" },
	{ "\"open\nc\n", "1!\n" },
	{ "\"open", "1!\n" },
	{ " a , b \n", "1| a | b |\n" },
};

static FILE *
file_of(const char *text, size_t len)
{
	return fmemopen((void *)(uintptr_t)text, len == 0 ? 1 : len, "r");
}

static void
hear(struct arena *a, const char *text, size_t len, char *out, size_t size)
{
	struct csv csv = { .in = len == 0 ? fopen("/dev/null", "re") : file_of(text, len) };
	const char *field[CSV_FIELDS];
	enum csv_end end;
	size_t at = 0;
	int n;

	out[0] = '\0';
	while ((end = csv_next(&csv, a, field, &n)) != CSV_END && at < size) {
		at += (size_t)snprintf(out + at, size - at, "%lld%s", (long long)csv.line,
				       end == CSV_BAD ? "!" : "|");
		for (int i = 0; end == CSV_RECORD && i < n; i++)
			at += (size_t)snprintf(out + at, size - at, "%s|", field[i]);
		at += (size_t)snprintf(out + at, size - at, "\n");
	}
	fclose(csv.in);
}

static void
test_bounds(struct arena *a)
{
	size_t len = CSV_RECORD_MOST + 10;
	char *big = must_alloc(len), heard[64];

	memset(big, 'x', len);
	memcpy(big + len - 3, "\na\n", 3);
	hear(a, big, len, heard, sizeof(heard));
	is_text(heard, "1!\n2|a|\n",
		"a record that is too long is none, and the next one is heard");
	memset(big, ',', 100);
	memcpy(big + 100, "\na\n", 3);
	hear(a, big, 103, heard, sizeof(heard));
	is_text(heard, "1!\n2|a|\n", "nor is one of too many fields");
	hear(a, "a\0b\nc\n", 6, heard, sizeof(heard));
	is_text(heard, "1!\n2|c|\n", "nor is one with a NUL");
	hear(a, "\"a\0b\nc,d\"\"\n\",\"e\nf\"\ng\n", 21, heard, sizeof(heard));
	is_text(heard, "1!\n5|g|\n", "its end is not the end of a line between quotes");
	free(big);
}

static void
test_lines(struct arena *a)
{
	struct csv csv = { .in = file_of("{\"a\":1}\r\n\n{\"b\"}", 15) };
	const char *text = "";
	size_t len = 0;

	ok(csv_line(&csv, a, &text, &len) == CSV_RECORD && strcmp(text, "{\"a\":1}") == 0 &&
		   len == 7 && csv.line == 1,
	   "a line is heard without its end");
	ok(csv_line(&csv, a, &text, &len) == CSV_RECORD && strcmp(text, "{\"b\"}") == 0 &&
		   csv.line == 3,
	   "an empty one is passed over, the last needs no end");
	ok(csv_line(&csv, a, &text, &len) == CSV_END, "and that is all");
	fclose(csv.in);
}

int
main(void)
{
	struct arena *a = arena_new(1024);
	char heard[256];

	for (size_t i = 0; i < NELEM(FILES); i++) {
		hear(a, FILES[i].file, strlen(FILES[i].file), heard, sizeof(heard));
		is_text(heard, FILES[i].heard, "a file is heard as it is meant");
	}
	test_bounds(a);
	test_lines(a);
	arena_free(&a);
	return tap_end();
}
