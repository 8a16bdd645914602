/* conf: where a value comes from, which one wins, and the one line when it is wrong. */
#include "conf.h"

#include <stdlib.h>
#include <unistd.h>

#include "tap.h"

struct conf {
	const char *text, *choice, *secret;
	int64_t number;
	bool flag;
};

#define ROW(member, NAME)                                                                        \
	.name = NAME, .off = offsetof(struct conf, member), .kind = F_KIND(struct conf, member), \
	.use = 1

static const struct shape CONF =
	SHAPE(struct conf,
	{ ROW(text, "T_TEXT"), .def = "usual", .help = "some text" },
	{ ROW(choice, "T_CHOICE"), .choices = "red green", .help = "a colour" },
	{ ROW(secret, "T_SECRET"), .need = 2, .secret = true, .min = 4, .max = 40, .help = "nobody's business" },
	{ ROW(number, "T_NUMBER"), .def = "7", .min = 1, .max = 9, .help = "how many" },
	{ ROW(flag, "T_FLAG"), .def = "0", .help = "whether" });

/* The file's text and one variable; then "text choice secret number flag", or the complaint. */
static const struct {
	const char *what, *file, *env_name, *env_value, *read, *why;
} LOADS[] = {
	{ "no file", NULL, NULL, NULL, "usual - - 7 0", NULL },
	{ "an empty file", "", NULL, NULL, "usual - - 7 0", NULL },
	{ "a file", "T_TEXT=a\nT_NUMBER=3\nT_FLAG=1\n", NULL, NULL, "a - - 3 1", NULL },
	{ "no line feed at its end", "T_TEXT=a", NULL, NULL, "a - - 7 0", NULL },
	{ "the environment before the file", "T_TEXT=a\n", "T_TEXT", "b", "b - - 7 0", NULL },
	{ "an empty variable counts as none", "T_TEXT=a\n", "T_TEXT", "", "a - - 7 0", NULL },
	{ "an empty line of the file counts as none", "T_TEXT=\n", NULL, NULL, "usual - - 7 0",
	  NULL },
	{ "the last line of a name wins", "T_TEXT=a\nT_TEXT=b\n", NULL, NULL, "b - - 7 0", NULL },
	{ "comments and empty lines", "# T_TEXT=x\n\n  # T_NUMBER=1\nT_TEXT=a\n", NULL, NULL,
	  "a - - 7 0", NULL },
	{ "blanks around", "  T_TEXT=  a b  \n", NULL, NULL, "a b - - 7 0", NULL },
	{ "CR LF", "T_TEXT=a\r\nT_NUMBER=3\r\n", NULL, NULL, "a - - 3 0", NULL },
	{ "export", "export T_TEXT=a\n", NULL, NULL, "a - - 7 0", NULL },
	{ "blanks around the equals sign", "T_TEXT = a\n", NULL, NULL, "a - - 7 0", NULL },
	{ "a comment behind it", "T_TEXT=a#b # c\nT_NUMBER=3 # d\n", NULL, NULL, "a#b - - 3 0",
	  NULL },
	{ "quotes behind a blank", "T_TEXT= ' a '\n", NULL, NULL, " a  - - 7 0", NULL },
	{ "single quotes keep blanks", "T_TEXT=' a '\n", NULL, NULL, " a  - - 7 0", NULL },
	{ "double quotes, and what follows them", "T_TEXT=\"a#b\" # comment\n", NULL, NULL,
	  "a#b - - 7 0", NULL },
	{ "one quote is a letter", "T_TEXT='a\n", NULL, NULL, "'a - - 7 0", NULL },
	{ "an equals sign in the value", "T_TEXT=a=b\n", NULL, NULL, "a=b - - 7 0", NULL },
	{ "names of others", "X_TEXT=a\nT_TEXTS=b\nT_TEX=c\n", NULL, NULL, "usual - - 7 0", NULL },
	{ "a choice", "T_CHOICE=green\n", NULL, NULL, "usual green - 7 0", NULL },
	{ "a secret", "T_SECRET=hush-hush\n", NULL, NULL, "usual - hush-hush 7 0", NULL },

	{ "a number too great", "T_NUMBER=10\n", NULL, NULL, NULL,
	  "T_NUMBER: found \"10\"; allowed: 1 to 9 (how many)" },
	{ "a number too small", NULL, "T_NUMBER", "0", NULL,
	  "T_NUMBER: found \"0\"; allowed: 1 to 9 (how many)" },
	{ "no number", NULL, "T_NUMBER", "many", NULL,
	  "T_NUMBER: found \"many\"; allowed: 1 to 9 (how many)" },
	{ "no choice", NULL, "T_CHOICE", "blue", NULL,
	  "T_CHOICE: found \"blue\"; allowed: red, green (a colour)" },
	{ "no truth value", NULL, "T_FLAG", "2", NULL,
	  "T_FLAG: found \"2\"; allowed: 0 or 1 (whether)" },
	{ "a secret too short", NULL, "T_SECRET", "abc", NULL,
	  "T_SECRET: found a value of 3 bytes, not shown here; allowed: 4 to 40 characters (nobody's business)" },
	{ "the environment is judged, though the file is good", "T_NUMBER=3\n", "T_NUMBER", "x",
	  NULL, "T_NUMBER: found \"x\"; allowed: 1 to 9 (how many)" },
};

