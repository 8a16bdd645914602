/* field: checking, setting and printing members by their rows. */
#include "field.h"

#include <assert.h>
#include <string.h>

#include "text.h"

static void *
at(const struct field *f, void *base)
{
	return (char *)base + f->off;
}

static void
store_text(const struct field *f, void *base, const char *text)
{
	memcpy(at(f, base), &text, sizeof(text));
}

static void
store_int(const struct field *f, void *base, int64_t n)
{
	memcpy(at(f, base), &n, sizeof(n));
}

static void
store_bool(const struct field *f, void *base, bool yes)
{
	memcpy(at(f, base), &yes, sizeof(yes));
}

const char *
field_text(const struct field *f, const void *base)
{
	const char *text;

	memcpy(&text, (const char *)base + f->off, sizeof(text));
	return text;
}

int64_t
field_int(const struct field *f, const void *base)
{
	int64_t n;

	memcpy(&n, (const char *)base + f->off, sizeof(n));
	return n;
}

static bool
field_bool(const struct field *f, const void *base)
{
	bool yes;

	memcpy(&yes, (const char *)base + f->off, sizeof(yes));
	return yes;
}

void
fault_add_item(struct faults *fs, const char *in, const char *name, int item, enum msg m,
	       const struct field *f)
{
	if (fs->n < FAULTS_MOST)
		fs->at[fs->n++] = (struct fault_at){ in, fs->within, name, item, m, f, 0, 0 };
}

void
fault_add_place(struct faults *fs, const char *in, enum msg m, int line, int column)
{
	if (fs->n < FAULTS_MOST)
		fs->at[fs->n++] = (struct fault_at){ in, NULL, NULL, 0, m, NULL, line, column };
}

void
fault_add(struct faults *fs, const char *in, const char *name, enum msg m, const struct field *f)
{
	fault_add_item(fs, in, name, 0, m, f);
}

const struct field *
field_find(const struct shape *s, unsigned use, const char *name)
{
	for (const struct field *f = s->field; f->name != NULL; f++) {
		if ((f->use & use) != 0 && strcmp(f->name, name) == 0)
			return f;
	}
	return NULL;
}

enum msg
field_wrong_kind(const struct field *f)
{
	static const enum msg WRONG[] = {
		[K_TEXT] = MSG_NOT_TEXT, [K_INT] = MSG_NOT_INT,	     [K_BOOL] = MSG_NOT_BOOL,
		[K_TIME] = MSG_NOT_TEXT, [K_JSON] = MSG_NOT_OBJECT,  [K_OBJECT] = MSG_NOT_OBJECT,
		[K_LIST] = MSG_NOT_LIST, [K_SHAPE] = MSG_NOT_OBJECT,
	};

	return WRONG[f->kind];
}

static enum msg
check_text(const struct field *f, const char *text)
{
	int64_t count = (int64_t)text_count(text);

	if (f->choices != NULL)
		return text_among(text, f->choices) ? MSG_OK : MSG_CHOICE;
	if (f->max == 0)
		return MSG_OK;
	if (count < f->min)
		return f->too_short != MSG_OK ? f->too_short : MSG_TOO_SHORT;
	return count > f->max ? MSG_TOO_LONG : MSG_OK;
}

enum msg
field_set_text(struct arena *a, const struct field *f, void *base, const char *text)
{
	enum msg m = MSG_OK;
	const char *kept = NULL;

	if (f->kind != K_TEXT && f->kind != K_TIME)
		return field_wrong_kind(f);
	if (f->rule != NULL && (m = f->rule(a, text, &kept)) != MSG_OK)
		return m;
	if (kept == NULL)
		kept = arena_text(a, text);
	if ((m = check_text(f, kept)) != MSG_OK)
		return m;
	store_text(f, base, kept);
	return MSG_OK;
}

enum msg
field_set_int(const struct field *f, void *base, int64_t n)
{
	bool bounded = f->min != 0 || f->max != 0;

	if (f->kind != K_INT)
		return field_wrong_kind(f);
	if (n == NO_INT || (bounded && (n < f->min || n > f->max)))
		return f->out_of_range != MSG_OK ? f->out_of_range : MSG_RANGE;
	store_int(f, base, n);
	return MSG_OK;
}

enum msg
field_set_bool(const struct field *f, void *base, bool yes)
{
	if (f->kind != K_BOOL)
		return field_wrong_kind(f);
	store_bool(f, base, yes);
	return MSG_OK;
}

