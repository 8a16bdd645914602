/* doc: jansson in, buf out. */
#include "doc.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum { KEY_SHOWN = 64 }; /* bytes of a stranger's key that we say back */

/* Printing stops soon after `most` bytes: a short real number may have 300 digits, so what is small
 * on its way in need not be small when it is printed. */
static void put_value(struct buf *b, json_t *v, size_t most);

static void
wipe_free(void *p)
{
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void
doc_init(void)
{
	json_set_alloc_funcs(must_alloc, wipe_free);
}

/* "-1.25e+17" without its exponent, which says no more than its digits do: so what is counted
 * is what PostgreSQL will hold and print, and a real number stays one there. */
static void
put_plain(struct buf *b, const char *digits)
{
	const char *e = strchr(digits, 'e');
	int exponent = atoi(e + 1);
	bool small = exponent < 0;

	if (*digits == '-')
		buf_char(b, *digits++);
	for (int i = exponent; i < 0; i++)
		buf_text(b, i == exponent ? "0." : "0");
	for (; digits < e; digits++) {
		if (*digits == '.')
			continue;
		buf_char(b, *digits);
		exponent--;
	}
	for (; exponent >= 0; exponent--)
		buf_char(b, '0');
	if (!small)
		buf_lit(b, ".0");
}

/* The shortest digits that read as the same number again, and still as a real one. */
static void
put_real(struct buf *b, double x)
{
	char digits[32];

	for (int precision = 15; precision <= 17; precision++) {
		snprintf(digits, sizeof(digits), "%.*g", precision, x);
		if (strtod(digits, NULL) == x)
			break;
	}
	if (strchr(digits, 'e') != NULL) {
		put_plain(b, digits);
		return;
	}
	buf_text(b, digits);
	if (strchr(digits, '.') == NULL)
		buf_lit(b, ".0");
}

static void
put_array(struct buf *b, const json_t *v, size_t most)
{
	size_t i;
	json_t *item;

	buf_char(b, '[');
	json_array_foreach(v, i, item)
	{
		if (b->len > most)
			break;
		if (i > 0)
			buf_char(b, ',');
		put_value(b, item, most);
	}
	buf_char(b, ']');
}

static void
put_object(struct buf *b, json_t *v, size_t most)
{
	const char *key;
	json_t *item;
	bool first = true;

	buf_char(b, '{');
	json_object_foreach(v, key, item)
	{
		if (b->len > most)
			break;
		if (!first)
			buf_char(b, ',');
		first = false;
		buf_json(b, key);
		buf_char(b, ':');
		put_value(b, item, most);
	}
	buf_char(b, '}');
}

/* Any value as JSON again. jansson reads at most 2048 levels, so this goes no deeper. */
static void
put_value(struct buf *b, json_t *v, size_t most)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		put_object(b, v, most);
		break;
	case JSON_ARRAY:
		put_array(b, v, most);
		break;
	case JSON_STRING:
		buf_json(b, json_string_value(v));
		break;
	case JSON_INTEGER:
		buf_int(b, json_integer_value(v));
		break;
	case JSON_REAL:
		put_real(b, json_real_value(v));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		buf_text(b, json_is_true(v) ? "true" : "false");
		break;
	case JSON_NULL:
		buf_lit(b, "null");
		break;
	}
}

/* C's texts end at a NUL, and PostgreSQL takes none. (jansson takes none in a key.) */
static bool
has_nul(json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_string(v))
		return strlen(json_string_value(v)) != json_string_length(v);
	json_object_foreach(v, key, item)
	{
		if (has_nul(item))
			return true;
	}
	json_array_foreach(v, i, item)
	{
		if (has_nul(item))
			return true;
	}
	return false;
}

static enum msg
set_object(struct arena *a, const struct field *f, void *out, json_t *v)
{
	struct buf b;

	if (f->kind != K_OBJECT)
		return field_wrong_kind(f);
	b = buf_new(a, 256);
	put_object(&b, v, f->max == 0 ? SIZE_MAX : (size_t)f->max);
	return field_set_object(f, out, b.text);
}

