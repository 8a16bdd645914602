/* reply: a head in the arena, a body behind it, one FCGX_PutStr. */
#include "reply.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "doc.h"
#include "log.h"
#include "metric.h"
#include "text.h"

#include "limit.h"
#include "passwd.h"

#include "etag.h"
#include "query.h"
#include "route.h"
#include "settings.h"

enum { RETRY_AFTER_S = 2 };

static const struct settings *conf;
static bool any_origin;

void
reply_init(const struct settings *s)
{
	conf = s;
	any_origin = strcmp(s->cors_allow_origins, "*") == 0;
}

/*
 * Language
 */

/* RFC 9110, 12.4.2: "0" to "1" with at most three decimals, in thousandths; else 0. */
static int
weight_of(const char *q)
{
	int weight = *q == '1' ? 1000 : 0, unit = 100;

	if ((*q != '0' && *q != '1') || q[1] != '.')
		return weight;
	for (q += 2; *q >= '0' && *q <= '9' && unit > 0; q++, unit /= 10)
		weight += (*q - '0') * unit;
	return weight > 1000 ? 1000 : weight;
}

/* "ko-KR;q=0.8": the language it names, LANG_COUNT for none of ours, and its weight in
 * thousandths. */
static enum lang
language_range(const char *p, size_t len, int *weight_r)
{
	const char *q = memchr(p, ';', len);

	*weight_r = 1000;
	while (q != NULL && q < p + len && strchr("; qQ=", *q) != NULL)
		q++;
	if (q != NULL && q < p + len)
		*weight_r = weight_of(q);
	if (strncasecmp(p, "ko", 2) == 0 && strchr("-;, ", p[2]) != NULL)
		return KO;
	if (strncasecmp(p, "en", 2) == 0 && strchr("-;, ", p[2]) != NULL)
		return EN;
	return LANG_COUNT;
}

enum lang
reply_language(const char *accept_language)
{
	enum lang best = strcmp(conf->default_language, "ko") == 0 ? KO : EN;
	int best_weight = 0;

	for (const char *p = accept_language; *p != '\0';) {
		size_t len = strcspn(p, ",");
		int weight;
		enum lang l = language_range(p, len, &weight);

		if (l != LANG_COUNT && weight > best_weight) {
			best = l;
			best_weight = weight;
		}
		p += len;
		p += strspn(p, ", ");
	}
	return best;
}

/*
 * Heads
 */

