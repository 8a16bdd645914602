/* buf: doubling growth; JSON escaping by a table of the bytes that need it. */
#include "buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct buf
buf_new(struct arena *a, size_t size)
{
	return (struct buf){ .arena = a, .text = arena_get(a, size + 1), .size = size };
}

static void
buf_room(struct buf *b, size_t more)
{
	size_t size = b->size;
	char *text;

	if (b->size - b->len >= more)
		return;
	while (size - b->len < more)
		size = size * 2 + 64;
	text = arena_get(b->arena, size + 1);
	memcpy(text, b->text, b->len);
	b->text = text;
	b->size = size;
}

void
buf_put(struct buf *b, const char *bytes, size_t len)
{
	buf_room(b, len);
	memcpy(b->text + b->len, bytes, len);
	b->len += len;
	b->text[b->len] = '\0';
}

void
buf_text(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

void
buf_char(struct buf *b, char c)
{
	buf_put(b, &c, 1);
}

void
buf_int(struct buf *b, int64_t n)
{
	char digits[24], *p = digits + sizeof(digits);
	uint64_t u = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;

	do {
		*--p = (char)('0' + u % 10);
	} while ((u /= 10) != 0);
	if (n < 0)
		*--p = '-';
	buf_put(b, p, (size_t)(digits + sizeof(digits) - p));
}

void
buf_printf(struct buf *b, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	assert(n >= 0);
	buf_room(b, (size_t)n);
	va_start(ap, format);
	vsnprintf(b->text + b->len, (size_t)n + 1, format, ap);
	va_end(ap);
	b->len += (size_t)n;
}

/* What JSON wants escaped (RFC 8259, section 7), and DEL, which terminals act upon. */
static int
plain(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
}

static void
buf_escape(struct buf *b, unsigned char c)
{
	static const char SHORT[] = "b\bf\fn\nr\rt\t\"\"\\\\";

	for (const char *s = SHORT; *s != '\0'; s += 2) {
		if ((unsigned char)s[1] == c) {
			buf_char(b, '\\');
			buf_char(b, s[0]);
			return;
		}
	}
	buf_printf(b, "\\u%04x", c);
}

void
buf_json(struct buf *b, const char *text)
{
	if (text == NULL) {
		buf_lit(b, "null");
		return;
	}
	buf_char(b, '"');
	while (*text != '\0') {
		const char *from = text;

		while (*text != '\0' && plain((unsigned char)*text))
			text++;
		buf_put(b, from, (size_t)(text - from));
		if (*text != '\0')
			buf_escape(b, (unsigned char)*text++);
	}
	buf_char(b, '"');
}

void
buf_item(struct buf *b)
{
	if (b->len > 0 && strchr("{[", b->text[b->len - 1]) == NULL)
		buf_char(b, ',');
}

void
buf_key(struct buf *b, const char *name)
{
	buf_item(b);
	buf_json(b, name);
	buf_char(b, ':');
}
