/*
 * buf: a growing string in an arena, and the one place that escapes JSON.
 *
 * A buf always ends in NUL and never fails. What it outgrows stays in the arena
 * until the arena is reset.
 */
#ifndef BUF_H
#define BUF_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"

struct buf {
	struct arena *arena;
	char *text;
	size_t len, size;
};

/* An empty buf with room for `size` bytes. */
struct buf buf_new(struct arena *a, size_t size);

void buf_put(struct buf *b, const char *bytes, size_t len);
void buf_text(struct buf *b, const char *text);
void buf_char(struct buf *b, char c);
void buf_int(struct buf *b, int64_t n);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A string literal, its length known to the compiler. */
#define buf_lit(b, literal) buf_put((b), "" literal, sizeof(literal) - 1)

/* `text` as a JSON string with its quotes; NULL becomes null. Text is UTF-8 already
 * (the edge checks it); control characters are escaped, so nothing can forge a line. */
void buf_json(struct buf *b, const char *text);

/* What comes before a value in a JSON array, or in an object its name: a comma where there is
 * a value before it. */
void buf_item(struct buf *b);
void buf_key(struct buf *b, const char *name);

#endif