/* Texts only, each as the row's rule leaves it. *item_r: which one is wrong, from 1. */
static enum msg
set_list(struct arena *a, const struct field *f, void *out, json_t *v, int *item_r)
{
	struct buf b = buf_new(a, 256);
	size_t i;
	json_t *item;
	enum msg m;

	if (f->kind != K_LIST)
		return field_wrong_kind(f);
	json_array_foreach(v, i, item)
	{
		const char *text = json_string_value(item);

		*item_r = (int)i + 1;
		if (text == NULL)
			return MSG_NOT_TEXT;
		if (f->rule != NULL && (m = f->rule(a, text, &text)) != MSG_OK)
			return m;
		buf_char(&b, i == 0 ? '[' : ',');
		buf_json(&b, text);
	}
	*item_r = 0;
	buf_text(&b, b.len == 0 ? "[]" : "]");
	return field_set_list(f, out, b.text, (int64_t)json_array_size(v));
}

static enum msg
set_value(struct arena *a, const struct field *f, void *out, json_t *v, int *item_r)
{
	if (has_nul(v))
		return MSG_CONTROL;
	switch (json_typeof(v)) {
	case JSON_STRING:
		return field_set_text(a, f, out, json_string_value(v));
	case JSON_INTEGER:
		return field_set_int(f, out, json_integer_value(v));
	case JSON_TRUE:
	case JSON_FALSE:
		return field_set_bool(f, out, json_is_true(v));
	case JSON_NULL:
		return field_set_null(f, out);
	case JSON_OBJECT:
		return set_object(a, f, out, v);
	case JSON_ARRAY:
		return set_list(a, f, out, v, item_r);
	default: /* a real number is of the wrong kind whatever the row wants */
		return field_wrong_kind(f);
	}
}

/* How to read one document. */
struct reading {
	struct arena *arena;
	const struct shape *shape;
	unsigned use;
	bool strict; /* a name that is not in the shape is a fault */
	void *out;
	struct faults *faults;
};

static void
note_extra(const struct reading *r, const char *key)
{
	if (!r->strict)
		return;
	if (strlen(key) > KEY_SHOWN)
		key = "(a very long name)";
	fault_add(r->faults, "body", arena_text(r->arena, key), MSG_EXTRA, NULL);
}

static void read_object(const struct reading *r, json_t *doc);

/* An object with a shape of its own: what is wrong in it is said of its members. */
static void
read_inner(const struct reading *r, const struct field *f, json_t *v)
{
	void *out = arena_get(r->arena, f->of->size);
	struct reading inner = { r->arena, f->of, f->of_use, r->strict, out, r->faults };
	const char *before = r->faults->within;

	shape_clear(f->of, out);
	r->faults->within = f->name;
	read_object(&inner, v);
	r->faults->within = before;
	(void)field_set_shape(f, r->out, out);
}

static void
read_pair(const struct reading *r, const char *key, json_t *v)
{
	const struct field *f = field_find(r->shape, r->use, key);
	struct given *given = shape_given(r->shape, r->out);
	int item = 0;
	enum msg m;

	if (f == NULL) {
		note_extra(r, key);
		return;
	}
	if (f->kind == K_SHAPE && json_is_object(v))
		read_inner(r, f, v);
	else if ((m = set_value(r->arena, f, r->out, v, &item)) != MSG_OK)
		fault_add_item(r->faults, "body", f->name, item, m, f);
	if (given != NULL) {
		uint64_t bit = UINT64_C(1) << (f - r->shape->field);

		given->set |= bit;
		given->null |= json_is_null(v) ? bit : 0;
	}
}

static void
read_object(const struct reading *r, json_t *doc)
{
	const char *key;
	json_t *v;

	json_object_foreach(doc, key, v)
	{
		read_pair(r, key, v);
	}
	for (const struct field *f = r->shape->field; f->name != NULL; f++) {
		if ((f->need & r->use) != 0 && json_object_get(doc, f->name) == NULL)
			fault_add(r->faults, "body", f->name, MSG_MISSING, f);
	}
}

/* What jansson found; all else is syntax. */
static const struct {
	enum json_error_code code;
	enum msg msg;
} BROKEN[] = {
	{ json_error_premature_end_of_input, MSG_JSON_ENDS },
	{ json_error_duplicate_key, MSG_JSON_TWICE },
	{ json_error_invalid_utf8, MSG_NOT_UTF8 },
	{ json_error_null_byte_in_key, MSG_JSON_NUL },
	{ json_error_numeric_overflow, MSG_JSON_NUMBER },
	{ json_error_stack_overflow, MSG_JSON_DEPTH },
};

