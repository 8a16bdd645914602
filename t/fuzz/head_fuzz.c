/*
 * What stands before a body: method, path and query in the first line, then Accept-Language,
 * an entity tag list and Authorization, a line each.
 */
#include "fuzz.h"

#include "directory.h"
#include "etag.h"
#include "query.h"
#include "reply.h"
#include "route.h"
#include "settings.h"
#include "token.h"

static const struct settings SETTINGS_USED = { .cors_allow_origins = "*",
					       .default_language = "en" };

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	reply_init(&SETTINGS_USED);
	return 0;
}

/* The way of the gate: a row for the path and method, or why not. */
static void
find_row(struct arena *a, const char *method, const char *path)
{
	struct req rq = { .arena = a, .head = { .method = method, .path = path } };
	const char *allowed = route_allowed(a, path);
	enum err e = route_find(&rq);

	DEMAND((e == E_NO_ROUTE) == (allowed == NULL));
	DEMAND(e == OK || e == E_NO_ROUTE || e == E_METHOD);
	DEMAND((e == OK) == (rq.route != NULL) && rq.id >= 0);
	DEMAND(rq.id == 0 || route_names_id(rq.route));
}

static void
read_query(struct arena *a, const char *query)
{
	struct faults fs = { 0 }, none = { 0 };
	struct user_list l;
	enum err e = query_read(a, &USER_LIST, query, &l, &fs);

	DEMAND((e == OK) == (fs.n == 0));
	DEMAND(l.skip >= 0 && l.limit >= 1 && l.limit <= 1000);
	DEMAND(l.status == NULL || text_among(l.status, "active inactive"));
	fuzz_faults(a, &fs);
	e = query_read(a, NULL, query, NULL, &none);
	DEMAND((e == OK) == (strspn(query, "&") == strlen(query)));
}

static void
read_tags(const char *list)
{
	size_t most = strlen(list) + 1;
	struct etag tag;

	while (etag_next(&list, &tag)) {
		DEMAND(tag.version >= 0);
		DEMAND(most-- > 0); /* it comes to an end */
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(0);
	const char *text = fuzz_text(a, data, size), *first = fuzz_line(a, &text), *token = "";
	size_t method = strcspn(first, " "), path;
	const char *uri = first + method + (first[method] == ' ');

	path = strcspn(uri, "?");
	find_row(a, arena_textn(a, first, method), arena_textn(a, uri, path));
	read_query(a, arena_text(a, uri + path + (uri[path] == '?')));
	DEMAND(reply_language(fuzz_line(a, &text)) < LANG_COUNT);
	read_tags(fuzz_line(a, &text));
	if (token_bearer(fuzz_line(a, &text), &token) == OK)
		DEMAND(*token != '\0' && strpbrk(token, " ,\t") == NULL);
	arena_free(&a);
	return 0;
}