const char *
reply_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} PHRASES[] = {
		/* clang-format off */
		{ 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" },
		{ 304, "Not Modified" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
		{ 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 409, "Conflict" }, { 412, "Precondition Failed" }, { 413, "Content Too Large" },
		{ 414, "URI Too Long" }, { 415, "Unsupported Media Type" }, { 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" }, { 502, "Bad Gateway" },
		{ 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
		/* clang-format on */
	};

	for (size_t i = 0; i < NELEM(PHRASES); i++) {
		if (PHRASES[i].status == status)
			return PHRASES[i].phrase;
	}
	return "Unknown";
}

static bool
origin_listed(const char *origin)
{
	size_t len = strlen(origin);

	for (const char *p = conf->cors_allow_origins; *p != '\0';) {
		size_t n = strcspn(p, ", ");

		if (n == len && n > 0 && memcmp(p, origin, n) == 0)
			return true;
		p += n;
		p += strspn(p, ", ");
	}
	return false;
}

/* Any origin, but then without credentials; or listed ones by name. A list makes every
 * answer depend on Origin, the one without it too. */
static void
put_cors(struct buf *b, const char *origin)
{
	if (!any_origin)
		buf_lit(b, "Vary: Origin\r\n");
	if (*origin == '\0')
		return;
	if (any_origin)
		buf_lit(b, "Access-Control-Allow-Origin: *\r\n");
	else if (origin_listed(origin))
		buf_printf(b,
			   "Access-Control-Allow-Origin: %s\r\n"
			   "Access-Control-Allow-Credentials: true\r\n",
			   origin);
	else
		return;
	buf_lit(b, "Access-Control-Expose-Headers: Link, Location, ETag, Retry-After, RateLimit,"
		   " RateLimit-Policy, Preference-Applied, X-Request-Id, X-Total-Count\r\n");
}

/* Those that may be told from `n` on. What is left to an account is what others have left of it:
 * who is no more than a caller would learn when they log in. */
static const struct counted *
told(const struct counted *n)
{
	while (n != NULL && n->of_account && !n->too_many)
		n = n->next;
	return n;
}

/* draft-ietf-httpapi-ratelimit-headers: what was allowed, and what is left of it. */
static void
put_limits(struct buf *b, const struct counted *all)
{
	const char *comma = "RateLimit-Policy: ";

	all = told(all);
	for (const struct counted *n = all; n != NULL; n = told(n->next), comma = ", ")
		buf_printf(b, "%s\"%s\";q=%lld;w=%lld", comma, n->policy, (long long)n->count,
			   (long long)n->seconds);
	comma = "\r\nRateLimit: ";
	for (const struct counted *n = all; n != NULL; n = told(n->next), comma = ", ")
		buf_printf(b, "%s\"%s\";r=%lld;t=%lld", comma, n->policy, (long long)n->left,
			   (long long)n->rest_s);
	if (all != NULL)
		buf_lit(b, "\r\n");
}

static struct buf
head(struct req *rq, int status, const char *type)
{
	struct buf b = buf_new(rq->arena, 1024);

	assert(rq->status == 0); /* one answer a request */
	rq->status = status;
	buf_lit(&b, "Status: ");
	buf_int(&b, status);
	buf_char(&b, ' ');
	buf_text(&b, reply_phrase(status));
	buf_lit(&b, "\r\nX-Request-Id: ");
	buf_text(&b, rq->ctx.request_id);
	buf_lit(&b, "\r\n");
	if (type != NULL) {
		buf_lit(&b, "Content-Type: ");
		buf_text(&b, type);
		buf_lit(&b, "\r\n");
	}
	put_cors(&b, rq->head.origin);
	put_limits(&b, rq->ctx.counted);
	return b;
}

#define JSON_TYPE "application/json"

static void
log_done(const struct req *rq)
{
	int64_t took = clock_read_us() - rq->started_us;
	int64_t hashing = passwd_spent_us() - rq->hashed_us; /* is slow by design */
	bool slow = conf->slow_ms > 0 && took - hashing > conf->slow_ms * 1000;
	struct log_scope scope = { rq->ctx.request_id, rq->ctx.traceparent,
				   rq->route == NULL ? NULL : rq->route->path, rq->ctx.actor };

	metric_request(rq->route == NULL ? METRIC_NO_ROUTE : route_index(rq->route), rq->status,
		       took);
	log_in(&scope);
	log_at(slow ? LOG_WARN : LOG_INFO, EV(slow ? "request.was_slow" : "request.done"),
	       KS("method", rq->head.method), KI("status", rq->status), KMS("ms", took),
	       KI("bytes", rq->sent));
	log_in(NULL);
}

void
reply_send(struct req *rq)
{
	rq->hold = false;
	log_done(rq); /* the method's text dies with the request */
	http_send(rq, rq->answer, rq->sent);
}

static enum err
send_off(struct req *rq, struct buf *b, const char *body, size_t len)
{
	if (rq->status != 204 && rq->status != 304) {
		buf_lit(b, "Content-Length: ");
		buf_int(b, (int64_t)len);
		buf_lit(b, "\r\n");
	}
	buf_lit(b, "\r\n");
	if (strcmp(rq->head.method, "HEAD") != 0)
		buf_put(b, body, len);
	rq->answer = b->text;
	rq->sent = b->len;
	if (!rq->hold)
		reply_send(rq);
	return OK;
}

/*
 * Answers
 */

enum err
reply_json(struct req *rq, int status, const char *text, size_t len)
{
	struct buf b = head(rq, status, JSON_TYPE);

	buf_lit(&b, "Cache-Control: no-store\r\n");
	if (status == 503)
		buf_printf(&b, "Retry-After: %d\r\n", RETRY_AFTER_S);
	return send_off(rq, &b, text, len);
}

enum err
reply_text(struct req *rq, const char *type, const struct buf *body)
{
	struct buf b = head(rq, 200, type);

	buf_lit(&b, "Cache-Control: no-store\r\n");
	return send_off(rq, &b, body->text, body->len);
}

enum err
reply_public(struct req *rq, const char *text, int life_s)
{
	struct buf b = head(rq, 200, JSON_TYPE);

	buf_printf(&b, "Cache-Control: public, max-age=%d\r\n", life_s);
	return send_off(rq, &b, text, strlen(text));
}

static void
put_link(struct buf *b, struct req *rq, const char *rel, const struct list_link *to)
{
	if (to->value == NULL)
		return;
	buf_lit(b, "Link: <");
	buf_text(b, rq->head.path);
	query_print(b, rq->route->query, rq->query, to->name, to->value);
	buf_printf(b, ">; rel=\"%s\"\r\n", rel);
}

enum err
reply_list(struct req *rq, const struct buf *body, const struct list_links *links)
{
	struct buf b = head(rq, 200, JSON_TYPE);

	buf_lit(&b, "Cache-Control: no-store\r\n");
	put_link(&b, rq, "next", &links->next);
	put_link(&b, rq, "prev", &links->prev);
	put_link(&b, rq, "first", &links->first);
	if (links->total != NO_INT)
		buf_printf(&b, "X-Total-Count: %lld\r\n", (long long)links->total);
	return send_off(rq, &b, body->text, body->len);
}

enum err
reply_doc(struct req *rq, int status, const struct shape *s, const void *doc)
{
	struct buf body = buf_new(rq->arena, 512);

	doc_print(&body, s, SHOWN, doc);
	return reply_json(rq, status, body.text, body.len);
}

/* RFC 9110, 13.1.2: the weak comparison, any of a list, or '*'. */
static bool
none_match_has(const char *list, const struct page *p)
{
	struct etag tag;

	while (etag_next(&list, &tag)) {
		if (tag.any || (tag.version == p->version && tag.pending == p->pending))
			return true;
	}
	return false;
}

static void
put_etag(struct buf *b, const struct page *p)
{
	buf_lit(b, "ETag: \"");
	buf_int(b, p->version);
	if (p->pending > 0)
		buf_printf(b, ".%lld", (long long)p->pending);
	buf_lit(b, "\"\r\nCache-Control: private, no-cache\r\n");
}

static enum err
page_or_304(struct req *rq, const struct page *p, const char *x_cache)
{
	bool same = *rq->head.if_none_match != '\0' && none_match_has(rq->head.if_none_match, p);
	struct buf b = head(rq, same ? 304 : 200, same ? NULL : JSON_TYPE);

	put_etag(&b, p);
	buf_text(&b, x_cache);
	return send_off(rq, &b, p->body, same ? 0 : p->len);
}

enum err
reply_page(struct req *rq, const struct page *p)
{
	return page_or_304(rq, p, p->hit ? "X-Cache: HIT\r\n" : "X-Cache: MISS\r\n");
}

enum err
reply_state(struct req *rq, const struct page *p)
{
	return page_or_304(rq, p, "");
}

enum err
reply_changed(struct req *rq, int status, const struct page *p)
{
	struct buf b = head(rq, status, JSON_TYPE);

	put_etag(&b, p);
	if (status == 202)
		buf_lit(&b, "Preference-Applied: respond-async\r\n");
	if (status == 201)
		buf_printf(&b, "Location: /api/v1/users/%lld\r\n", (long long)p->id);
	return send_off(rq, &b, p->body, p->len);
}

enum err
reply_nothing(struct req *rq)
{
	struct buf b = head(rq, 204, NULL);

	buf_lit(&b, "Cache-Control: no-store\r\n");
	return send_off(rq, &b, "", 0);
}

void
reply_preflight(struct req *rq, const char *methods)
{
	struct buf b = head(rq, 204, NULL);

	buf_printf(&b,
		   "Allow: %s, OPTIONS\r\nAccess-Control-Allow-Methods: %s\r\n"
		   "Access-Control-Allow-Headers: Authorization, Content-Type, If-Match,"
		   " If-None-Match, Prefer, Idempotency-Key, X-Request-Id, traceparent,"
		   " Accept-Language\r\nAccess-Control-Max-Age: 600\r\n",
		   methods, methods);
	send_off(rq, &b, "", 0);
}

/*
 * Problems
 */

static void
put_faults(struct buf *b, const struct ctx *c)
{
	buf_lit(b, ",\"errors\":[");
	for (int i = 0; i < c->faults.n; i++) {
		const struct fault_at *f = &c->faults.at[i];
		struct buf text = buf_new(b->arena, 64);

		msg_print(&text, f->msg, c->lang, f->field);
		buf_text(b, i > 0 ? ",{\"loc\":[" : "{\"loc\":[");
		buf_json(b, f->in);
		if (f->within != NULL) {
			buf_char(b, ',');
			buf_json(b, f->within);
		}
		if (f->name != NULL) {
			buf_char(b, ',');
			buf_json(b, f->name);
		}
		if (f->item > 0) {
			buf_char(b, ',');
			buf_int(b, f->item - 1);
		}
		buf_lit(b, "],\"msg\":");
		buf_json(b, text.text);
		buf_lit(b, ",\"type\":");
		buf_json(b, msg_type(f->msg));
		if (f->line > 0)
			buf_printf(b, ",\"line\":%d,\"column\":%d", f->line, f->column);
		buf_char(b, '}');
	}
	buf_char(b, ']');
}

static struct buf
problem_body(struct req *rq, enum err e)
{
	const struct err_row *row = err_row(e);
	struct buf b = buf_new(rq->arena, 512);

	buf_lit(&b, "{\"type\":\"about:blank\",\"title\":");
	buf_json(&b, reply_phrase(row->http));
	buf_lit(&b, ",\"status\":");
	buf_int(&b, row->http);
	buf_lit(&b, ",\"detail\":");
	buf_json(&b, rq->ctx.lang == KO ? row->ko : row->en);
	buf_lit(&b, ",\"code\":");
	buf_json(&b, row->code);
	buf_lit(&b, ",\"request_id\":");
	buf_json(&b, rq->ctx.request_id);
	if (row->http == 422 || (e == E_MALFORMED && rq->ctx.faults.n > 0))
		put_faults(&b, &rq->ctx);
	buf_char(&b, '}');
	return b;
}

/* Seconds: until the limits that refused it let one in again; else a little while. */
static int64_t
retry_after_s(const struct counted *all)
{
	int64_t s = 0;

	for (const struct counted *n = all; n != NULL; n = n->next) {
		if (n->too_many && n->wait_s > s)
			s = n->wait_s;
	}
	return s > 0 ? s : RETRY_AFTER_S;
}

static void
put_retry_after(struct buf *b, const struct req *rq)
{
	buf_printf(b, "Retry-After: %lld\r\n", (long long)retry_after_s(rq->ctx.counted));
}

enum err
reply_token(struct req *rq, int status, enum err e, const struct buf *body)
{
	struct buf b = head(rq, status, JSON_TYPE);

	buf_lit(&b, "Cache-Control: no-store\r\nPragma: no-cache\r\n");
	if (e != OK && err_row(e)->again)
		put_retry_after(&b, rq);
	return send_off(rq, &b, body->text, body->len);
}

static void
put_problem_headers(struct buf *b, struct req *rq, enum err e)
{
	int status = err_row(e)->http;

	buf_lit(b, "Cache-Control: no-store\r\nVary: Accept-Language\r\n");
	if (status == 401)
		buf_text(b, e == E_BAD_TOKEN
				    ? "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"
				    : "WWW-Authenticate: Bearer\r\n");
	if (status == 403)
		buf_lit(b, "WWW-Authenticate: Bearer error=\"insufficient_scope\"\r\n");
	if (status == 405)
		buf_printf(b, "Allow: %s, OPTIONS\r\n", route_allowed(rq->arena, rq->head.path));
	if (status == 503 || status == 429)
		put_retry_after(b, rq);
}

void
reply_problem(struct req *rq, enum err e)
{
	struct buf body, b;

	rq->ctx.lang = reply_language(rq->head.accept_language);
	body = problem_body(rq, e);
	b = head(rq, err_row(e)->http, "application/problem+json");
	put_problem_headers(&b, rq, e);
	send_off(rq, &b, body.text, body.len);
}
