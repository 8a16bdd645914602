/* route: which row a path and a method find, and what a path allows. */
#include "route.h"

#include "tap.h"

static const struct {
	const char *path, *allowed; /* NULL: there is no such path */
} PATHS[] = {
	{ "/api/v1/users", "GET, HEAD, POST" },
	{ "/api/v1/users/", "GET, HEAD, POST" },
	{ "/api/v1/users/1", "GET, HEAD, PATCH, PUT, DELETE" },
	{ "/api/v1/users/1/", "GET, HEAD, PATCH, PUT, DELETE" },
	{ "/api/v1/users/x", "GET, HEAD, PATCH, PUT, DELETE" }, /* 422, by the number */
	{ "/api/v1/users/me", "GET, HEAD" },
	{ "/api/v1/users/me/", "GET, HEAD" },
	{ "/api/v1/users/search", "GET, HEAD" },
	{ "/api/v1/users/search/events", NULL },
	{ "/api/v1/users/mex", "GET, HEAD, PATCH, PUT, DELETE" },
	{ "/api/v1/users/1/events", "GET, HEAD" },
	{ "/api/v1/users/1/events/", "GET, HEAD" },
	{ "/api/v1/users/1/activities/", "GET, HEAD, POST" },
	{ "/api/v1/users/me/events", NULL },
	{ "/api/v1/users/1/eventsx", NULL },
	{ "/api/v1/events/", "GET, HEAD, POST" },
	{ "/api/v1/auth/login", "POST" },
	{ "/api/v1/auth/refresh", "POST" },
	{ "/api/v1/auth/sessions/", "GET, HEAD" },
	{ "/api/v1/auth/sessions/7", "DELETE" },
	{ "/api/v1/auth/token", "POST" },
	{ "/healthz", "GET, HEAD" },
	{ "/readyz", "GET, HEAD" },
	{ "", NULL },
	{ "/", NULL },
	{ "//", NULL },
	{ "/api/v1", NULL },
	{ "/api/v1/user", NULL },
	{ "/api/v1/userss", NULL },
	{ "/api/v1/users//", NULL },
	{ "/api/v1//users", NULL },
	{ "/api/v1/users/1//", NULL },
	{ "/api/v1/users/1/x", NULL },
	{ "/api/v1/users/{id}/", "GET, HEAD, PATCH, PUT, DELETE" },
	{ "/API/v1/users", NULL },
	{ "/api/v1/users?skip=1", NULL },
	{ "/api/v1/users%2F1", NULL },
	{ "/api/v1/auth/login/x", NULL },
	{ "/healthz/x", NULL },
	{ "/healthzz", NULL },
	{ "healthz", NULL },
	{ "*", NULL },
};

static const struct {
	const char *method, *path;
	enum err e;
	const char *row; /* of the table */
	int64_t id;
} REQUESTS[] = {
	{ "GET", "/api/v1/users/7", OK, "/api/v1/users/{id}", 7 },
	{ "HEAD", "/api/v1/users/7", OK, "/api/v1/users/{id}", 7 },
	{ "DELETE", "/api/v1/users/9223372036854775807/", OK, "/api/v1/users/{id}", INT64_MAX },
	{ "GET", "/api/v1/users/9223372036854775808", OK, "/api/v1/users/{id}", 0 },
	{ "GET", "/api/v1/users/0", OK, "/api/v1/users/{id}", 0 },
	{ "GET", "/api/v1/users/-1", OK, "/api/v1/users/{id}", 0 },
	{ "GET", "/api/v1/users/01", OK, "/api/v1/users/{id}", 0 },
	{ "GET", "/api/v1/users/%31", OK, "/api/v1/users/{id}", 0 },
	{ "GET", "/api/v1/users/1.json", OK, "/api/v1/users/{id}", 0 },
	{ "GET", "/api/v1/users/me", OK, "/api/v1/users/me", 0 },
	{ "GET", "/api/v1/users", OK, "/api/v1/users", 0 },
	{ "POST", "/api/v1/users/", OK, "/api/v1/users", 0 },
	{ "DELETE", "/api/v1/users/me", E_METHOD, NULL, 0 },
	{ "POST", "/api/v1/users/7", E_METHOD, NULL, 0 },
	{ "get", "/api/v1/users/7", E_METHOD, NULL, 0 },
	{ "", "/healthz", E_METHOD, NULL, 0 },
	{ "TRACE", "/healthz", E_METHOD, NULL, 0 },
	{ "GET", "/nothing", E_NO_ROUTE, NULL, 0 },
	{ "GET", "", E_NO_ROUTE, NULL, 0 },
};

static void
test_rows(void)
{
	for (int i = 0; i < ROUTE_COUNT; i++) {
		const struct route *r = &ROUTES[i];

		ok(r->path[0] == '/' && r->path[strlen(r->path) - 1] != '/',
		   "%s %s: a path from the root", r->method, r->path);
		ok(r->serve != NULL && r->help != NULL, "%s %s: a handler and a sentence",
		   r->method, r->path);
		ok((r->who == SELF) <= route_names_id(r), "%s %s: whose it is stands in the path",
		   r->method, r->path);
		ok((r->carries != NULL) == (r->use != 0), "%s %s: a body has its rows", r->method,
		   r->path);
		ok(r->gives.status >= 200 && r->gives.status < 300 &&
			   (r->gives.status == 204) ==
				   (r->gives.shape == NULL && r->gives.media == NULL),
		   "%s %s: the manual knows what it gives", r->method, r->path);
		is_int(route_index(r), i, "a row knows its number");
	}
}

int
main(void)
{
	struct arena *a = arena_new(4096);

	for (size_t i = 0; i < NELEM(PATHS); i++)
		is_text(route_allowed(a, PATHS[i].path), PATHS[i].allowed, PATHS[i].path);
	for (size_t i = 0; i < NELEM(REQUESTS); i++) {
		struct req rq = { .arena = a,
				  .head = { .method = REQUESTS[i].method,
					    .path = REQUESTS[i].path } };
		enum err e = route_find(&rq);

		ok(e == REQUESTS[i].e, "%s %s: %s", REQUESTS[i].method, REQUESTS[i].path,
		   REQUESTS[i].e == OK ? "found" : err_row(REQUESTS[i].e)->name);
		is_text(rq.route == NULL ? NULL : rq.route->path, REQUESTS[i].row, "by this row");
		is_int(rq.id, REQUESTS[i].id, "with this number");
	}
	test_rows();
	arena_free(&a);
	return tap_end();
}
