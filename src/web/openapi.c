/*
 * openapi: a walk along the routes. What several calls share (headers, parameters, bodies,
 * refusals) stands once, under components, and is referred to.
 */
#include "openapi.h"

#include <string.h>

#include "err.h"
#include "msg.h"

#include "dialect.h"
#include "implied.h"
#include "reply.h"
#include "route.h"
#include "schema.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

#define JSON_TYPE "application/json"
#define TEXT_TYPE(words) "{\"type\":\"string\",\"description\":\"" words "\"}"

/* What nginx answers by itself, whatever the call. */
static const struct {
	int status;
	enum err e;
} FRONT[] = {
	{ 414, E_URI_TOO_LONG },
	{ 431, E_TOO_LARGE },
	{ 502, E_UNAVAILABLE },
	{ 504, E_TIMEOUT },
};

/*
 * Parameters and headers
 */

static void
put_ref(struct buf *b, const char *section, const char *name)
{
	buf_printf(b, "{\"$ref\":\"#/components/%s/%s\"}", section, name);
}

static void
put_headers(struct buf *b, const struct route *r, int status)
{
	buf_key(b, "headers");
	buf_char(b, '{');
	for (const struct implied_header *h = IMPLIED_HEADERS; h->name != NULL; h++) {
		if (!h->of(r, status))
			continue;
		buf_key(b, h->name);
		put_ref(b, "headers", h->name);
	}
	buf_char(b, '}');
}

static void
put_path_parameter(struct buf *b, const struct route *r)
{
	buf_item(b);
	if ((r->traits & NAMES_UUID) != 0) {
		buf_lit(b,
			"{\"name\":\"id\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":"
			"\"string\",\"format\":\"uuid\"}}");
		return;
	}
	buf_lit(b, "{\"name\":\"id\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":"
		   "\"integer\",\"format\":\"int64\",\"minimum\":1,\"maximum\":");
	buf_int(b, INT64_MAX);
	buf_lit(b, "},\"example\":1}");
}

static void
put_query_parameters(struct buf *b, const struct route *r)
{
	for (const struct field *f = r->query == NULL ? NULL : r->query->field;
	     f != NULL && f->name != NULL; f++) {
		buf_item(b);
		buf_lit(b, "{\"name\":");
		buf_json(b, f->name);
		buf_printf(b, ",\"in\":\"query\",\"required\":%s,\"description\":",
			   f->need != 0 ? "true" : "false");
		buf_json(b, f->help == NULL ? "" : f->help);
		buf_key(b, "schema");
		schema_print_field(b, f);
		buf_char(b, '}');
	}
}

static void
put_parameters(struct buf *b, const struct route *r)
{
	buf_key(b, "parameters");
	buf_char(b, '[');
	if (route_names_id(r))
		put_path_parameter(b, r);
	put_query_parameters(b, r);
	for (const struct implied_parameter *p = IMPLIED_PARAMETERS; p->name != NULL; p++) {
		if (!p->of(r))
			continue;
		buf_item(b);
		put_ref(b, "parameters", p->name);
	}
	buf_char(b, ']');
}

/*
 * Bodies
 */

/* A form of OAuth 2 may bear more than we know (RFC 6749, 3.2). */
static struct body
body_in(const struct route *r)
{
	return (struct body){
		.shape = r->carries, .use = r->use, .in = true, .open = dialect_of(r) != &JSON
	};
}

static struct body
body_out(const struct route *r)
{
	return (struct body){ .shape = r->gives.shape,
			      .use = r->gives.use,
			      .maybe = r->gives.maybe };
}

static void
put_media(struct buf *b, const char *type, const struct body *body, bool list)
{
	const char *name = schema_name(b->arena, body);

	buf_key(b, type);
	buf_text(b, list ? "{\"schema\":{\"type\":\"array\",\"items\":" : "{\"schema\":");
	put_ref(b, "schemas", name);
	buf_text(b, list ? "}}" : "}");
}

static void
put_request_body(struct buf *b, const struct route *r)
{
	struct body in = body_in(r);

	buf_lit(b, ",\"requestBody\":{\"required\":true,\"content\":{");
	put_media(b, dialect_of(r)->types[0], &in, false);
	if (strcmp(r->method, "PATCH") == 0)
		put_media(b, "application/merge-patch+json", &in, false);
	buf_lit(b, "}}");
}

static void
put_content(struct buf *b, const struct route *r)
{
	struct body out = body_out(r);

	if (out.shape != NULL)
		put_media(b, JSON_TYPE, &out, (r->traits & GIVES_LIST) != 0);
	else
		buf_printf(b, "\"%s\":{}", r->gives.media);
}

