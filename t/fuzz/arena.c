/*
 * arena for fuzzers: a block of its own for each piece, so that a step beyond one is seen.
 */
#include "arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct piece {
	struct piece *next;
	void *bytes;
	size_t size;
};

struct arena {
	struct piece *all;
};

void *
must_alloc(size_t size)
{
	void *p = malloc(size);

	if (p == NULL)
		abort();
	return p;
}

struct arena *
arena_new(size_t first)
{
	struct arena *a = must_alloc(sizeof(*a));

	(void)first;
	a->all = NULL;
	return a;
}

void *
arena_get(struct arena *a, size_t size)
{
	struct piece *p = must_alloc(sizeof(*p));

	*p = (struct piece){ a->all, must_alloc(size), size };
	memset(p->bytes, 0, size);
	a->all = p;
	return p->bytes;
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
	va_list ap;
	char *p;
	int n;

	va_start(ap, format);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
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

	for (const struct piece *p = a->all; p != NULL; p = p->next)
		sum += p->size;
	return sum;
}

void
arena_reset(struct arena *a)
{
	while (a->all != NULL) {
		struct piece *p = a->all;

		a->all = p->next;
		free(p->bytes);
		free(p);
	}
}

void
arena_free(struct arena **a)
{
	if (*a == NULL)
		return;
	arena_reset(*a);
	free(*a);
	*a = NULL;
}
