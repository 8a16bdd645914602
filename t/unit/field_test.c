/* field: what a row lets into its member, what it prints, and what it says is wrong. */
#include "field.h"

#include "tap.h"

struct thing {
	struct given given;
	const char *name, *colour;
	int64_t age, any;
	bool open;
	const char *at, *data;
};

static enum msg
rule_upper(struct arena *a, const char *text, const char **out_r)
{
	char *out = arena_text(a, text);

	for (char *p = out; *p != '\0'; p++)
		*p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
	*out_r = out;
	return strchr(out, '!') == NULL ? MSG_OK : MSG_CONTROL;
}

enum { FIRST = 1, SECOND = 2 };

static const struct shape THING = SHAPE_GIVEN(
	struct thing,
	{ F(struct thing, name), .use = FIRST | SECOND, .min = 2, .max = 4, .rule = rule_upper },
	{ F(struct thing, colour), .use = FIRST, .nullable = true, .choices = "red green" },
	{ F(struct thing, age), .use = FIRST, .nullable = true, .min = 0, .max = 150,
	  .out_of_range = MSG_AGE_RANGE },
	{ F(struct thing, any), .use = SECOND }, { F(struct thing, open), .use = FIRST },
	{ .name = "at", .off = offsetof(struct thing, at), .kind = K_TIME, .use = SECOND },
	{ .name = "data", .off = offsetof(struct thing, data), .kind = K_JSON, .use = SECOND });

static const struct field *
row(const char *name)
{
	return field_find(&THING, FIRST | SECOND, name);
}

/* Text as a setting or a query string brings it: the fault, or how the member then prints. */
static const struct {
	const char *row, *text;
	enum msg msg;
	const char *printed;
} PARSED[] = {
	{ "name", "ab", MSG_OK, "\"AB\"" },
	{ "name", "a", MSG_TOO_SHORT, "null" },
	{ "name", "", MSG_TOO_SHORT, "null" },
	{ "name", "홍길동님", MSG_OK, "\"홍길동님\"" },
	{ "name", "홍길동님은", MSG_TOO_LONG, "null" },
	{ "name", "ab!", MSG_CONTROL, "null" },
	{ "colour", "red", MSG_OK, "\"red\"" },
	{ "colour", "blue", MSG_CHOICE, "null" },
	{ "colour", "red green", MSG_CHOICE, "null" },
	{ "colour", "", MSG_CHOICE, "null" },
	{ "age", "0", MSG_OK, "0" },
	{ "age", "150", MSG_OK, "150" },
	{ "age", "151", MSG_AGE_RANGE, "null" },
	{ "age", "-1", MSG_AGE_RANGE, "null" },
	{ "age", "1.0", MSG_INT_TEXT, "null" },
	{ "age", "", MSG_INT_TEXT, "null" },
	{ "age", "9223372036854775808", MSG_INT_TEXT, "null" },
	{ "any", "9223372036854775807", MSG_OK, "9223372036854775807" },
	{ "any", "-9223372036854775807", MSG_OK, "-9223372036854775807" },
	{ "any", "-9223372036854775808", MSG_RANGE, "null" }, /* it stands for null */
	{ "open", "1", MSG_OK, "true" },
	{ "open", "yes", MSG_OK, "true" },
	{ "open", "on", MSG_OK, "true" },
	{ "open", "true", MSG_OK, "true" },
	{ "open", "off", MSG_OK, "false" },
	{ "open", "0", MSG_OK, "false" },
	{ "open", "maybe", MSG_NOT_BOOL, "false" },
	{ "open", "", MSG_NOT_BOOL, "false" },
};

/* What the database says, as PostgreSQL prints it; NULL is null. */
static const struct {
	const char *row, *text, *printed;
} LOADED[] = {
	{ "name", "x", "\"x\"" }, /* unchecked */
	{ "name", NULL, "null" },
	{ "name", "", "\"\"" },
	{ "age", "7", "7" },
	{ "age", "-12", "-12" },
	{ "age", NULL, "null" },
	{ "open", "t", "true" },
	{ "open", "f", "false" },
	{ "open", NULL, "false" },
	{ "data", "{\"a\": [1]}", "{\"a\": [1]}" },
	{ "data", NULL, "null" },
	{ "at", NULL, "null" },
	{ "at", "2026-11-22 18:09:00+00", "\"2026-11-22T18:09:00.000000Z\"" },
	{ "at", "2026-11-22 18:09:00.5+00", "\"2026-11-22T18:09:00.500000Z\"" },
	{ "at", "2026-11-22 18:09:00.123456+00", "\"2026-11-22T18:09:00.123456Z\"" },
	{ "at", "infinity", "\"infinity\"" },
};

