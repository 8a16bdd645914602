/*
 * reply: languages, entity tags, and what a problem document says. The answer is caught
 * where it would go to the wire; what a change would do to a store is caught before it.
 */
#include "reply.h"

#include <jansson.h>

#include "handlers.h"
#include "log.h"
#include "settings.h"
#include "tap.h"

static struct arena *arena;
static struct settings settings = { .cors_allow_origins = "*", .default_language = "en" };
static const char *sent;
static int64_t version_wanted, pending_wanted;

/* Instead of http.c's. */
void
http_send(struct req *rq, const char *answer, size_t len)
{
	sent = arena_textn(rq->arena, answer, len);
}

/* Instead of user.c's; see the program's link flags. */
enum err __wrap_user_change(struct ctx *c, int64_t id, const struct user *in,
			    const struct tag *if_match, struct page *page_r);

enum err
__wrap_user_change(struct ctx *c, int64_t id, const struct user *in, const struct tag *if_match,
		   struct page *page_r)
{
	(void)c;
	(void)in;
	version_wanted = if_match == NULL ? NO_INT : if_match->version;
	pending_wanted = if_match == NULL ? 0 : if_match->pending;
	*page_r = (struct page){ .id = id, .version = 6, .body = "{}", .len = 2 };
	return OK;
}

static struct req
request(void)
{
	return (struct req){
		.arena = arena,
		.ctx = { .arena = arena, .request_id = "r-1", .conf = &settings },
		.head = { .method = "GET",
			  .path = "/api/v1/users/7",
			  .if_match = "",
			  .if_none_match = "",
			  .accept_language = "",
			  .origin = "" },
	};
}

static const struct {
	const char *header;
	enum lang lang;
} LANGUAGES[] = {
	{ "", EN },
	{ "ko", KO },
	{ "KO", KO },
	{ "ko-KR", KO },
	{ "en", EN },
	{ "en-US,en;q=0.9", EN },
	{ "ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", KO },
	{ "en;q=0.8,ko;q=0.9", KO },
	{ "en;q=0.9, ko;q=0.8", EN },
	{ "en; q=0.1, ko; q=0.2", KO },
	{ "fr, ko;q=0.1", KO },
	{ "fr, de", EN },
	{ "ko;q=0", EN },
	{ "ko;q=0, en;q=0.001", EN },
	{ "*", EN },
	{ "kok, kos", EN },
	{ "k", EN },
	{ ",,,ko", KO },
	{ ",", EN },
	{ ";", EN },
	{ "ko;", KO },
	{ "ko;q=x", EN },
	{ "ko;q=-1", EN },
	{ "ko;q=nan", EN },
	{ "ko;q=inf", EN },
	{ "ko;q=1e99", KO },
	{ "ko;q=1.5, en", KO },
	{ "ko;q=.9, en;q=0.1", EN },
	{ "ko;q=0.0009", EN },
	{ "en;q=0.899,ko;q=0.9", KO },
	{ "ko\xff", EN },
};

static void
test_languages(void)
{
	for (size_t i = 0; i < NELEM(LANGUAGES); i++)
		is_int(reply_language(LANGUAGES[i].header), LANGUAGES[i].lang, LANGUAGES[i].header);
	settings.default_language = "ko";
	is_int(reply_language("fr"), KO, "where none is ours the default counts");
	is_int(reply_language("en"), EN, "and only there");
	settings.default_language = "en";
}

/* If-None-Match against version 7: 304 or not. */
static const struct {
	const char *header;
	bool same;
} NONE_MATCHES[] = {
	{ "", false },
	{ "\"7\"", true },
	{ "W/\"7\"", true },
	{ "*", true },
	{ "\"6\"", false },
	{ "\"6\", \"7\"", true },
	{ "\"6\",W/\"7\"", true },
	{ "7", false },
	{ "\"77\"", false },
	{ "\"7.1\"", false },
	{ "\"-7\"", false },
	{ "\"", false },
	{ "\"\"", false },
	{ "W/", false },
	{ ",,,", false },
	{ "\"7", false },
	{ "\"7x\"", false },
	{ "\" 7\"", false },
	{ "\"07\"", false },
	{ "\"7\"x", true },
	{ "\"6,7\"", false },
	{ "\"x\", *", true },
	{ "\"18446744073709551623\"", false },
};

