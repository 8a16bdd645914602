/* conf: look a row's value up, check it by its row, remember where it came from. */
#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

struct env_line {
	struct env_line *next;
	const char *name, *value;
};

/* VALUE, 'VALUE' or "VALUE"; what follows the closing quote, or " #", does not count. */
static const char *
unquoted(struct arena *a, const char *value)
{
	const char *end;

	value = text_trim(a, value);
	if (*value != '\'' && *value != '"') {
		end = strstr(value, " #");
		return end == NULL ? value
				   : text_trim(a, arena_textn(a, value, (size_t)(end - value)));
	}
	end = strchr(value + 1, *value);
	return end == NULL ? value : arena_textn(a, value + 1, (size_t)(end - value - 1));
}

/* A name as a shell has them. */
static bool
is_name(const char *name)
{
	static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_",
			  DIGITS[] = "0123456789";
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++) {
		if (strchr(LETTERS, name[i]) == NULL && (i == 0 || strchr(DIGITS, name[i]) == NULL))
			return false;
	}
	return len > 0;
}

/* Put before *all what the line assigns, if it is not empty or a comment. E_INVALID: it is neither. */
static enum err
parse_line(struct arena *a, const char *line, struct env_line **all)
{
	struct env_line *l = arena_get(a, sizeof(*l));
	const char *equals;

	line = text_trim(a, line);
	if (*line == '#' || *line == '\0')
		return OK;
	if (strncmp(line, "export ", 7) == 0)
		line += 7;
	equals = strchr(line, '=');
	if (equals == NULL)
		return E_INVALID;
	*l = (struct env_line){ *all, text_trim(a, arena_textn(a, line, (size_t)(equals - line))),
				unquoted(a, equals + 1) };
	*all = l;
	return is_name(l->name) ? OK : E_INVALID;
}

/* The lines of the file, the last one first: the first found wins, as in a shell. */
static enum err
read_file(struct arena *a, const char *path, struct env_line **all_r, const char **why_r)
{
	FILE *f = path == NULL ? NULL : fopen(path, "re");
	char line[8192];
	enum err e = OK;

	*all_r = NULL;
	if (f == NULL)
		return OK;
	for (int n = 1; e == OK && fgets(line, sizeof(line), f) != NULL; n++) {
		if (strlen(line) == sizeof(line) - 1) {
			e = E_INVALID; /* the rest would be taken for a line of its own */
			*why_r = arena_printf(a, "%s, line %d: too long", path, n);
		} else if ((e = parse_line(a, line, all_r)) != OK)
			*why_r = arena_printf(a, "%s, line %d: not NAME=value (not shown here)",
					      path, n);
	}
	fclose(f);
	explicit_bzero(line, sizeof(line));
	return e;
}

static const char *
find(const struct field *f, const struct env_line *lines, enum conf_source *from_r)
{
	const char *value = getenv(f->name);

	*from_r = FROM_ENVIRONMENT;
	if (value != NULL && *value != '\0')
		return value;
	*from_r = FROM_FILE;
	for (; lines != NULL; lines = lines->next) {
		if (strcmp(lines->name, f->name) == 0 && *lines->value != '\0')
			return lines->value;
	}
	*from_r = f->def == NULL ? FROM_NOWHERE : FROM_DEFAULT;
	return f->def;
}

const char *
conf_allowed(struct arena *a, const struct field *f)
{
	struct buf b = buf_new(a, 128);

	if (f->choices != NULL) {
		msg_print(&b, MSG_CHOICE, EN, f);
		return strchr(b.text, ':') + 2;
	}
	if (f->kind == K_BOOL)
		return "0 or 1";
	if (f->kind == K_INT)
		buf_printf(&b, "%lld to %lld", (long long)f->min, (long long)f->max);
	else if (f->max != 0 && f->min != 0)
		buf_printf(&b, "%lld to %lld characters", (long long)f->min, (long long)f->max);
	else
		buf_lit(&b, "text");
	return b.text;
}

const char *
conf_complaint(struct arena *a, const struct field *f, const char *found)
{
	const char *quote = f->secret ? "" : "\"", *shown = found;

	if (found == NULL)
		return arena_printf(a, "%s is not set; wanted: %s (%s)", f->name,
				    conf_allowed(a, f), f->help);
	if (f->secret)
		shown = arena_printf(a, "a value of %zu bytes, not shown here", strlen(found));
	return arena_printf(a, "%s: found %s%s%s; allowed: %s (%s)", f->name, quote, shown, quote,
			    conf_allowed(a, f), f->help);
}

/* Does the name begin as one of ours does, up to its first '_'? */
static bool
looks_like_ours(const struct shape *s, const char *name)
{
	size_t len = strcspn(name, "_") + 1;
	bool alike = false;

	for (const struct field *f = s->field; f->name != NULL; f++) {
		if (strcmp(f->name, name) == 0)
			return false;
		alike = alike || (name[len - 1] == '_' && strncmp(f->name, name, len) == 0);
	}
	return alike;
}

/* Names that are none, though somebody meant one of ours; NULL if there are none. */
static const char *
strangers(struct arena *a, const struct shape *s, const struct env_line *lines)
{
	const char *all = NULL;

	for (; lines != NULL; lines = lines->next) {
		if (looks_like_ours(s, lines->name))
			all = all == NULL ? lines->name
					  : arena_printf(a, "%s, %s", lines->name, all);
	}
	return all;
}

enum err
conf_load(struct arena *a, const struct shape *s, unsigned need, const char *file, void *out,
	  struct conf_origin *origin_r, const char **why_r)
{
	struct env_line *lines;

	shape_clear(s, out);
	if (read_file(a, file, &lines, why_r) != OK)
		return E_INVALID;
	origin_r->strangers = strangers(a, s, lines);
	for (const struct field *f = s->field; f->name != NULL; f++) {
		enum conf_source *from = &origin_r->of[f - s->field];
		const char *value = find(f, lines, from);

		if (value == NULL && (f->need & need) == 0)
			continue;
		if (value == NULL || field_parse(a, f, out, value) != MSG_OK) {
			*why_r = conf_complaint(a, f, value);
			return E_INVALID;
		}
		if (f->secret && *from == FROM_ENVIRONMENT)
			explicit_bzero((char *)(uintptr_t)value,
				       strlen(value)); /* and out of /proc */
	}
	return OK;
}

void
conf_print(struct buf *b, const struct shape *s, const void *conf, const struct conf_origin *origin)
{
	static const char *const WORDS[] = { "default", ".env", "environment", "not set" };

	for (const struct field *f = s->field; f->name != NULL; f++) {
		enum conf_source from = origin->of[f - s->field];
		struct buf value = buf_new(b->arena, 64);

		if (from == FROM_NOWHERE)
			buf_lit(&value, "");
		else if (f->secret)
			buf_lit(&value, "***");
		else if (f->kind == K_TEXT)
			buf_text(&value, field_text(f, conf));
		else
			field_print(&value, f, conf);
		buf_printf(b, "%-26s %-40s # %s\n", f->name, value.text, WORDS[from]);
	}
}

void
conf_manual(struct buf *b, const struct shape *s)
{
	buf_lit(b, "| setting | default | allowed | what it is |\n|---|---|---|---|\n");
	for (const struct field *f = s->field; f->name != NULL; f++) {
		const char *none = f->need != 0 ? "required" : "none";

		buf_printf(b, "| `%s` | %s%s%s | %s | %s |\n", f->name, f->def ? "`" : "",
			   f->def ? f->def : none, f->def ? "`" : "", conf_allowed(b->arena, f),
			   f->help);
	}
}
