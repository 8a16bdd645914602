/* route: the table, and finding a row in it. */
#include "route.h"

#include <assert.h>
#include <string.h>

#include "metric.h"
#include "text.h"

#include "account.h"
#include "activity.h"
#include "auth.h"
#include "directory.h"
#include "profile.h"
#include "replay.h"
#include "saga.h"
#include "search.h"
#include "session.h"
#include "stats.h"
#include "stream.h"

#include "dialect.h"
#include "handlers.h"
#include "oauth.h"

#define API "/api/v1"

/* The last columns may be left out. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
/* clang-format off */
const struct route ROUTES[] = {
	/* method  path                handler       who       asks         carries    use              query */
	{ "GET",    API "/users/{id}", get_user,     SELF,     ASK_PAGE,    NULL,      0,               NULL,
	  "one user, from the cache",
	  .gives = { 200, &USER, SHOWN } },
	{ "GET",    API "/users/me",   get_user,     A_USER,   ASK_PAGE,    NULL,      0,               NULL,
	  "the token's own user",
	  .gives = { 200, &USER, SHOWN }, .errors = ERRORS(E_NOT_FOUND) },
	{ "PATCH",  API "/users/{id}", patch_user,   SELF,     ASK_PAGE_TO_CHANGE, &USER, IN_CHANGE | BY_ADMIN, NULL,
	  "change some fields; null empties one; status and role by an admin only",
	  .gives = { 200, &USER, SHOWN }, .traits = GIVES_ETAG | TAKES_MATCH | TAKES_PREFER, .errors = ERRORS(E_EMAIL_TAKEN, E_LAST_ADMIN, E_LIMITED) },
	{ "PUT",    API "/users/{id}", put_user,     SELF,     ASK_NOTHING, &USER,     IN_REPLACE | BY_ADMIN, NULL,
	  "replace the fields: what is left out is emptied",
	  .gives = { 200, &USER, SHOWN }, .traits = GIVES_ETAG | TAKES_MATCH, .errors = ERRORS(E_EMAIL_TAKEN, E_LAST_ADMIN, E_LIMITED) },
	{ "GET",    API "/users",      get_users,    AN_ADMIN, ASK_NOTHING, NULL,      0,               &USER_LIST,
	  "list users, by pages that Link leads to",
	  .gives = { 200, &USER, SHOWN, WITH_ACTIVITIES }, .traits = GIVES_LIST },
	{ "GET",    API "/users/search", search_user, AN_ADMIN, ASK_NOTHING, NULL,     0,               &SEARCH,
	  "find users by a piece of name, nickname or, with @, address; the best first",
	  .gives = { 200, &USER, SHOWN }, .traits = GIVES_LIST },
	{ "POST",   API "/users",      post_user,    ANYONE,   COUNT_SIGNUP, &USER,     IN_CREATE,       NULL,
	  "sign up",
	  .gives = { 201, &USER, SHOWN }, .traits = GIVES_ETAG | GIVES_LOCATION | TAKES_KEY, .errors = ERRORS(E_EMAIL_TAKEN) },
	{ "POST",   API "/users/with-profile", post_user_with_profile, ANYONE, COUNT_SIGNUP, &USER, IN_CREATE | WITH_PROFILE, NULL,
	  "sign up, with a profile: both or neither",
	  .gives = { 201, &USER_WITH_PROFILE, SHOWN }, .traits = GIVES_ETAG | GIVES_LOCATION | TAKES_KEY, .errors = ERRORS(E_EMAIL_TAKEN) },
	{ "GET",    API "/sagas/{id}", get_saga,     WHO_BEGAN, ASK_NOTHING, NULL,     0,               NULL,
	  "how far a sign-up with a profile has come",
	  .gives = { 200, &SAGA, SHOWN }, .traits = NAMES_UUID, .errors = ERRORS(E_NO_SAGA) },
	{ "POST",   API "/auth/login", post_login,   ANYONE,   COUNT_LOGIN, &SIGN_IN,  IN_CREATE,       NULL,
	  "log in",
	  .gives = { 200, &GRANT, SHOWN }, .errors = ERRORS(E_DENIED) },
	{ "POST",   API "/auth/verify-email", post_verify_email, ANYONE, ASK_NOTHING, &PROOF, IN_CREATE, NULL,
	  "prove an address with the token that was sent to it",
	  .gives = { 204 } },
	{ "POST",   API "/auth/password/forgot", post_password_forgot, ANYONE, ASK_NOTHING, &FORGOTTEN, IN_CREATE, NULL,
	  "ask for a mail with a token to set a new password, known address or not",
	  .gives = { 202, &ACCEPTED, SHOWN }, .errors = ERRORS(E_LIMITED) },
	{ "POST",   API "/auth/password/reset", post_password_reset, ANYONE, ASK_NOTHING, &PASSWORD_RESET, IN_CREATE, NULL,
	  "set a new password with the token of that mail; all sessions end",
	  .gives = { 204 }, .errors = ERRORS(E_LIMITED) },
	{ "GET",    API "/users/{id}/activities", get_activities, SELF, ASK_NOTHING, NULL, 0, &ACTIVITY_QUERY,
	  "what a user did, newest first",
	  .gives = { 200, &ACTIVITY, SHOWN }, .traits = GIVES_LIST },
	{ "POST",   API "/users/{id}/activities", post_activity, SELF, ASK_NOTHING, &ACTIVITY, IN_CREATE, NULL,
	  "note that a user did something",
	  .gives = { 201, &ACTIVITY, SHOWN }, .traits = TAKES_KEY },
	{ "PUT",    API "/users/{id}/profile", put_profile, SELF, ASK_NOTHING, &PROFILE, IN_REPLACE, NULL,
	  "replace the profile: what is left out is emptied",
	  .gives = { 200, &PROFILE, SHOWN } },
	{ "GET",    API "/users/{id}/profile", get_profile, SELF, ASK_NOTHING, NULL, 0, NULL,
	  "what a user says of itself",
	  .gives = { 200, &PROFILE, SHOWN }, .errors = ERRORS(E_NO_PROFILE) },
	{ "GET",    API "/users/{id}/events", get_user_events, SELF, ASK_NOTHING, NULL, 0, &USER_STREAM_QUERY,
	  "what happened to one user",
	  .gives = { 200, &STORED_EVENT, SHOWN }, .traits = GIVES_LIST },
	{ "GET",    API "/users/{id}/state", get_user_state, AN_ADMIN, ASK_NOTHING, NULL, 0, &MOMENT,
	  "a user rebuilt from its events, as it was then or is now; one since deleted too",
	  .gives = { 200, &USER, SHOWN }, .traits = GIVES_ETAG },
	{ "GET",    API "/events",     get_events,   AN_ADMIN, ASK_NOTHING, NULL,      0,               &STREAM_QUERY,
	  "the event store, in order",
	  .gives = { 200, &STORED_EVENT, SHOWN }, .traits = GIVES_LIST },
	{ "POST",   API "/events",     post_event,   A_USER,   ASK_NOTHING, &POSTED,   IN_CREATE,       NULL,
	  "an event of the caller's own",
	  .gives = { 202, &RECEIPT, SHOWN }, .traits = TAKES_KEY, .errors = ERRORS(E_FORBIDDEN, E_NOT_FOUND) },
	{ "GET",    API "/stats",      get_stats,    AN_ADMIN, ASK_NOTHING, NULL,      0,               &STATS_QUERY,
	  "what was counted, day by day and ever",
	  .gives = { 200, &STATS_PAGE, SHOWN } },
	{ "POST",   API "/auth/refresh", post_refresh, ANYONE, ASK_NOTHING, &RENEWAL,  IN_CREATE,       NULL,
	  "new tokens for a refresh token, which is used up",
	  .gives = { 200, &GRANT, SHOWN }, .errors = ERRORS(E_BAD_REFRESH) },
	{ "POST",   API "/auth/token", post_token,   ANYONE,   COUNT_LOGIN_INSIDE, &TOKEN_REQUEST, IN_CREATE,  NULL,
	  "the same two by the form of OAuth 2 (RFC 6749): grants password and refresh_token",
	  .gives = { 200, &GRANT, SHOWN }, .speaks = &OAUTH },
	{ "GET",    API "/auth/jwks.json", get_jwks, ANYONE,   ASK_NOTHING, NULL,      0,               NULL,
	  "the public keys of access tokens, a JWK set (RFC 7517)",
	  .gives = { 200, .media = "application/json" }, .traits = ASKS_NO_STORE },
	{ "GET",    API "/auth/sessions", get_sessions, A_USER, ASK_NOTHING, NULL,     0,               NULL,
	  "one's own sessions",
	  .gives = { 200, &SESSION_SEEN, SHOWN }, .traits = GIVES_LIST },
	{ "DELETE", API "/auth/sessions/{id}", delete_session, A_USER, ASK_NOTHING, NULL, 0,            NULL,
	  "end one of them",
	  .gives = { 204 }, .errors = ERRORS(E_NO_SESSION), .again = delete_session_again },
	/* who tries all calls in this order has no token after these */
	{ "POST",   API "/auth/password", post_password, A_USER, ASK_NOTHING, &PASSWORD_CHANGE, IN_CREATE, NULL,
	  "change the password; the user's other sessions end",
	  .gives = { 204 }, .errors = ERRORS(E_CONFLICT, E_LIMITED) },
	{ "POST",   API "/auth/logout", post_logout, A_USER,   ASK_NOTHING, NULL,      0,               &LOGOUT,
	  "end this session, the others, or all",
	  .gives = { 204 } },
	{ "DELETE", API "/users/{id}", delete_user,  SELF,     ASK_NOTHING, NULL,      0,               NULL,
	  "remove the user with all that belongs to it",
	  .gives = { 204 }, .traits = TAKES_MATCH | TRIED_BY_ADMIN, .errors = ERRORS(E_LAST_ADMIN), .again = delete_user_again },
	{ "GET",    "/healthz",        get_healthz,  ANYONE,   ASK_NOTHING, NULL,      0,               NULL,
	  "is this worker alive",
	  .gives = { 200, &HEALTH, SHOWN }, .traits = ASKS_NO_STORE },
	{ "GET",    "/readyz",         get_readyz,   ANYONE,   ASK_NOTHING, NULL,      0,               NULL,
	  "are the stores there",
	  .gives = { 200, &READINESS, SHOWN }, .traits = GIVES_AT_503 | ASKS_NO_STORE },
	{ "GET",    "/metrics",        get_metrics,  ANYONE,   ASK_NOTHING, NULL,      0,               NULL,
	  "the counters of all workers, for Prometheus; to this machine alone",
	  .gives = { 200, .media = "text/plain" }, .traits = ASKS_NO_STORE, .errors = ERRORS(E_FORBIDDEN) },
	{ "GET",    "/openapi.json",   get_openapi,  ANYONE,   ASK_NOTHING, NULL,      0,               NULL,
	  "this interface, as OpenAPI 3.1",
	  .gives = { 200, .media = "application/json" }, .traits = ASKS_NO_STORE },
};
/* clang-format on */
#pragma GCC diagnostic pop
const int ROUTE_COUNT = NELEM(ROUTES);