enum msg
field_set_object(const struct field *f, void *base, const char *text)
{
	if (f->kind != K_OBJECT)
		return field_wrong_kind(f);
	if (f->max != 0 && (int64_t)strlen(text) > f->max)
		return MSG_TOO_BIG;
	store_text(f, base, text);
	return MSG_OK;
}

enum msg
field_set_list(const struct field *f, void *base, const char *text, int64_t n)
{
	if (f->kind != K_LIST)
		return field_wrong_kind(f);
	if (n < f->min || (f->max != 0 && n > f->max))
		return MSG_ITEMS;
	store_text(f, base, text);
	return MSG_OK;
}

enum msg
field_set_shape(const struct field *f, void *base, const void *inner)
{
	if (f->kind != K_SHAPE)
		return field_wrong_kind(f);
	memcpy(at(f, base), &inner, sizeof(inner));
	return MSG_OK;
}

enum msg
field_set_null(const struct field *f, void *base)
{
	if (!f->nullable)
		return MSG_NOT_NULL;
	field_load(NULL, f, base, NULL);
	return MSG_OK;
}

static enum msg
parse_bool(const struct field *f, void *base, const char *text)
{
	bool yes = text_among(text, "1 true yes on");

	if (!yes && !text_among(text, "0 false no off"))
		return MSG_NOT_BOOL;
	return field_set_bool(f, base, yes);
}

enum msg
field_parse(struct arena *a, const struct field *f, void *base, const char *text)
{
	int64_t n;

	switch (f->kind) {
	case K_INT:
		return text_to_int(text, &n) ? field_set_int(f, base, n) : MSG_INT_TEXT;
	case K_BOOL:
		return parse_bool(f, base, text);
	default:
		return field_set_text(a, f, base, text);
	}
}

/* "2026-11-22 18:09:00.5+00", as PostgreSQL prints it in UTC, becomes RFC 3339 with
 * six digits after the point. */
static const char *
time_text(struct arena *a, const char *text)
{
	char out[28] = "0000-00-00T00:00:00.000000Z";
	size_t n = strcspn(text, "+");

	if (n < 19 || n > 26)
		return arena_text(a, text);
	memcpy(out, text, n);
	out[10] = 'T';
	return arena_textn(a, out, 27);
}

void
field_load(struct arena *a, const struct field *f, void *base, const char *text)
{
	int64_t n = NO_INT;

	switch (f->kind) {
	case K_INT:
		if (text != NULL && !text_to_int(text, &n))
			n = NO_INT;
		store_int(f, base, n);
		break;
	case K_BOOL:
		store_bool(f, base, text != NULL && (*text == 't' || *text == '1'));
		break;
	case K_TIME:
		store_text(f, base, text == NULL ? NULL : time_text(a, text));
		break;
	case K_TEXT:
	case K_JSON:
	case K_OBJECT:
	case K_LIST:
		store_text(f, base, text == NULL ? NULL : arena_text(a, text));
		break;
	case K_SHAPE:
		store_text(f, base, NULL);
		break;
	}
}

struct given *
shape_given(const struct shape *s, void *base)
{
	return s->given == NO_GIVEN ? NULL : (struct given *)((char *)base + s->given);
}

void
shape_clear(const struct shape *s, void *base)
{
	memset(base, 0, s->size);
	for (const struct field *f = s->field; f->name != NULL; f++)
		field_load(NULL, f, base, NULL);
}

void
field_print(struct buf *b, const struct field *f, const void *base)
{
	switch (f->kind) {
	case K_INT:
		if (field_int(f, base) == NO_INT)
			buf_lit(b, "null");
		else
			buf_int(b, field_int(f, base));
		break;
	case K_BOOL:
		buf_text(b, field_bool(f, base) ? "true" : "false");
		break;
	case K_TEXT:
	case K_TIME:
		buf_json(b, field_text(f, base));
		break;
	case K_JSON:
	case K_OBJECT:
	case K_LIST:
		buf_text(b, field_text(f, base) == NULL ? "null" : field_text(f, base));
		break;
	case K_SHAPE:
		assert(f->kind != K_SHAPE);
		break;
	}
}

void
field_copy(const struct field *f, void *to, const void *from)
{
	size_t size = f->kind == K_INT	  ? sizeof(int64_t)
		      : f->kind == K_BOOL ? sizeof(bool)
					  : sizeof(const char *);

	memcpy((char *)to + f->off, (const char *)from + f->off, size);
}