static void
test_none_match(void)
{
	const struct page page = {
		.id = 7, .version = 7, .body = "{\"id\":7}", .len = 8, .hit = true
	};

	for (size_t i = 0; i < NELEM(NONE_MATCHES); i++) {
		struct req rq = request();

		rq.head.if_none_match = NONE_MATCHES[i].header;
		ok(reply_page(&rq, &page) == OK && rq.status == (NONE_MATCHES[i].same ? 304 : 200),
		   "If-None-Match: %s", NONE_MATCHES[i].header);
		ok(strstr(sent, "ETag: \"7\"\r\n") != NULL, "the tag is told either way");
		ok((strstr(sent, "\r\n\r\n{\"id\":7}") != NULL) == !NONE_MATCHES[i].same,
		   "the body where it is new");
	}
}

/* If-Match: the version that the change demands, 0 for a refusal. */
static const struct {
	const char *header;
	int64_t version, pending;
} MATCHES[] = {
	{ "", NO_INT, 0 },
	{ "*", NO_INT, 0 },
	{ "\"5\"", 5, 0 },
	{ "\"5\", \"6\"", 6, 0 },
	{ "\"6\", \"5\"", 6, 0 },
	{ "W/\"9\", \"5\"", 5, 0 },
	{ "\"9223372036854775807\"", INT64_MAX, 0 },
	{ "\"5.2\"", 5, 2 },
	{ "\"5\", \"5.2\", \"5.1\"", 5, 2 },
	{ "\"5.0\"", 0, 0 },
	{ "\"5.\"", 0, 0 },
	{ "\".5\"", 0, 0 },
	{ "\"5.1.1\"", 0, 0 },
	{ "W/\"5\"", 0, 0 },
	{ "5", 0, 0 },
	{ "\"\"", 0, 0 },
	{ "\"", 0, 0 },
	{ "\"5", 0, 0 },
	{ "\"0\"", 0, 0 },
	{ "\"-5\"", 0, 0 },
	{ "\"x\"", 0, 0 },
	{ "\"5x\"", 0, 0 },
	{ "\"+5\"", 0, 0 },
	{ "\" 5\"", 0, 0 },
	{ "\"5\" , *", NO_INT, 0 },
	{ "W/\"7\", \"x\"", 0, 0 },
	{ "\"9223372036854775808\"", 0, 0 },
	{ ",", 0, 0 },
};

static void
test_match(void)
{
	for (size_t i = 0; i < NELEM(MATCHES); i++) {
		struct user in = { .given = { .set = 2 } };
		struct req rq = request();
		enum err e;

		rq.head.if_match = MATCHES[i].header;
		rq.head.prefer = "";
		rq.in = &in;
		rq.id = 7;
		version_wanted = pending_wanted = 0;
		e = patch_user(&rq);
		ok(e == (MATCHES[i].version == 0 ? E_STALE : OK), "If-Match: %s: %s",
		   MATCHES[i].header, MATCHES[i].version == 0 ? "stale" : "tried");
		is_int(version_wanted, MATCHES[i].version, "with this version");
		is_int(pending_wanted, MATCHES[i].pending, "and these pending changes");
	}
}

static json_t *
body_of(const char *answer)
{
	const char *body = strstr(answer, "\r\n\r\n");

	return body == NULL ? NULL : json_loads(body + 4, JSON_REJECT_DUPLICATES, NULL);
}

static void
test_problem(enum err e)
{
	const struct err_row *row = err_row(e);
	struct req rq = request();
	json_t *doc;

	rq.head.accept_language = "ko";
	fault_add(&rq.ctx.faults, "body", "a\"b", MSG_AGE_RANGE,
		  field_find(&USER, IN_CREATE, "age"));
	fault_add(&rq.ctx.faults, "query", NULL, MSG_NOT_OBJECT, NULL);
	reply_problem(&rq, e);
	is_int(rq.status, row->http, row->name);
	ok(strstr(sent, "\r\nContent-Type: application/problem+json\r\n") != NULL,
	   "%s: a problem document", row->name);
	ok(strstr(sent, "\r\nX-Request-Id: r-1\r\n") != NULL, "%s: with the request's id",
	   row->name);
	ok((strstr(sent, "\r\nRetry-After: ") != NULL) == (row->http == 503 || row->http == 429),
	   "%s: when to retry", row->name);
	ok((strstr(sent, "\r\nWWW-Authenticate: Bearer") != NULL) ==
		   (row->http == 401 || row->http == 403),
	   "%s: how to sign in", row->name);
	ok((strstr(sent, "\r\nAllow: GET, HEAD, ") != NULL) == (row->http == 405),
	   "%s: what is allowed", row->name);
	if (!ok((doc = body_of(sent)) != NULL, "%s: its body is JSON", row->name))
		return;
	is_text(json_string_value(json_object_get(doc, "code")), row->code, "the code");
	is_text(json_string_value(json_object_get(doc, "detail")), row->ko,
		"the sentence, in the language asked for");
	is_int(json_integer_value(json_object_get(doc, "status")), row->http, "the status");
	is_int((long long)json_array_size(json_object_get(doc, "errors")),
	       row->http == 422 || row == err_row(E_MALFORMED) ? 2 : 0,
	       "the faults, at 422 and of what is malformed only");
	json_decref(doc);
}

