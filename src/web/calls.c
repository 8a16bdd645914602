/* calls: one row of Markdown for each row of the route table. */
#include "calls.h"

#include <string.h>

#include "dialect.h"
#include "openapi.h"
#include "route.h"
#include "schema.h"

static bool
in_example(const struct field *f, unsigned use)
{
	if ((f->use & use) == 0 || f->example == NULL)
		return false;
	/* a change shows what may be emptied; all else what it can't do without */
	return (use & IN_CHANGE) != 0 ? f->nullable : (f->need & use) != 0;
}

static void
put_example_body(struct buf *b, const struct route *r)
{
	buf_char(b, '{');
	for (const struct field *f = r->carries->field; f->name != NULL; f++) {
		if (!in_example(f, r->use))
			continue;
		buf_key(b, f->name);
		schema_print_example(b, f);
	}
	buf_char(b, '}');
}

/* As of a form, whose example may have what it can do without. */
static void
put_example_form(struct buf *b, const struct route *r)
{
	for (const struct field *f = r->carries->field; f->name != NULL; f++) {
		if ((f->use & r->use) != 0 && f->example != NULL)
			buf_printf(b, " --data-urlencode '%s=%s'", f->name, f->example);
	}
}

static bool
wants_query(const struct route *r)
{
	for (const struct field *f = r->query == NULL ? NULL : r->query->field;
	     f != NULL && f->name != NULL; f++) {
		if (f->need != 0)
			return true;
	}
	return false;
}

static void
put_example_query(struct buf *b, const struct route *r)
{
	for (const struct field *f = r->query->field; f->name != NULL; f++) {
		if (f->need != 0)
			buf_printf(b, " --data-urlencode '%s=%s'", f->name, f->example);
	}
}

/* Which variable of the example bears the {id}. */
static const char *
id_variable(const char *path)
{
	return strstr(path, "/sessions/") != NULL ? "SESSION"
	       : strstr(path, "/sagas/") != NULL  ? "SAGA"
						  : "ID";
}

static void
put_url(struct buf *b, const char *path)
{
	const char *brace = strchr(path, '{');

	buf_lit(b, " \"$U");
	if (brace == NULL)
		buf_text(b, path);
	else
		buf_printf(b, "%.*s$%s%s", (int)(brace - path), path, id_variable(path),
			   strchr(brace, '}') + 1);
	buf_char(b, '"');
}

static void
put_curl(struct buf *b, const struct route *r)
{
	bool plain = strcmp(r->method, "GET") == 0 ||
		     (strcmp(r->method, "POST") == 0 && r->carries != NULL);

	buf_lit(b, "curl -s");
	if (!plain)
		buf_printf(b, " -X %s", r->method);
	if (wants_query(r))
		buf_lit(b, " -G");
	put_url(b, r->path);
	if (r->who == AN_ADMIN || (r->traits & TRIED_BY_ADMIN) != 0)
		buf_lit(b, " -H \"$ADMIN\"");
	else if (r->who != ANYONE)
		buf_lit(b, " -H \"$A\"");
	if (wants_query(r))
		put_example_query(b, r);
	if (r->carries == NULL)
		return;
	if (dialect_of(r) != &JSON) {
		put_example_form(b, r);
		return;
	}
	buf_lit(b, " -H \"$J\" -d '");
	put_example_body(b, r);
	buf_char(b, '\'');
}

static void
put_query_names(struct buf *b, const struct shape *query)
{
	const char *before = ": ";

	for (const struct field *f = query->field; f->name != NULL; f++, before = ", ")
		buf_printf(b, "%s`%s`", before, f->name);
}

void
calls_print(struct buf *b)
{
	buf_lit(b, "| call | who | what | try it |\n|---|---|---|---|\n");
	for (int i = 0; i < ROUTE_COUNT; i++) {
		const struct route *r = &ROUTES[i];

		buf_printf(b, "| `%s %s` | %s | %s", r->method, r->path, route_who(r), r->help);
		if (r->query != NULL)
			put_query_names(b, r->query);
		buf_lit(b, " | `");
		put_curl(b, r);
		buf_lit(b, "` |\n");
	}
}