/*
 * Answers
 */

/* The codes of this status that the route gives, one behind the other: the name of what it
 * shares with others. "" for none. */
static const char *
codes(struct arena *a, const struct route *r, int status)
{
	struct buf b = buf_new(a, 64);

	for (enum err e = OK + 1; e < ERR_COUNT; e++) {
		if (err_row(e)->http != status || !implied_error(r, e))
			continue;
		buf_text(&b, b.len > 0 ? "." : "");
		buf_text(&b, err_row(e)->code);
	}
	return b.text;
}

static void
put_success(struct buf *b, const struct route *r, int status, const char *what)
{
	buf_key(b, arena_printf(b->arena, "%d", status));
	buf_lit(b, "{\"description\":");
	buf_json(b, what);
	put_headers(b, r, status);
	if (status != 204 && status != 304) {
		buf_lit(b, ",\"content\":{");
		put_content(b, r);
		buf_char(b, '}');
	}
	buf_char(b, '}');
}

static bool
is_first_of_status(enum err e)
{
	return e == OK + 1 || err_row(e)->http != err_row(e - 1)->http;
}

/* In a dialect of their own. Before a body is read, and from nginx, they come as problems too. */
static void
put_own_refusals(struct buf *b, const struct route *r, const struct dialect *d)
{
	struct body refusal = { .shape = d->refusal, .use = SHOWN };

	for (const int *status = d->statuses; *status != 0; status++) {
		buf_key(b, arena_printf(b->arena, "%d", *status));
		buf_lit(b, "{\"description\":");
		buf_json(b, reply_phrase(*status));
		put_headers(b, r, *status);
		buf_lit(b, ",\"content\":{");
		put_media(b, JSON_TYPE, &refusal, false);
		buf_lit(b, ",\"application/problem+json\":{\"schema\":"
			   "{\"$ref\":\"#/components/schemas/Problem\"}}}}");
	}
	buf_key(b, "413");
	put_ref(b, "responses", err_row(E_TOO_LARGE)->code);
}

static void
put_problems(struct buf *b, const struct route *r)
{
	for (enum err e = OK + 1; e < ERR_COUNT; e++) {
		int status = err_row(e)->http;
		const char *name = codes(b->arena, r, status);

		if (!is_first_of_status(e) || *name == '\0')
			continue;
		buf_key(b, arena_printf(b->arena, "%d", status));
		put_ref(b, "responses", name);
	}
}

static void
put_refusals(struct buf *b, const struct route *r)
{
	const struct dialect *d = dialect_of(r);

	if (d->refusal != NULL)
		put_own_refusals(b, r, d);
	else
		put_problems(b, r);
	for (size_t i = 0; i < NELEM(FRONT); i++) {
		const char *status = arena_printf(b->arena, "%d", FRONT[i].status);

		buf_key(b, status);
		put_ref(b, "responses", status);
	}
}

static void
put_answers(struct buf *b, const struct route *r)
{
	buf_lit(b, ",\"responses\":{");
	put_success(b, r, r->gives.status, r->help);
	if ((r->traits & TAKES_PREFER) != 0)
		put_success(b, r, 202, "it is safe, and will be done");
	if (implied_cacheable(r))
		put_success(b, r, 304, "the version is still the one");
	if ((r->traits & GIVES_AT_503) != 0)
		put_success(b, r, 503, "not all is well");
	put_refusals(b, r);
	buf_char(b, '}');
}

/*
 * Calls
 */

/* The first word of the path behind the version, which is what it is about. */
static const char *
tag(struct arena *a, const char *path)
{
	bool ours = strncmp(path, "/api/v1/", 8) == 0;

	return ours ? arena_textn(a, path + 8, strcspn(path + 8, "/")) : "operation";
}

/* "get_users_id" */
static const char *
operation_id(struct arena *a, const struct route *r)
{
	struct buf b = buf_new(a, 48);
	const char *path = r->path + (strncmp(r->path, "/api/v1", 7) == 0 ? 7 : 0);

	for (const char *p = r->method; *p != '\0'; p++)
		buf_char(&b, (char)(*p + 'a' - 'A'));
	for (; *path != '\0'; path++) {
		if (strchr("{}", *path) == NULL)
			buf_char(&b, strchr("/-.", *path) == NULL ? *path : '_');
	}
	return b.text;
}

static void
put_method(struct buf *b, const char *method)
{
	char *key = arena_text(b->arena, method);

	for (char *p = key; *p != '\0'; p++)
		*p = (char)(*p + 'a' - 'A');
	buf_key(b, key);
}

