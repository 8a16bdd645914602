/*
 * http: one request over libfcgi, from its head to its end.
 *
 * The only file to know libfcgi. A request's connection is parked in the turn; this file
 * takes one request off it and gives the connection back. Whatever the answer, the body
 * is read to its end before: what is left in the socket would be read as the next request.
 */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fcgiapp.h>

#include "ctx.h"

enum {
	BODY_MOST = 256 * 1024,
	BATCH_MOST = 64, /* requests in one turn */
};

/* What nginx says of the request; "" for what it does not. */
/* clang-format off */
struct head {
	const char *method, *uri, *content_type, *content_length, *peer, *attempt_id;
	const char *authorization, *if_match, *if_none_match, *prefer, *accept_language;
	const char *origin, *preflight_method, *request_id, *traceparent, *agent;
	const char *idempotency_key;
	const char *path, *query; /* the two halves of the raw URI */
	enum err broken;	  /* OK, or why it is not worth looking at */
};
/* clang-format on */

struct route;
struct limit_asked;

struct req {
	FCGX_Request fcgi;
	struct arena *arena;
	struct ctx ctx;
	struct head head;
	const char *body;
	size_t body_len;
	int64_t started_us;
	int64_t hashed_us; /* passwd_spent_us then */

	/* what the gate has found out; see gate.c */
	const struct route *route;
	unsigned stage;
	enum err refused;
	int64_t id;	  /* from the path; 0: none, or not a number */
	const char *uuid; /* likewise; NULL: none, or not one */
	int session_slot, page_slot;
	struct limit_asked *limit;
	bool session_stale; /* Redis has a session that can't be trusted */
	struct wanted *page;
	void *in, *query;

	int status; /* of the answer; 0 while there is none */
	bool hold;  /* the answer waits for reply_send */
	const char *answer;
	size_t sent;
};

/* Once, at start, after service_signals. */
void http_init(void);

/* A request slot that is used again and again; `shared` has the stores and settings. */
struct req *http_slot(const struct ctx *shared);

/* Read one request, head and body, from the connection `fd`. False when the connection is
 * over (closed by its peer, or not FastCGI): then it is closed here. */
bool http_read(struct req *rq, int fd);

/* Send a whole answer, status line to body, and finish the request. The connection stays
 * with the turn, or is closed: http_parked says which. */
void http_send(struct req *rq, const char *answer, size_t len);

/* After http_send: the connection to park again, or -1 when it was closed. */
int http_parked(struct req *rq);

#endif
