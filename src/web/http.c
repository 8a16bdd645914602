/* http: parameters by a table, bodies to their end. */
#include "http.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "metric.h"
#include "rnd.h"
#include "text.h"

#include "passwd.h"

enum {
	REST_MOST = 1024 * 1024, /* of a refused body we read on; beyond that we hang up */
	ID_MOST = 64,
};

/* Which parameter goes where. A client may send HTTP_* as it likes; what has no HTTP_
 * comes from nginx alone. `once`: twice in one request is malformed. */
/* clang-format off */
static const struct param {
	const char *name;
	size_t len, off;
	bool once;
} PARAMS[] = {
#define P(name, member, once) { name, sizeof(name) - 1, offsetof(struct head, member), once }
	P("REQUEST_METHOD", method, false),
	P("REQUEST_URI", uri, false),
	P("CONTENT_TYPE", content_type, false),
	P("CONTENT_LENGTH", content_length, false),
	P("REMOTE_ADDR", peer, false),
	P("USHER_REQUEST_ID", attempt_id, false),
	P("HTTP_AUTHORIZATION", authorization, true),
	P("HTTP_CONTENT_TYPE", content_type, true),
	P("HTTP_IF_MATCH", if_match, true),
	P("HTTP_IF_NONE_MATCH", if_none_match, true),
	P("HTTP_PREFER", prefer, false),
	P("HTTP_ACCEPT_LANGUAGE", accept_language, false),
	P("HTTP_ORIGIN", origin, false),
	P("HTTP_ACCESS_CONTROL_REQUEST_METHOD", preflight_method, false),
	P("HTTP_X_REQUEST_ID", request_id, false),
	P("HTTP_TRACEPARENT", traceparent, false),
	P("HTTP_IDEMPOTENCY_KEY", idempotency_key, true),
	P("HTTP_USER_AGENT", agent, false),
#undef P
};
/* clang-format on */

void
http_init(void)
{
	/* Read once by FCGX_Init: how long closing waits for a peer that does not close. */
	setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "50", 1);
	setenv("LIBFCGI_IS_AF_UNIX_KEEPER_POLL_TIMEOUT", "50", 1);
	if (FCGX_Init() != 0)
		abort();
}

struct req *
http_slot(const struct ctx *shared)
{
	struct req *rq = must_alloc(sizeof(*rq));

	memset(rq, 0, sizeof(*rq));
	/* No listening socket: a connection that ends must not silently become another. */
	FCGX_InitRequest(&rq->fcgi, -1, 0);
	rq->arena = arena_new(8 * 1024);
	rq->ctx = *shared;
	return rq;
}

/*
 * The head
 */

static void
put_param(struct head *h, const struct param *p, const char *value)
{
	const char **at = (const char **)((char *)h + p->off);

	if (p->once && **at != '\0' && strcmp(*at, value) != 0)
		h->broken = E_MALFORMED;
	*at = value;
}

static void
read_params(struct head *h, char **envp)
{
	for (; *envp != NULL; envp++) {
		const char *equals = strchr(*envp, '=');
		size_t len = equals == NULL ? 0 : (size_t)(equals - *envp);

		for (size_t i = 0; i < NELEM(PARAMS); i++) {
			if (PARAMS[i].len == len && memcmp(PARAMS[i].name, *envp, len) == 0)
				put_param(h, &PARAMS[i], equals + 1);
		}
	}
}

static void
split_uri(struct req *rq)
{
	const char *mark = strchr(rq->head.uri, '?');

	rq->head.path = rq->head.uri;
	rq->head.query = "";
	if (mark == NULL)
		return;
	rq->head.path = arena_textn(rq->arena, rq->head.uri, (size_t)(mark - rq->head.uri));
	rq->head.query = mark + 1;
}

/* What we print in a header or a log must not be able to split it. */
static bool
sane_id(const char *id)
{
	size_t len = strlen(id);

	return len > 0 && len <= ID_MOST &&
	       strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
		       len;
}

/* W3C trace context: version, trace id, parent id, flags, all lower-case hexadecimal. */
static bool
sane_trace(const char *t)
{
	static const char FORM[] = "hh-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh";

	if (strlen(t) != sizeof(FORM) - 1)
		return false;
	for (size_t i = 0; FORM[i] != '\0'; i++) {
		if (FORM[i] == '-' ? t[i] != '-' : strchr("0123456789abcdef", t[i]) == NULL)
			return false;
	}
	return true;
}

static const char *
clipped(struct arena *a, const char *text, size_t most)
{
	size_t len = strlen(text);

	if (len == 0 || !text_is_utf8(text, len))
		return NULL;
	while (len > most || (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80))
		len--; /* never in the middle of a letter */
	return arena_textn(a, text, len);
}