int
route_index(const struct route *r)
{
	return (int)(r - ROUTES);
}

static struct metric_route NAMES[NELEM(ROUTES)];

const struct metric_route *
route_names(int *n_r)
{
	*n_r = ROUTE_COUNT;
	return NAMES;
}

void
route_init(struct arena *a)
{
	struct buf all = buf_new(a, 2048);

	static_assert(NELEM(ROUTES) < METRIC_NO_ROUTE, "each has a row of counters");
	for (int i = 0; i < ROUTE_COUNT; i++) {
		NAMES[i] = (struct metric_route){ ROUTES[i].method, ROUTES[i].path };
		buf_printf(&all, "%s %s\n", NAMES[i].method, NAMES[i].path);
	}
	metric_routes(all.text);
}

/*
 * Finding the row
 */

/* Does the path have the form of the pattern? *id_r is the text that stands for {id}. */
static bool
path_fits(const char *pattern, const char *path, const char **id_r, size_t *id_len_r)
{
	const char *brace = strstr(pattern, "{id}");
	size_t before = brace == NULL ? strlen(pattern) : (size_t)(brace - pattern);
	const char *rest = path + before;

	*id_r = NULL;
	*id_len_r = 0;
	if (strncmp(path, pattern, before) != 0)
		return false;
	if (brace != NULL) {
		*id_r = rest;
		*id_len_r = strcspn(rest, "/");
		rest += *id_len_r;
		pattern = brace + 4;
	} else
		pattern += before;
	if (brace != NULL && *id_len_r == 0)
		return false;
	before = strlen(pattern);
	return strncmp(rest, pattern, before) == 0 &&
	       (rest[before] == '\0' || strcmp(rest + before, "/") == 0);
}

