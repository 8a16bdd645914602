/* arena: a list of chunks; the first one stays, the others come and go. */
#include "arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct chunk {
	struct chunk *next;
	size_t size, used;
	alignas(max_align_t) unsigned char bytes[];
};

struct arena {
	struct chunk *now; /* the chunk that is being filled; older ones behind it */
	struct chunk *first;
};

void *
must_alloc(size_t size)
{
	void *p = malloc(size);

	if (p == NULL) {
		fputs("out of memory\n", stderr);
		abort();
	}
	return p;
}

static struct chunk *
chunk_new(size_t size, struct chunk *next)
{
	struct chunk *c = must_alloc(sizeof(*c) + size);

	*c = (struct chunk){ .next = next, .size = size };
	memset(c->bytes, 0, size); /* and zero it stays: a reset wipes what was used */
	return c;
}

struct arena *
arena_new(size_t first)
{
	struct arena *a = must_alloc(sizeof(*a));

	a->first = a->now = chunk_new(first, NULL);
	return a;
}

void *
arena_get(struct arena *a, size_t size)
{
	size_t need = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	struct chunk *c = a->now;
	void *p;

	assert(need >= size && size < SIZE_MAX / 4);
	if (c->size - c->used < need) {
		size_t grow = a->first->size > need ? a->first->size : need;

		c = a->now = chunk_new(grow, c);
	}
	p = c->bytes + c->used;
	c->used += need;
	return p;
}

char *
arena_textn(struct arena *a, const char *text, size_t len)
{
	char *p = arena_get(a, len + 1);

	memcpy(p, text, len);
	return p;
}

char *
arena_text(struct arena *a, const char *text)
{
	return arena_textn(a, text, strlen(text));
}

char *
arena_printf(struct arena *a, const char *format, ...)
{
	char small[256], *p;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(small, sizeof(small), format, ap);
	va_end(ap);
	assert(n >= 0);
	if ((size_t)n < sizeof(small)) {
		p = arena_textn(a, small, (size_t)n);
		explicit_bzero(small, (size_t)n); /* it may have been a hash */
		return p;
	}
	p = arena_get(a, (size_t)n + 1);
	va_start(ap, format);
	vsnprintf(p, (size_t)n + 1, format, ap);
	va_end(ap);
	return p;
}

size_t
arena_used(const struct arena *a)
{
	size_t sum = 0;

	for (const struct chunk *c = a->now; c != NULL; c = c->next)
		sum += c->used;
	return sum;
}

void
arena_reset(struct arena *a)
{
	while (a->now != a->first) {
		struct chunk *gone = a->now;

		a->now = gone->next;
		explicit_bzero(gone->bytes, gone->used);
		free(gone);
	}
	explicit_bzero(a->first->bytes, a->first->used);
	a->first->used = 0;
}

void
arena_free(struct arena **a)
{
	if (*a == NULL)
		return;
	arena_reset(*a);
	free((*a)->first);
	free(*a);
	*a = NULL;
}