static void
fill_ctx(struct req *rq)
{
	struct head *h = &rq->head;
	struct ctx *c = &rq->ctx;

	c->arena = rq->arena;
	c->idem = NULL;
	c->faults.n = 0;
	c->counted = NULL;
	c->actor = c->session = 0;
	c->role = ROLE_NOBODY;
	c->attempt_id = sane_id(h->attempt_id) ? h->attempt_id : NULL;
	c->request_id = sane_id(h->request_id) ? h->request_id : c->attempt_id;
	if (c->request_id == NULL) {
		char *id = arena_get(rq->arena, UUID_SIZE);

		rnd_uuid7(id);
		c->request_id = id;
	}
	c->traceparent = sane_trace(h->traceparent) ? h->traceparent : NULL;
	c->peer = clipped(rq->arena, h->peer, 64);
	c->agent = clipped(rq->arena, h->agent, 200);
}

/*
 * The body
 */

/* The announced length; -1 where it is not a plain number, "" is 0. */
static int64_t
announced(const char *length)
{
	int64_t n = 0;

	if (*length == '\0')
		return 0;
	return text_to_int(length, &n) && n >= 0 ? n : -1;
}

/* Read what is left of the body away. False when it does not end within the bound. */
static bool
read_rest(FCGX_Stream *in, size_t *len_r)
{
	static char scratch[8192];

	*len_r = 0;
	while (*len_r <= REST_MOST) {
		int n = FCGX_GetStr(scratch, sizeof(scratch), in);

		*len_r += n > 0 ? (size_t)n : 0;
		if (n < (int)sizeof(scratch))
			break;
	}
	explicit_bzero(scratch, sizeof(scratch));
	return *len_r <= REST_MOST && FCGX_HasSeenEOF(in) && FCGX_GetError(in) == 0;
}

/* The body into the arena, if it is as long as announced and not too long. What can't be
 * read to its end costs the connection: no byte of it may be taken for a next request. */
static void
read_body(struct req *rq)
{
	int64_t length = announced(rq->head.content_length);
	size_t got = 0, rest;
	char *body;

	if (length < 0)
		rq->head.broken = E_MALFORMED;
	else if (length > BODY_MOST)
		rq->head.broken = E_TOO_LARGE;
	else if (length > 0) {
		body = arena_get(rq->arena, (size_t)length + 1);
		got = (size_t)FCGX_GetStr(body, (int)length, rq->fcgi.in);
		rq->body = body;
		rq->body_len = got;
	}
	if (!read_rest(rq->fcgi.in, &rest) || got + rest != (size_t)length) {
		if (rq->head.broken == OK)
			rq->head.broken = E_MALFORMED;
		metric_add(METRIC_BAD_RECORDS, 1);
		rq->fcgi.keepConnection = 0;
	}
}

bool
http_read(struct req *rq, int fd)
{
	static const struct head NOTHING = { "", "", "", "", "", "", "", "", "", "",
					     "", "", "", "", "", "", "", "", "", OK };

	rq->fcgi.ipcFd = fd;
	rq->fcgi.keepConnection = 1; /* else the library closes it before it reads */
	if (FCGX_Accept_r(&rq->fcgi) < 0)
		return false;
	rq->head = NOTHING;
	rq->body = "";
	rq->body_len = 0;
	rq->status = 0;
	rq->hold = false;
	rq->sent = 0;
	rq->started_us = clock_mono_us();
	rq->hashed_us = passwd_spent_us();
	read_params(&rq->head, rq->fcgi.envp);
	split_uri(rq);
	read_body(rq);
	fill_ctx(rq);
	return true;
}

/*
 * Forgetting: passwords and tokens pass through here, and libfcgi frees its memory as it is
 */

/* How libfcgi's private struct FCGX_Stream_Data begins. */
struct stream_data {
	unsigned char *buffer;
	int size;
};

static void
wipe_stream(FCGX_Stream *s)
{
	const struct stream_data *d = s->data;
	const unsigned char *at = s->isReader ? s->rdNext : s->wrNext;

	if (d != NULL && d->size > 0 && at >= d->buffer && at <= d->buffer + d->size)
		explicit_bzero(d->buffer, (size_t)d->size);
}

static void
wipe_params(char **envp)
{
	static const char SECRET[] = "HTTP_AUTHORIZATION=";

	for (; *envp != NULL; envp++) {
		if (strncmp(*envp, SECRET, sizeof(SECRET) - 1) == 0)
			explicit_bzero(*envp, strlen(*envp));
	}
}

void
http_send(struct req *rq, const char *answer, size_t len)
{
	FCGX_PutStr(answer, (int)len, rq->fcgi.out);
	/* What the change has committed is done; but who looks for the answer finds this. */
	if (FCGX_FClose(rq->fcgi.err) != 0 || FCGX_FClose(rq->fcgi.out) != 0)
		log_info(EV("request.client_gone"), KS("request_id", rq->ctx.request_id));
	wipe_stream(rq->fcgi.in);
	wipe_stream(rq->fcgi.out);
	wipe_params(rq->fcgi.envp);
	FCGX_Finish_r(&rq->fcgi);
}

int
http_parked(struct req *rq)
{
	int fd = rq->fcgi.ipcFd;

	rq->fcgi.ipcFd = -1;
	return fd;
}
