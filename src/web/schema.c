/* schema: a walk along the rows; what a rule means to a reader stands in a table. */
#include "schema.h"

#include <ctype.h>
#include <string.h>

#include "rules.h"
#include "user.h"

/* What a rule says that kind and length don't; the reserved names are left to the help. */
static const struct {
	enum msg (*rule)(struct arena *a, const char *text, const char **out_r);
	const char *format, *pattern;
	int64_t max;
} RULES[] = {
	{ rule_email, "email", NULL, 255 },
	{ rule_line, NULL, "^[^\\x00-\\x1f\\x7f]*$", 0 },
	{ rule_phone, NULL, "^[0-9 +()-]*$", 0 },
	{ rule_event_type, NULL, "^[A-Za-z][A-Za-z0-9_.-]*$", 0 },
	{ rule_position, NULL, "^[0-9]+\\.[0-9]+$", 0 },
};

/* The JSON kinds of the kinds. */
static const char *const TYPES[] = {
	[K_TEXT] = "string", [K_INT] = "integer",   [K_BOOL] = "boolean", [K_TIME] = "string",
	[K_JSON] = "object", [K_OBJECT] = "object", [K_LIST] = "array",	  [K_SHAPE] = "object",
};

/*
 * Names
 */

/* "struct user_list" becomes "UserList". */
static void
put_camel(struct buf *b, const char *name)
{
	bool begins = true;

	for (name += strncmp(name, "struct ", 7) == 0 ? 7 : 0; *name != '\0'; name++) {
		if (*name == '_') {
			begins = true;
			continue;
		}
		buf_char(b, begins ? (char)toupper((unsigned char)*name) : *name);
		begins = false;
	}
}

static bool
has_rows(const struct shape *s, unsigned use)
{
	for (const struct field *f = s->field; f->name != NULL; f++) {
		if ((f->use & use) != 0)
			return true;
	}
	return false;
}

const char *
schema_name(struct arena *a, const struct body *body)
{
	struct buf b = buf_new(a, 32);
	unsigned use = body->use;

	put_camel(&b, body->shape->name);
	if (!body->in)
		buf_text(&b, body->maybe != 0 ? "Listed" : "");
	else if (has_rows(body->shape, SHOWN)) /* else its name is its own */
		buf_text(&b, use & IN_REPLACE	  ? "Replace"
			     : use & IN_CHANGE	  ? "Update"
			     : use & WITH_PROFILE ? "CreateWithProfile"
						  : "Create");
	return b.text;
}

/*
 * Values
 */

static void
put_type(struct buf *b, const struct field *f)
{
	const char *type = f->many ? "array" : TYPES[f->kind];

	buf_key(b, "type");
	if (f->nullable)
		buf_printf(b, "[\"%s\",\"null\"]", type);
	else
		buf_json(b, type);
	if (f->kind == K_INT)
		buf_lit(b, ",\"format\":\"int64\"");
	if (f->kind == K_TIME)
		buf_lit(b, ",\"format\":\"date-time\"");
}

static void
put_choices(struct buf *b, const struct field *f)
{
	buf_key(b, "enum");
	buf_char(b, '[');
	for (const char *p = f->choices; *p != '\0';) {
		size_t len = strcspn(p, " ");

		buf_item(b);
		buf_json(b, arena_textn(b->arena, p, len));
		p += len;
		p += strspn(p, " ");
	}
	buf_text(b, f->nullable ? ",null]" : "]");
}

static void
put_number(struct buf *b, const char *key, int64_t n)
{
	buf_key(b, key);
	buf_int(b, n);
}

static void
put_bounds(struct buf *b, const struct field *f)
{
	if (f->min == 0 && f->max == 0)
		return;
	if (f->kind == K_INT) {
		put_number(b, "minimum", f->min);
		put_number(b, "maximum", f->max);
	} else if (f->kind == K_TEXT) {
		put_number(b, "minLength", f->min);
		put_number(b, "maxLength", f->max);
	} else if (f->kind == K_LIST) {
		put_number(b, "minItems", f->min);
		put_number(b, "maxItems", f->max);
	}
}