static const char *
file_with(struct arena *a, const char *text)
{
	char *path = arena_text(a, "conf_test.XXXXXX");
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	close(fd);
	return path;
}

static void
forget_variables(void)
{
	for (const struct field *f = CONF.field; f->name != NULL; f++)
		unsetenv(f->name);
}

static void
test_loads(struct arena *a)
{
	for (size_t i = 0; i < NELEM(LOADS); i++) {
		const char *file =
			LOADS[i].file == NULL ? "/nonexistent/.env" : file_with(a, LOADS[i].file);
		const char *why = NULL;
		struct conf_origin origin;
		struct conf c;
		enum err e;

		forget_variables();
		if (LOADS[i].env_name != NULL)
			setenv(LOADS[i].env_name, LOADS[i].env_value, 1);
		e = conf_load(a, &CONF, 1, file, &c, &origin, &why);
		ok(e == (LOADS[i].read == NULL ? E_INVALID : OK), "%s: %s", LOADS[i].what,
		   LOADS[i].read ? "read" : "refused");
		if (e == OK)
			is_text(arena_printf(a, "%s %s %s %lld %d", c.text,
					     c.choice ? c.choice : "-", c.secret ? c.secret : "-",
					     (long long)c.number, c.flag),
				LOADS[i].read, "with these values");
		is_text(why, LOADS[i].why, "with this line");
		unlink(file);
	}
}

/* A line that assigns nothing is a mistake of somebody's: it is told by its number, never shown. */
static void
test_wrong_lines(struct arena *a)
{
	char *long_line = arena_get(a, 10000);
	const char *const lines[] = { "T_SECRET hush", "hush",	      "=hush",
				      "1T=hush",       "T TEXT=hush", long_line };
	struct conf_origin origin;
	struct conf c;

	memset(long_line, 'x', 9999);
	memcpy(long_line, "T_TEXT=", 7);
	forget_variables();
	for (size_t i = 0; i < NELEM(lines); i++) {
		const char *file =
			file_with(a, arena_printf(a, "T_NUMBER=3\n%s\nT_FLAG=1\n", lines[i]));
		const char *why = "";

		ok(conf_load(a, &CONF, 1, file, &c, &origin, &why) == E_INVALID,
		   "a line that assigns nothing is refused: %.12s", lines[i]);
		ok(strstr(why, file) != NULL && strstr(why, ", line 2: ") != NULL &&
			   strstr(why, "hush") == NULL,
		   "and told by its place: %s", why);
		unlink(file);
	}
}

static void
test_need(struct arena *a)
{
	const char *why = NULL;
	struct conf_origin origin;
	struct conf c;

	forget_variables();
	is_int(conf_load(a, &CONF, 2, NULL, &c, &origin, &why), E_INVALID,
	       "what is needed and not there is refused");
	is_text(why, "T_SECRET is not set; wanted: 4 to 40 characters (nobody's business)",
		"with this line");
	is_int(conf_load(a, &CONF, 4, NULL, &c, &origin, &why), OK, "but only by who needs it");
}

static void
test_prints(struct arena *a)
{
	static const char *const LINES[] = {
		"\nT_SECRET                   ***                                      # environment\n",
		"\nT_NUMBER                   3                                        # .env\n",
		"T_TEXT                     usual                                    # default\n",
		"\nT_CHOICE                                                            # not set\n",
		"\nT_FLAG                     false                                    # default\n",
	};
	const char *why = NULL, *file = file_with(a, "T_NUMBER=3\nT_SECRET=not-this-one\n");
	struct buf b = buf_new(a, 64), manual = buf_new(a, 64);
	struct conf_origin origin;
	struct conf c;

	forget_variables();
	setenv("T_SECRET", "hush-hush", 1);
	is_int(conf_load(a, &CONF, 2, file, &c, &origin, &why), OK, "values from three places");
	is_text(c.secret, "hush-hush", "a secret is taken from the environment");
	ok(getenv("T_SECRET") == NULL || *getenv("T_SECRET") == '\0',
	   "and is not in the environment any more");
	unlink(file);
	conf_print(&b, &CONF, &c, &origin);
	for (size_t i = 0; i < NELEM(LINES); i++)
		ok(strstr(b.text, LINES[i]) != NULL, "each line says value and place: %.20s",
		   LINES[i] + (LINES[i][0] == '\n'));
	ok(strstr(b.text, "hush") == NULL && strstr(b.text, "not-this") == NULL,
	   "a secret is not printed");
	conf_manual(&manual, &CONF);
	for (const struct field *f = CONF.field; f->name != NULL; f++)
		ok(strstr(manual.text, f->name) != NULL && strstr(manual.text, f->help) != NULL,
		   "%s is in the manual", f->name);
	ok(strstr(manual.text, "hush") == NULL, "where no value stands");
}

int
main(void)
{
	struct arena *a = arena_new(16 * 1024);

	test_loads(a);
	test_wrong_lines(a);
	test_need(a);
	test_prints(a);
	arena_free(&a);
	return tap_end();
}