static void
test_faults(void)
{
	struct req rq = request();
	char *body;

	fault_add(&rq.ctx.faults, "body", "a\"b", MSG_AGE_RANGE,
		  field_find(&USER, IN_CREATE, "age"));
	fault_add(&rq.ctx.faults, "body", NULL, MSG_NOT_OBJECT, NULL);
	reply_problem(&rq, E_INVALID);
	body = strstr(sent, "\"errors\"");
	is_text(body,
		"\"errors\":[{\"loc\":[\"body\",\"a\\\"b\"],\"msg\":\"The age must be between 0 and 150\","
		"\"type\":\"out_of_range\"},{\"loc\":[\"body\"],\"msg\":\"Must be a JSON object\",\"type\":\"dict_type\"}]}",
		"faults as in FastAPI's documents");
}

static const struct {
	const char *allowed, *origin, *header; /* NULL: none */
} ORIGINS[] = {
	{ "*", "", NULL },
	{ "*", "https://evil.example", "*" },
	{ "https://a.example,https://b.example", "https://a.example", "https://a.example" },
	{ "https://a.example, https://b.example", "https://b.example", "https://b.example" },
	{ "https://a.example", "https://b.example", NULL },
	{ "https://a.example", "https://a.example.evil.example", NULL },
	{ "https://a.example", "https://a.exampl", NULL },
	{ "https://a.example", "null", NULL },
	{ "https://a.example", "", NULL },
};

static void
test_origins(void)
{
	for (size_t i = 0; i < NELEM(ORIGINS); i++) {
		struct req rq = request();
		const char *found;
		bool any = strcmp(ORIGINS[i].allowed, "*") == 0;

		settings.cors_allow_origins = ORIGINS[i].allowed;
		reply_init(&settings);
		rq.head.origin = ORIGINS[i].origin;
		reply_nothing(&rq);
		found = strstr(sent, "Access-Control-Allow-Origin: ");
		ok(ORIGINS[i].header == NULL
			   ? found == NULL
			   : found != NULL &&
				     strncmp(found + 29, ORIGINS[i].header,
					     strlen(ORIGINS[i].header)) == 0 &&
				     found[29 + strlen(ORIGINS[i].header)] == '\r',
		   "Origin %s where %s may", ORIGINS[i].origin, ORIGINS[i].allowed);
		ok((strstr(sent, "Vary: Origin") != NULL) == !any,
		   "a list makes every answer depend on it");
		ok(!any || strstr(sent, "Allow-Credentials") == NULL,
		   "no credentials for all the world");
	}
	settings.cors_allow_origins = "*";
	reply_init(&settings);
}

int
main(void)
{
	struct req head;
	const struct page page = { .id = 7, .version = 7, .body = "{\"id\":7}", .len = 8 };

	arena = arena_new(64 * 1024);
	log_init("reply_test", "text", "error");
	reply_init(&settings);
	test_languages();
	test_none_match();
	test_match();
	for (enum err e = OK + 1; e < ERR_COUNT; e++)
		test_problem(e);
	test_faults();
	test_origins();
	head = request();
	head.head.method = "HEAD";
	ok(reply_page(&head, &page) == OK && strstr(sent, "Content-Length: 8\r\n") != NULL &&
		   strstr(sent, "{\"id\"") == NULL,
	   "HEAD: the length of a body that is not sent");
	arena_free(&arena);
	return tap_end();
}
