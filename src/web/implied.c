/* implied: predicates over a row, and the tables that name them. */
#include "implied.h"

#include <string.h>

#define TEXT_TYPE(words) "{\"type\":\"string\",\"description\":\"" words "\"}"

static bool
always(const struct route *r)
{
	return r != NULL;
}

static bool
wants_token(const struct route *r)
{
	return r->who != ANYONE;
}

static bool
wants_right(const struct route *r)
{
	return r->who == SELF || r->who == WHO_BEGAN || r->who == AN_ADMIN;
}

static bool
names_user(const struct route *r)
{
	return strstr(r->path, "/users/{id}") != NULL;
}

static bool
takes_match(const struct route *r)
{
	return (r->traits & TAKES_MATCH) != 0;
}

static bool
takes_prefer(const struct route *r)
{
	return (r->traits & TAKES_PREFER) != 0;
}

static bool
takes_key(const struct route *r)
{
	return (r->traits & TAKES_KEY) != 0;
}

static bool
takes_body(const struct route *r)
{
	return r->carries != NULL;
}

static bool
asks_stores(const struct route *r)
{
	return (r->traits & ASKS_NO_STORE) == 0;
}

static bool
changes(const struct route *r)
{
	return strcmp(r->method, "GET") != 0;
}

static bool
from_cache(const struct route *r)
{
	return r->asks == ASK_PAGE;
}

bool
implied_cacheable(const struct route *r)
{
	return from_cache(r) || ((r->traits & GIVES_ETAG) != 0 && !changes(r));
}

static bool
is_counted(const struct route *r)
{
	return r->asks == COUNT_LOGIN || r->asks == COUNT_SIGNUP || r->asks == COUNT_LOGIN_INSIDE;
}

/* The errors that a route can give whatever its handler does. */
static const struct {
	enum err e;
	bool (*of)(const struct route *r);
} GENERAL[] = {
	/* clang-format off */
	{ E_MALFORMED, always },
	{ E_NO_TOKEN, wants_token },
	{ E_BAD_TOKEN, wants_token },
	{ E_FORBIDDEN, wants_right },
	{ E_NOT_FOUND, names_user },
	{ E_STALE, takes_match },
	{ E_TOO_LARGE, always },
	{ E_MEDIA_TYPE, takes_body },
	{ E_INVALID, always },
	{ E_LIMITED, is_counted },
	{ E_CONFLICT, takes_key },
	{ E_BUG, asks_stores },
	{ E_BUSY, asks_stores },
	{ E_UNAVAILABLE, asks_stores },
	{ E_UNCERTAIN, changes },
	/* clang-format on */
};

bool
implied_error(const struct route *r, enum err e)
{
	for (size_t i = 0; i < NELEM(GENERAL); i++) {
		if (GENERAL[i].e == e && GENERAL[i].of(r))
			return true;
	}
	for (const enum err *own = r->errors; own != NULL && *own != OK; own++) {
		if (*own == e)
			return true;
	}
	return false;
}

/* Without examples: a page would fill them in, and nobody means a version that it has not read. */
const struct implied_parameter IMPLIED_PARAMETERS[] = {
	{ "Accept-Language", "the language of messages, en or ko, with quality values", always },
	{ "X-Request-Id", "1 to 64 letters, digits, . _ -: taken over; else one is made", always },
	{ "If-None-Match", "an ETag that you have: 304 where it is still the one",
	  implied_cacheable },
	{ "If-Match", "an ETag that you have: 412 unless it is still the one", takes_match },
	{ "Prefer", "respond-async: 202 as soon as the change is safe", takes_prefer },
	{ "Idempotency-Key", "the same key and body within 24 hours get the first answer again",
	  takes_key },
	{ 0 },
};

static bool
gives_version(const struct route *r, int status)
{
	return (from_cache(r) || (r->traits & GIVES_ETAG) != 0) && status < 400;
}

static bool
gives_x_cache(const struct route *r, int status)
{
	return from_cache(r) && status < 400;
}

static bool
gives_location(const struct route *r, int status)
{
	return (r->traits & GIVES_LOCATION) != 0 && status == 201;
}

static bool
gives_link(const struct route *r, int status)
{
	return (r->traits & GIVES_LIST) != 0 && status == 200;
}

static bool
gives_total(const struct route *r, int status)
{
	return status == 200 && r->query != NULL && field_find(r->query, ~0u, "count") != NULL;
}

static bool
gives_rate(const struct route *r, int status)
{
	return (is_counted(r) && status < 400) || status == 429;
}

static bool
gives_wait(const struct route *r, int status)
{
	return r != NULL && (status == 429 || status == 503);
}

static bool
gives_challenge(const struct route *r, int status)
{
	return r != NULL && (status == 401 || status == 403);
}

static bool
gives_preference(const struct route *r, int status)
{
	return takes_prefer(r) && status == 202;
}

static bool
gives_id(const struct route *r, int status)
{
	return r != NULL && status != 0;
}

const struct implied_header IMPLIED_HEADERS[] = {
	{ "X-Request-Id", TEXT_TYPE("leads to the request's lines in the log"), gives_id },
	{ "ETag", TEXT_TYPE("the version, for If-Match and If-None-Match"), gives_version },
	{ "X-Cache", "{\"type\":\"string\",\"enum\":[\"HIT\",\"MISS\"]}", gives_x_cache },
	{ "Location", TEXT_TYPE("of what is new"), gives_location },
	{ "Link", TEXT_TYPE("rel next, prev and first: the pages beside (RFC 8288)"), gives_link },
	{ "X-Total-Count", "{\"type\":\"integer\",\"minimum\":0}", gives_total },
	{ "RateLimit", TEXT_TYPE("what is left of the limits, by name"), gives_rate },
	{ "RateLimit-Policy", TEXT_TYPE("the limits, by name"), gives_rate },
	{ "Retry-After", "{\"type\":\"integer\",\"minimum\":0}", gives_wait },
	{ "WWW-Authenticate", TEXT_TYPE("Bearer, and what is wrong with the token"),
	  gives_challenge },
	{ "Preference-Applied", TEXT_TYPE("respond-async"), gives_preference },
	{ 0 },
};