static void
put_call(struct buf *b, const struct route *r)
{
	put_method(b, r->method);
	buf_lit(b, "{\"operationId\":");
	buf_json(b, operation_id(b->arena, r));
	buf_lit(b, ",\"tags\":[");
	buf_json(b, tag(b->arena, r->path));
	buf_lit(b, "],\"summary\":");
	buf_json(b, r->help);
	buf_lit(b, ",\"description\":");
	buf_json(b, arena_printf(b->arena, "Who may: %s.", route_who(r)));
	buf_text(b, r->who == ANYONE ? ",\"security\":[]" : "");
	put_parameters(b, r);
	if (r->carries != NULL)
		put_request_body(b, r);
	put_answers(b, r);
	buf_char(b, '}');
}

/* The calls of one path stand together, at the place of the first. */
static bool
is_first_of_path(const struct route *r)
{
	for (const struct route *other = ROUTES; other < r; other++) {
		if (strcmp(other->path, r->path) == 0)
			return false;
	}
	return true;
}

static void
put_paths(struct buf *b)
{
	buf_lit(b, ",\"paths\":{");
	for (int i = 0; i < ROUTE_COUNT; i++) {
		if (!is_first_of_path(&ROUTES[i]))
			continue;
		buf_key(b, ROUTES[i].path);
		buf_char(b, '{');
		for (int k = i; k < ROUTE_COUNT; k++) {
			if (strcmp(ROUTES[k].path, ROUTES[i].path) == 0)
				put_call(b, &ROUTES[k]);
		}
		buf_char(b, '}');
	}
	buf_char(b, '}');
}

/*
 * What is shared
 */

/* Each name once: `seen` grows, "\nname\n". */
static bool
is_new(struct buf *seen, const char *name)
{
	const char *line = arena_printf(seen->arena, "\n%s\n", name);

	if (strstr(seen->text, line) != NULL)
		return false;
	buf_text(seen, line);
	return true;
}

static void
put_schema(struct buf *b, struct buf *seen, const struct body *body)
{
	const char *name;

	if (body->shape == NULL)
		return;
	name = schema_name(b->arena, body);
	if (!is_new(seen, name))
		return;
	buf_key(b, name);
	schema_print(b, body);
}

static void
put_all_codes(struct buf *b)
{
	struct buf seen = buf_new(b->arena, 512);

	buf_lit(b, "{\"type\":\"string\",\"enum\":[");
	for (enum err e = OK + 1; e < ERR_COUNT; e++) {
		if (!is_new(&seen, err_row(e)->code))
			continue;
		buf_item(b);
		buf_json(b, err_row(e)->code);
	}
	buf_lit(b, "]}");
}

static void
put_fault_types(struct buf *b)
{
	struct buf seen = buf_new(b->arena, 512);

	buf_lit(b, "{\"type\":\"string\",\"enum\":[");
	for (enum msg m = MSG_OK + 1; m < MSG_COUNT; m++) {
		if (!is_new(&seen, msg_type(m)))
			continue;
		buf_item(b);
		buf_json(b, msg_type(m));
	}
	buf_lit(b, "]}");
}

static void
put_problem_schema(struct buf *b)
{
	buf_key(b, "Problem");
	buf_lit(b, "{\"type\":\"object\",\"description\":\"RFC 9457\",\"properties\":{"
		   "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
		   "\"status\":{\"type\":\"integer\"},"
		   "\"detail\":" TEXT_TYPE("in English or Korean") ",\"code\":");
	put_all_codes(b);
	buf_lit(b,
		",\"request_id\":{\"type\":\"string\"},"
		"\"errors\":{\"type\":\"array\",\"description\":\"of a 422: every value that"
		" is wrong; of a body that is malformed: why and where\",\"items\":{\"type\":\"object\",\"properties\":{"
		"\"loc\":{\"type\":\"array\",\"description\":\"where: query, body or path, which,"
		" and of a list which item, from 0\",\"items\":{\"type\":[\"string\",\"integer\"]}},"
		"\"msg\":{\"type\":\"string\"},\"type\":");
	put_fault_types(b);
	buf_lit(b, ",\"line\":{\"type\":\"integer\",\"description\":\"of a malformed body: where"
		   " reading stopped, from 1\"},\"column\":{\"type\":\"integer\"}"
		   "},\"required\":[\"loc\",\"msg\",\"type\"]}}},\"required\":[\"type\",\"title\","
		   "\"status\",\"detail\",\"code\",\"request_id\"]}");
}