/* Where and why, but never what: the place counts characters, and may be behind the end. */
static void
note_broken(struct faults *fs, const json_error_t *why)
{
	enum json_error_code code = json_error_code(why);
	enum msg m = MSG_JSON;

	for (size_t i = 0; i < NELEM(BROKEN); i++) {
		if (BROKEN[i].code == code)
			m = BROKEN[i].msg;
	}
	fault_add_place(fs, "body", m, why->line > 0 ? why->line : 1,
			why->column > 0 ? why->column : 1);
}

static enum err
read_doc(const struct reading *r, const char *text, size_t len)
{
	json_error_t why;
	json_t *doc = json_loadb(text, len,
				 JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);

	if (doc == NULL)
		note_broken(r->faults, &why);
	explicit_bzero(&why, sizeof(why)); /* it quotes the text */
	shape_clear(r->shape, r->out);
	if (doc == NULL)
		return E_MALFORMED;
	if (json_is_object(doc))
		read_object(r, doc);
	else
		fault_add(r->faults, "body", NULL, MSG_NOT_OBJECT, NULL);
	json_decref(doc);
	return r->faults->n == 0 ? OK : E_INVALID;
}

enum err
doc_read(struct arena *a, const struct shape *s, unsigned use, const char *text, size_t len,
	 void *out, struct faults *faults_r)
{
	return read_doc(&(struct reading){ a, s, use, true, out, faults_r }, text, len);
}

enum err
doc_pick(struct arena *a, const struct shape *s, unsigned use, const char *text, size_t len,
	 void *out, struct faults *faults_r)
{
	return read_doc(&(struct reading){ a, s, use, false, out, faults_r }, text, len);
}

static void
print_pair(struct buf *b, const struct field *f, const void *base, bool *first)
{
	buf_char(b, *first ? '{' : ',');
	*first = false;
	buf_char(b, '"');
	buf_text(b, f->name);
	buf_lit(b, "\":");
	field_print(b, f, base);
}

static void
print_rows(struct buf *b, const struct shape *s, unsigned use, uint64_t bits, const void *base)
{
	bool first = true;

	for (const struct field *f = s->field; f->name != NULL; f++) {
		if ((f->use & use) != 0 && (bits >> (f - s->field) & 1) != 0)
			print_pair(b, f, base, &first);
	}
	buf_text(b, first ? "{}" : "}");
}

void
doc_print(struct buf *b, const struct shape *s, unsigned use, const void *base)
{
	print_rows(b, s, use, UINT64_MAX, base);
}

void
doc_print_rows(struct buf *b, const struct shape *s, unsigned use, const void *base, int n)
{
	buf_char(b, '[');
	for (int i = 0; i < n; i++) {
		if (i > 0)
			buf_char(b, ',');
		doc_print(b, s, use, (const char *)base + s->size * (size_t)i);
	}
	buf_char(b, ']');
}

static size_t
size_of(const struct field *f, const void *base)
{
	bool is_text = f->kind != K_INT && f->kind != K_BOOL;
	const char *text = is_text ? field_text(f, base) : NULL;

	return strlen(f->name) + 6 + (text == NULL ? 8 : strlen(text));
}

/* About: what JSON escapes is longer, and numbers are guessed. */
static size_t
size_of_row(const struct shape *s, unsigned use, const void *base)
{
	size_t sum = 2;

	for (const struct field *f = s->field; f->name != NULL; f++)
		sum += (f->use & use) != 0 ? size_of(f, base) : 0;
	return sum;
}

int
doc_fit(const struct shape *s, unsigned use, const void *base, int n, bool from_end)
{
	size_t sum = 0;
	int fit = 0;

	for (; fit < n; fit++) {
		int at = from_end ? n - 1 - fit : fit;

		sum += size_of_row(s, use, (const char *)base + s->size * (size_t)at);
		if (sum > DOC_LIST_MOST && fit > 0)
			break;
	}
	return fit;
}

void
doc_print_given(struct buf *b, const struct shape *s, unsigned use, const void *base)
{
	const struct given *given = (const struct given *)((const char *)base + s->given);

	print_rows(b, s, use, given->set, base);
}