static void
put_rule(struct buf *b, const struct field *f)
{
	for (size_t i = 0; i < NELEM(RULES); i++) {
		if (f->rule == NULL || RULES[i].rule != f->rule)
			continue;
		if (RULES[i].format != NULL) {
			buf_key(b, "format");
			buf_json(b, RULES[i].format);
		}
		if (RULES[i].pattern != NULL) {
			buf_key(b, "pattern");
			buf_json(b, RULES[i].pattern);
		}
		if (RULES[i].max > 0 && f->max == 0)
			put_number(b, "maxLength", RULES[i].max);
	}
}

/* Numbers and objects stand as they are, all else is text. */
static void
put_value(struct buf *b, const struct field *f, const char *text)
{
	if (f->kind == K_TEXT || f->kind == K_TIME)
		buf_json(b, text);
	else
		buf_text(b, text);
}

void
schema_print_example(struct buf *b, const struct field *f)
{
	if (f->example != NULL)
		put_value(b, f, f->example);
}

static void
put_words(struct buf *b, const struct field *f)
{
	if (f->def != NULL) {
		buf_key(b, "default");
		put_value(b, f, f->def);
	}
	if (f->help != NULL) {
		buf_key(b, "description");
		buf_json(b, f->help);
	}
	if (f->example != NULL) {
		buf_key(b, "examples");
		buf_char(b, '[');
		schema_print_example(b, f);
		buf_char(b, ']');
	}
}

/* What a K_JSON or K_SHAPE holds. */
static void
put_inner(struct buf *b, const struct field *f, bool in)
{
	struct body inner = { .shape = f->of, .use = f->of_use, .in = in };

	if (f->many) {
		buf_key(b, "items");
		schema_print(b, &inner);
		return;
	}
	buf_key(b, "allOf");
	buf_char(b, '[');
	schema_print(b, &inner);
	buf_char(b, ']');
}

static void
put_field(struct buf *b, const struct field *f, bool in)
{
	buf_char(b, '{');
	put_type(b, f);
	if (f->choices != NULL)
		put_choices(b, f);
	if (in) {
		put_bounds(b, f);
		put_rule(b, f);
	}
	if (in && f->secret)
		buf_lit(b, ",\"writeOnly\":true");
	if (f->kind == K_LIST)
		buf_lit(b, ",\"items\":{\"type\":\"string\"}");
	if (f->of != NULL)
		put_inner(b, f, in);
	put_words(b, f);
	buf_char(b, '}');
}

void
schema_print_field(struct buf *b, const struct field *f)
{
	put_field(b, f, true);
}

/*
 * Bodies
 */

static void
put_properties(struct buf *b, const struct body *body)
{
	unsigned use = body->use | body->maybe;

	buf_lit(b, "{\"type\":\"object\",\"properties\":{");
	for (const struct field *f = body->shape->field; f->name != NULL; f++) {
		if ((f->use & use) == 0)
			continue;
		buf_key(b, f->name);
		put_field(b, f, body->in);
	}
	buf_char(b, '}');
}

/* Whatever goes out is always there, or null. */
static void
put_required(struct buf *b, const struct body *body)
{
	buf_key(b, "required");
	buf_char(b, '[');
	for (const struct field *f = body->shape->field; f->name != NULL; f++) {
		if (((body->in ? f->need : f->use) & body->use) == 0)
			continue;
		buf_item(b);
		buf_json(b, f->name);
	}
	buf_char(b, ']');
}

void
schema_print(struct buf *b, const struct body *body)
{
	put_properties(b, body);
	put_required(b, body);
	if (body->in && !body->open)
		buf_lit(b, ",\"additionalProperties\":false");
	if (body->in && (body->use & IN_CHANGE) != 0)
		buf_lit(b, ",\"minProperties\":1");
	buf_char(b, '}');
}
