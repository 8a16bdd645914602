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

/* How to read one text. */
struct reading {
	struct arena *arena;
	const struct shape *shape; /* may be NULL */
	unsigned use;
	const char *in; /* "query" or "body", in a fault */
	bool strict;	/* a name that is not in the shape is a fault */
	bool *seen;	/* by row */
	void *out;
	struct faults *faults;
};

static enum msg
read_value(const struct reading *r, const struct field *f, const char *value)
{
	bool *seen = &r->seen[f - r->shape->field];

	if (*seen)
		return MSG_REPEATED;
	*seen = true;
	return value == NULL ? MSG_NOT_UTF8 : field_parse(r->arena, f, r->out, value);
}

static void
note_extra(const struct reading *r, const char *name)
{
	if (!r->strict)
		return;
	name = name == NULL || strlen(name) > NAME_SHOWN ? "(not shown)" : name;
	fault_add(r->faults, r->in, name,
		  strcmp(r->in, "query") == 0 ? MSG_EXTRA_PARAMETER : MSG_EXTRA, NULL);
}

static void
read_pair(const struct reading *r, const char *text, size_t len)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals == NULL ? len : (size_t)(equals - text);
	const char *name = decoded(r->arena, text, name_len);
	const struct field *f =
		r->shape == NULL || name == NULL ? NULL : field_find(r->shape, r->use, name);
	enum msg m;

	if (f == NULL) {
		note_extra(r, name);
		return;
	}
	len -= equals == NULL ? len : name_len + 1;
	if (len == 0 && !r->strict)
		return; /* RFC 6749, 3.2: as if it were not there */
	m = read_value(r, f, decoded(r->arena, equals == NULL ? "" : equals + 1, len));
	if (m != MSG_OK)
		fault_add(r->faults, r->in, f->name, m, f);
}

static enum err
read_all(const struct reading *r, const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "&");

		if (len > 0)
			read_pair(r, text, len);
		text += len + (text[len] == '&');
	}
	for (const struct field *f = r->shape == NULL ? NULL : r->shape->field;
	     f != NULL && f->name != NULL; f++) {
		if ((f->need & r->use) != 0 && !r->seen[f - r->shape->field])
			fault_add(r->faults, r->in, f->name, MSG_MISSING, f);
	}
	return r->faults->n == 0 ? OK : E_INVALID;
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
	return read_all(&(struct reading){ a, s, ~0u, "query", true, seen, out, faults_r }, text);
}

enum err
form_read(struct arena *a, const struct shape *s, unsigned use, const char *text, size_t len,
	  void *out, struct faults *faults_r)
{
	bool seen[ROWS_MOST] = { false };

	set_defaults(a, s, out);
	if (strlen(text) != len)
		return E_MALFORMED;
	return read_all(&(struct reading){ a, s, use, "body", false, seen, out, faults_r }, text);
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
