/*
 * text: what can be said of a piece of UTF-8 without knowing what it means.
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

/* Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates) without NUL? */
bool text_is_utf8(const char *text, size_t len);

/* Code points in well-formed UTF-8. */
size_t text_count(const char *text);

/* A copy without white space at both ends, as Python's str.strip() sees white space. */
const char *text_trim(struct arena *a, const char *text);

/* Any white space, of whatever script? */
bool text_has_blank(const char *text);

/* Any control character (C0, DEL, C1), or one that reorders or hides text (bidi marks and
 * embeddings, zero-width space, line and paragraph separators)? */
bool text_has_control(const char *text);

/* The whole text as a decimal number: an optional '-', digits, no leading zero, within
 * int64_t. False, and *out_r untouched, for anything else. */
bool text_to_int(const char *text, int64_t *out_r);

/* Does it begin as `form` does, where 'h' is any hexadecimal digit and 'd' any decimal one? */
bool text_begins_like(const char *text, const char *form);

/* 36 characters, as RFC 9562 writes a UUID? */
bool text_is_uuid(const char *text);

/* Is `word` among the blank-separated `words`? */
bool text_among(const char *word, const char *words);

#endif
