/* cursor: what goes out comes back, and nothing else is taken. */
#include "cursor.h"

#include "tap.h"

static const struct cursor CURSORS[] = {
	{ 'u', false, 0 },
	{ 'u', true, 1 },
	{ 'a', false, INT64_MAX },
	{ 'a', true, INT64_C(1) << 40 },
};

/* Every text that differs from `text` in one letter is refused. */
static bool
tamper_proof(char *text, char list)
{
	struct cursor c;
	int taken = 0;

	for (char *p = text; *p != '\0'; p++) {
		char was = *p;

		for (int other = 1; other < 256; other++) {
			*p = (char)other;
			taken += *p != was && cursor_read(text, list, &c);
		}
		*p = was;
	}
	return taken == 0;
}

int
main(void)
{
	struct arena *a = arena_new(4096);
	struct cursor c;

	for (size_t i = 0; i < NELEM(CURSORS); i++) {
		const struct cursor *in = &CURSORS[i];
		const char *text = cursor_print(a, *in);

		ok(cursor_read(text, in->list, &c) && c.list == in->list &&
			   c.backwards == in->backwards && c.id == in->id,
		   "%s comes back", text);
		ok(!cursor_read(text, in->list == 'u' ? 'a' : 'u', &c), "not for another list");
		ok(!cursor_read(text + 1, in->list, &c), "not without its first letter");
		ok(!cursor_read(arena_printf(a, "%sA", text), in->list, &c), "not with one more");
		ok(tamper_proof(arena_text(a, text), in->list), "not with another letter anywhere");
	}
	ok(!cursor_read("", 'u', &c), "nothing is none");
	ok(!cursor_read(cursor_print(a, (struct cursor){ 'u', false, -1 }), 'u', &c),
	   "nor is one of a number that nobody has");
	arena_free(&a);
	return tap_end();
}