static const char *
printed(struct arena *a, const struct field *f, const struct thing *t)
{
	struct buf b = buf_new(a, 8);

	field_print(&b, f, t);
	return b.text;
}

static void
test_tables(struct arena *a)
{
	struct thing t;

	for (size_t i = 0; i < NELEM(PARSED); i++) {
		const struct field *f = row(PARSED[i].row);
		enum msg m;

		shape_clear(&THING, &t);
		m = field_parse(a, f, &t, PARSED[i].text);
		ok(m == PARSED[i].msg && strcmp(printed(a, f, &t), PARSED[i].printed) == 0,
		   "%s=%s: %s, %s", PARSED[i].row, PARSED[i].text,
		   PARSED[i].msg == MSG_OK ? "good" : msg_type(PARSED[i].msg), PARSED[i].printed);
	}
	for (size_t i = 0; i < NELEM(LOADED); i++) {
		const struct field *f = row(LOADED[i].row);

		memset(&t, 0xff, sizeof(t));
		field_load(a, f, &t, LOADED[i].text);
		is_text(printed(a, f, &t), LOADED[i].printed,
			"a value of the database is taken and printed");
	}
}

static void
test_kinds(struct arena *a)
{
	struct thing t;

	shape_clear(&THING, &t);
	is_int(field_set_int(row("name"), &t, 1), MSG_NOT_TEXT, "a number is no text");
	is_int(field_set_int(row("open"), &t, 1), MSG_NOT_BOOL, "a number is no truth value");
	is_int(field_set_text(a, row("age"), &t, "1"), MSG_NOT_INT, "a text is no number");
	is_int(field_set_text(a, row("open"), &t, "1"), MSG_NOT_BOOL, "a text is no truth value");
	is_int(field_set_bool(row("name"), &t, true), MSG_NOT_TEXT, "a truth value is no text");
	is_int(field_set_bool(row("age"), &t, true), MSG_NOT_INT, "a truth value is no number");
	ok(t.name == NULL && t.age == NO_INT && !t.open, "and nothing was set");
	is_int(field_set_null(row("name"), &t), MSG_NOT_NULL, "null only where the row allows it");
	t.age = 3;
	is_int(field_set_null(row("age"), &t), MSG_OK, "null where the row allows it");
	ok(t.age == NO_INT, "null empties the member");
	is_int(field_set_int(row("age"), &t, NO_INT), MSG_AGE_RANGE,
	       "the number that stands for null is refused");
}

static void
test_shape(struct arena *a)
{
	struct thing t;
	struct faults fs = { 0 };
	char name[] = "mine";

	memset(&t, 0xff, sizeof(t));
	shape_clear(&THING, &t);
	ok(t.name == NULL && t.age == NO_INT && t.any == NO_INT && !t.open && t.given.set == 0 &&
		   t.given.null == 0,
	   "a cleared struct is null throughout");
	ok(shape_given(&THING, &t) == &t.given, "a shape knows where its bits are");
	ok(row("open") != NULL && field_find(&THING, SECOND, "open") == NULL,
	   "a row is found by its use");
	ok(field_find(&THING, SECOND, "name") != NULL, "a row of several uses is found by each");
	ok(row("") == NULL && row("nam") == NULL && row("names") == NULL && row("Name") == NULL,
	   "a name is the whole name");
	is_int(field_set_text(a, row("colour"), &t, "red"), MSG_OK, "a choice");
	is_text(field_text(row("colour"), &t), "red", "a text is read back");
	field_load(a, row("name"), &t, name);
	name[0] = 'X';
	is_text(t.name, "mine", "a text is copied");
	for (int i = 0; i < FAULTS_MOST + 5; i++)
		fault_add(&fs, "body", "x", MSG_EXTRA, NULL);
	is_int(fs.n, FAULTS_MOST, "faults beyond the room are dropped");
}

int
main(void)
{
	struct arena *a = arena_new(1024);

	test_tables(a);
	test_kinds(a);
	test_shape(a);
	arena_free(&a);
	return tap_end();
}
