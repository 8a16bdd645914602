/* Text: what every rule makes of it, twice, and what is printed of it. */
#include "fuzz.h"

#include <jansson.h>

#include "csv.h"
#include "limit.h"
#include "passwd.h"
#include "rules.h"
#include "settings.h"

typedef enum msg rule(struct arena *a, const char *text, const char **out_r);

/* What a rule has let through it lets through again, unchanged. */
static const char *
settled(struct arena *a, rule *r, const char *text)
{
	const char *once = NULL, *twice = NULL;

	if (r(a, text, &once) != MSG_OK)
		return NULL;
	DEMAND(once != NULL && r(a, once, &twice) == MSG_OK && strcmp(once, twice) == 0);
	return once;
}

static void
check_email(struct arena *a, const char *text)
{
	const char *kept = settled(a, rule_email, text), *at;

	if (kept == NULL)
		return;
	at = strrchr(kept, '@');
	DEMAND(at != NULL && at > kept && at - kept <= 64 && strlen(kept) <= 255);
	DEMAND(!text_has_control(kept) && !text_has_blank(kept));
	DEMAND(strchr(at, '.') != NULL && strpbrk(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_/:") == NULL);
}

/* As a JSON string it is one line, and comes back as it was. */
static void
check_json(struct arena *a, const char *text)
{
	struct buf b = buf_new(a, 1);
	json_t *back;

	buf_json(&b, text);
	DEMAND(strpbrk(b.text, "\r\n\x1b\x7f") == NULL);
	if ((back = json_loadb(b.text, b.len, JSON_DECODE_ANY, NULL)) == NULL)
		__builtin_trap();
	DEMAND(strcmp(json_string_value(back), text) == 0);
	json_decref(back);
}

static void
check_int(struct arena *a, const char *text)
{
	int64_t n = 0;

	if (text_to_int(text, &n))
		DEMAND(strcmp(arena_printf(a, "%lld", (long long)n), text) == 0);
}

/* Read as a file of records, and as one of lines: it ends, and no text is cut by a NUL. */
static void
check_csv(struct arena *a, const char *text, size_t size)
{
	struct csv csv = { .in = fmemopen((void *)(uintptr_t)text, size + 1, "r") };
	const char *field[CSV_FIELDS], *line;
	int64_t before = 0;
	size_t len;
	int n;

	while (csv_next(&csv, a, field, &n) != CSV_END) {
		DEMAND(n >= 0 && n <= CSV_FIELDS && csv.line > before);
		before = csv.line;
	}
	rewind(csv.in);
	csv = (struct csv){ .in = csv.in };
	for (enum csv_end end; (end = csv_line(&csv, a, &line, &len)) != CSV_END;)
		DEMAND(end == CSV_BAD || (strlen(line) == len && strchr(line, '\n') == NULL));
	fclose(csv.in);
}

static void
check_rate(const char *text)
{
	int64_t count, seconds;

	if (settings_rate(text, &count, &seconds))
		DEMAND(count >= 0 && count <= 10000 && seconds >= 0 && seconds <= 86400);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(0);
	const char *text = fuzz_text(a, data, size), *trimmed = text_trim(a, text), *line;
	bool utf8 = text_is_utf8(text, size);

	DEMAND(!utf8 || strlen(text) == size);
	DEMAND(text_count(text) <= size && strcmp(text_trim(a, trimmed), trimmed) == 0);
	check_email(a, text);
	check_int(a, text);
	check_csv(a, text, size);
	check_rate(text);
	DEMAND(strlen(limit_client(a, text)) < 24);
	if (settled(a, passwd_rule_hash, text) != NULL)
		DEMAND(strpbrk(text, " \n,:*!") == NULL && strlen(text) < 256);
	settled(a, rule_phone, text);
	settled(a, rule_time, text);
	if ((line = settled(a, rule_line, text)) != NULL)
		DEMAND(!text_has_control(line) && text_is_utf8(line, strlen(line)));
	if (utf8)
		check_json(a, text);
	arena_free(&a);
	return 0;
}