/* Is what stands in the place of {id} a word that has a row of its own there ("me")? */
static bool
is_word(const struct route *r, const char *id, size_t len)
{
	size_t before = (size_t)(strstr(r->path, "{id}") - r->path);

	for (int i = 0; i < ROUTE_COUNT; i++) {
		const char *path = ROUTES[i].path;

		if (strchr(path, '{') == NULL && strncmp(path, r->path, before) == 0 &&
		    strncmp(path + before, id, len) == 0 && path[before + len] == '\0')
			return true;
	}
	return false;
}

/* Words go before numbers, whatever the order of the rows. */
static bool
row_fits(const struct route *r, const char *path, const char **id_r, size_t *len_r)
{
	return path_fits(r->path, path, id_r, len_r) &&
	       !(*id_r != NULL && is_word(r, *id_r, *len_r));
}

const char *
route_allowed(struct arena *a, const char *path)
{
	struct buf b = buf_new(a, 64);
	const char *id;
	size_t len;

	for (int i = 0; i < ROUTE_COUNT; i++) {
		if (!row_fits(&ROUTES[i], path, &id, &len))
			continue;
		if (b.len > 0)
			buf_lit(&b, ", ");
		buf_text(&b, ROUTES[i].method);
		if (strcmp(ROUTES[i].method, "GET") == 0)
			buf_lit(&b, ", HEAD");
	}
	return b.len == 0 ? NULL : b.text;
}

