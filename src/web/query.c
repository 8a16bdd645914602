/* query: split at '&', decode, look the row up. */
#include "query.h"

#include <string.h>

#include "text.h"

enum { NAME_SHOWN = 64, ROWS_MOST = 64 };

static int
hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* The decoded text, or NULL where it holds a NUL or is not UTF-8. A '%' that is not followed
 * by two digits stands for itself. */
static const char *
decoded(struct arena *a, const char *from, size_t len)
{
	char *out = arena_get(a, len + 1), *to = out;

	for (const char *end = from + len; from < end; from++) {
		bool code =
			*from == '%' && end - from > 2 && hex(from[1]) >= 0 && hex(from[2]) >= 0;

		*to++ = code	       ? (char)(hex(from[1]) << 4 | hex(from[2]))
			: *from == '+' ? ' '
				       : *from;
		from += code ? 2 : 0;
	}
	return text_is_utf8(out, (size_t)(to - out)) ? out : NULL;
}

static enum msg
read_value(struct arena *a, const struct field *f, const char *value, bool *seen, void *out)
{
	if (*seen)
		return MSG_REPEATED;
	*seen = true;
	return value == NULL ? MSG_NOT_UTF8 : field_parse(a, f, out, value);
}

static void
read_pair(struct arena *a, const struct shape *s, const char *text, size_t len, bool *seen,
	  void *out, struct faults *faults)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals == NULL ? len : (size_t)(equals - text);
	const char *name = decoded(a, text, name_len);
	const struct field *f = s == NULL || name == NULL ? NULL : field_find(s, ~0u, name);
	enum msg m;

	if (f == NULL) {
		name = name == NULL || strlen(name) > NAME_SHOWN ? "(not shown)" : name;
		fault_add(faults, "query", name, MSG_EXTRA, NULL);
		return;
	}
	len -= equals == NULL ? len : name_len + 1;
	m = read_value(a, f, decoded(a, equals == NULL ? "" : equals + 1, len), &seen[f - s->field],
		       out);
	if (m != MSG_OK)
		fault_add(faults, "query", f->name, m, f);
}

static void
set_defaults(struct arena *a, const struct shape *s, void *out)
{
	shape_clear(s, out);
	for (const struct field *f = s->field; f->name != NULL; f++) {
		if (f->def != NULL && field_parse(a, f, out, f->def) != MSG_OK)
			__builtin_trap(); /* a default that its own row refuses: a defect of the table */
	}
}

enum err
query_read(struct arena *a, const struct shape *s, const char *text, void *out,
	   struct faults *faults_r)
{
	bool seen[ROWS_MOST] = { false };

	if (s != NULL)
		set_defaults(a, s, out);
	while (*text != '\0') {
		size_t len = strcspn(text, "&");

		if (len > 0)
			read_pair(a, s, text, len, seen, out, faults_r);
		text += len + (text[len] == '&');
	}
	for (const struct field *f = s == NULL ? NULL : s->field; f != NULL && f->name != NULL;
	     f++) {
		if (f->need != 0 && !seen[f - s->field])
			fault_add(faults_r, "query", f->name, MSG_MISSING, f);
	}
	return faults_r->n == 0 ? OK : E_INVALID;
}

/* Unreserved characters stand for themselves (RFC 3986, 2.3). */
static void
put_encoded(struct buf *b, const char *text)
{
	static const char PLAIN[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text != '\0'; text++) {
		if (strchr(PLAIN, *text) != NULL)
			buf_char(b, *text);
		else
			buf_printf(b, "%%%02X", (unsigned char)*text);
	}
}

static void
put_parameter(struct buf *b, bool *first, const char *name, const char *value)
{
	buf_char(b, *first ? '?' : '&');
	*first = false;
	buf_text(b, name);
	buf_char(b, '=');
	put_encoded(b, value);
}

/* A number or text as it would be written; NULL where it is null. */
static const char *
value_text(struct arena *a, const struct field *f, const void *in)
{
	if (f->kind == K_TEXT)
		return field_text(f, in);
	if (f->kind != K_INT || field_int(f, in) == NO_INT)
		return NULL;
	return arena_printf(a, "%lld", (long long)field_int(f, in));
}

void
query_print(struct buf *b, const struct shape *s, const void *in, const char *name,
	    const char *value)
{
	bool first = true;

	for (const struct field *f = s->field; f->name != NULL; f++) {
		const char *text = value_text(b->arena, f, in);

		if (text == NULL || text_among(f->name, "skip cursor after count"))
			continue;
		if (f->def == NULL || strcmp(text, f->def) != 0)
			put_parameter(b, &first, f->name, text);
	}
	put_parameter(b, &first, name, value);
}