static void
put_schemas(struct buf *b)
{
	struct buf seen = buf_new(b->arena, 1024);

	buf_lit(b, "\"schemas\":{");
	put_problem_schema(b);
	for (int i = 0; i < ROUTE_COUNT; i++) {
		struct body in = body_in(&ROUTES[i]), out = body_out(&ROUTES[i]);

		put_schema(b, &seen, &in);
		put_schema(b, &seen, &out);
		put_schema(b, &seen,
			   &(struct body){ .shape = dialect_of(&ROUTES[i])->refusal,
					   .use = SHOWN });
	}
	buf_char(b, '}');
}

static void
put_shared_parameters(struct buf *b)
{
	buf_lit(b, ",\"parameters\":{");
	for (const struct implied_parameter *p = IMPLIED_PARAMETERS; p->name != NULL; p++) {
		buf_key(b, p->name);
		buf_printf(b,
			   "{\"name\":\"%s\",\"in\":\"header\",\"description\":\"%s\","
			   "\"schema\":{\"type\":\"string\"}}",
			   p->name, p->help);
	}
	buf_lit(b, "},\"headers\":{");
	for (const struct implied_header *h = IMPLIED_HEADERS; h->name != NULL; h++) {
		buf_key(b, h->name);
		buf_printf(b, "{\"schema\":%s}", h->schema);
	}
	buf_char(b, '}');
}

/* A problem document that bears one of `codes`, "a.b". */
static void
put_response(struct buf *b, int status, const char *all_codes, const char *text)
{
	static const struct route ANY = { .path = "" };
	const char *first = arena_textn(b->arena, all_codes, strcspn(all_codes, "."));

	buf_lit(b, "{\"description\":");
	buf_json(b, text);
	put_headers(b, &ANY, status);
	buf_lit(b, ",\"content\":{\"application/problem+json\":{\"schema\":{\"allOf\":["
		   "{\"$ref\":\"#/components/schemas/Problem\"},{\"properties\":{\"code\":{"
		   "\"enum\":[\"");
	for (const char *p = all_codes; *p != '\0'; p++)
		*p == '.' ? buf_lit(b, "\",\"") : buf_char(b, *p);
	buf_printf(b,
		   "\"]}}}]},\"example\":{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,"
		   "\"detail\":\"%s\",\"code\":\"%s\",\"request_id\":\"checkout-17\"%s}}}}",
		   reply_phrase(status), status, text, first,
		   status == 422 ? ",\"errors\":[{\"loc\":[\"body\",\"age\"],\"msg\":\"The age must"
				   " be between 0 and 150\",\"type\":\"out_of_range\"}]"
				 : "");
}

static void
put_responses_of(struct buf *b, struct buf *seen, const struct route *r)
{
	for (enum err e = OK + 1; e < ERR_COUNT; e++) {
		const char *name = codes(b->arena, r, err_row(e)->http);

		if (!implied_error(r, e) || !is_new(seen, name))
			continue;
		buf_key(b, name);
		put_response(b, err_row(e)->http, name, err_row(e)->en);
	}
}

static void
put_responses(struct buf *b)
{
	struct buf seen = buf_new(b->arena, 1024);

	buf_lit(b, ",\"responses\":{");
	for (int i = 0; i < ROUTE_COUNT; i++)
		put_responses_of(b, &seen, &ROUTES[i]);
	for (size_t i = 0; i < NELEM(FRONT); i++) {
		buf_key(b, arena_printf(b->arena, "%d", FRONT[i].status));
		put_response(b, FRONT[i].status, err_row(FRONT[i].e)->code,
			     err_row(FRONT[i].e)->en);
	}
	buf_char(b, '}');
}

static const char HEAD[] =
	"{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"usher\",\"version\":\"" PACKAGE_VERSION "\","
	"\"description\":\"User accounts and authentication. Errors are problem documents (RFC"
	" 9457); every GET answers HEAD too.\"},\"servers\":[{\"url\":\"/\"}],"
	"\"security\":[{\"bearer\":[]},{\"password\":[]}]";

static const char SECURITY[] =
	",\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\","
	"\"bearerFormat\":\"JWT\"},\"password\":{\"type\":\"oauth2\",\"flows\":{\"password\":{"
	"\"tokenUrl\":\"/api/v1/auth/token\",\"refreshUrl\":\"/api/v1/auth/token\","
	"\"scopes\":{}}}}}}}";

void
openapi_print(struct buf *b)
{
	buf_text(b, HEAD);
	put_paths(b);
	buf_lit(b, ",\"components\":{");
	put_schemas(b);
	put_shared_parameters(b);
	put_responses(b);
	buf_text(b, SECURITY);
}