static int64_t
id_of(struct arena *a, const char *text, size_t len)
{
	int64_t id = 0;

	if (text == NULL || !text_to_int(arena_textn(a, text, len), &id) || id < 1)
		return 0;
	return id;
}

static const char *
uuid_of(struct arena *a, const char *text, size_t len)
{
	const char *uuid = arena_textn(a, text, len);

	return text_is_uuid(uuid) ? uuid : NULL;
}

enum err
route_find(struct req *rq)
{
	const char *method = strcmp(rq->head.method, "HEAD") == 0 ? "GET" : rq->head.method;
	const char *id;
	size_t len;

	for (int i = 0; i < ROUTE_COUNT; i++) {
		const struct route *r = &ROUTES[i];

		if (strcmp(r->method, method) != 0 || !row_fits(r, rq->head.path, &id, &len))
			continue;
		rq->route = r;
		if ((r->traits & NAMES_UUID) != 0)
			rq->uuid = uuid_of(rq->arena, id, len);
		else
			rq->id = id_of(rq->arena, id, len);
		return OK;
	}
	return route_allowed(rq->arena, rq->head.path) == NULL ? E_NO_ROUTE : E_METHOD;
}

bool
route_names_id(const struct route *r)
{
	return strstr(r->path, "{id}") != NULL;
}

const char *
route_who(const struct route *r)
{
	static const char *const WORDS[] = { [ANYONE] = "anyone",
					     [A_USER] = "any user",
					     [WHO_BEGAN] = "who began it, admin",
					     [SELF] = "self, admin",
					     [AN_ADMIN] = "admin" };

	return WORDS[r->who];
}
