/* arena: what is handed out is aligned, zero, apart from the rest, and wiped at the end. */
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#include "arena.h"
#include "tap.h"

enum { FIRST = 1024 };

static bool
all_bytes(const unsigned char *p, size_t len, unsigned char byte)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] != byte)
			return false;
	}
	return true;
}

/* Sizes around the alignment, the first chunk and beyond it. */
static void
test_sizes(void)
{
	static const size_t SIZES[] = { 0,  1,	 7,    8,    15,   16,	 17,   31,
					33, 255, 1000, 1023, 1024, 1025, 70000 };
	struct arena *a = arena_new(FIRST);

	for (size_t i = 0; i < NELEM(SIZES); i++) {
		unsigned char *p = arena_get(a, SIZES[i]), *q = arena_get(a, SIZES[i]);

		ok((uintptr_t)p % alignof(max_align_t) == 0, "%zu bytes are aligned", SIZES[i]);
		ok(all_bytes(p, SIZES[i], 0) && all_bytes(q, SIZES[i], 0), "%zu bytes are zero",
		   SIZES[i]);
		memset(p, 0xaa, SIZES[i]);
		memset(q, 0xbb, SIZES[i]);
		ok(all_bytes(p, SIZES[i], 0xaa), "%zu bytes are nobody else's", SIZES[i]);
	}
	arena_free(&a);
	ok(a == NULL, "freeing clears the caller's pointer");
	arena_free(&a);
	ok(a == NULL, "freeing nothing is allowed");
}

static void
test_reset(void)
{
	struct arena *a = arena_new(FIRST);
	unsigned char *volatile kept = arena_get(a, 512); /* looked at after it was given back */

	is_int((long long)arena_used(a), 512, "what is in use is counted");
	memset(kept, 0xaa, 512);
	memset(arena_get(a, 5 * FIRST), 0xbb, 5 * FIRST);
	ok(arena_used(a) >= 512 + 5 * FIRST, "what is in use is counted over all chunks");
	arena_reset(a);
	is_int((long long)arena_used(a), 0, "after a reset nothing is in use");
	ok(all_bytes(kept, 512, 0), "a reset wipes what was handed out");
	ok(arena_get(a, 512) == kept, "the first chunk is used again");
	arena_reset(a);
	ok(all_bytes(arena_get(a, FIRST), FIRST, 0), "what is handed out again is zero");
	arena_free(&a);
}

static void
test_texts(void)
{
	struct arena *a = arena_new(64);
	char exact[4] = { 'a', 'b', 'c', 'd' }, longer[1001];

	memset(longer, 'x', sizeof(longer));
	longer[1000] = '\0';
	is_text(arena_text(a, ""), "", "an empty text is copied");
	is_text(arena_text(a, longer), longer, "a text longer than a chunk is copied");
	is_text(arena_textn(a, exact, 4), "abcd", "a piece without NUL gets one");
	is_text(arena_textn(a, exact, 0), "", "a piece of nothing is empty");
	is_text(arena_printf(a, "%d-%s", 7, "b"), "7-b", "a short text is printed");
	is_text(arena_printf(a, "%s", longer), longer, "a long text is printed whole");
	for (size_t n = 254; n <= 257; n++)
		ok(strlen(arena_printf(a, "%s", longer + 1000 - n)) == n,
		   "a text of %zu is printed whole", n);
	arena_free(&a);
}

int
main(void)
{
	void *p = must_alloc(1);

	test_sizes();
	test_reset();
	test_texts();
	free(p);
	return tap_end();
}
