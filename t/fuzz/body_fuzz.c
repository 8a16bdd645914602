/*
 * A body: the first byte says whose, the rest is JSON. What is read and printed again is
 * read again as the same.
 */
#include "fuzz.h"

#include "auth.h"
#include "doc.h"
#include "user.h"

static const struct {
	const struct shape *shape;
	unsigned use;
} BODIES[] = {
	{ &USER, IN_CREATE },
	{ &USER, IN_CHANGE },
	{ &USER, IN_CHANGE | BY_ADMIN },
	{ &USER, IN_REPLACE },
	{ &USER, IN_REPLACE | BY_ADMIN },
	{ &SIGN_IN, IN_CREATE },
};

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	doc_init();
	return 0;
}

static struct buf
printed(struct arena *a, const struct shape *s, unsigned use, const void *base)
{
	struct buf b = buf_new(a, 1);

	if (s->given == NO_GIVEN)
		doc_print(&b, s, use, base);
	else
		doc_print_given(&b, s, use, base);
	DEMAND(text_is_utf8(b.text, b.len));
	return b;
}

static void
read_again(struct arena *a, const struct shape *s, unsigned use, const void *base)
{
	struct buf first = printed(a, s, use, base), second;
	void *again = arena_get(a, s->size);
	struct faults fs = { 0 };

	DEMAND(doc_read(a, s, use, first.text, first.len, again, &fs) == OK);
	second = printed(a, s, use, again);
	DEMAND(strcmp(first.text, second.text) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(0);
	struct faults fs = { 0 };
	const struct shape *s;
	const char *text;
	unsigned use;
	void *in;
	enum err e;

	if (size == 0) {
		arena_free(&a);
		return 0;
	}
	s = BODIES[data[0] % NELEM(BODIES)].shape;
	use = BODIES[data[0] % NELEM(BODIES)].use;
	text = fuzz_text(a, data + 1, size - 1);
	in = arena_get(a, s->size);
	e = doc_read(a, s, use, text, size - 1, in, &fs);
	DEMAND(e == OK || e == E_MALFORMED || e == E_INVALID);
	DEMAND((e != OK) == (fs.n > 0));
	fuzz_faults(a, &fs);
	if (e == OK)
		read_again(a, s, use, in);
	arena_free(&a);
	return 0;
}
