/*
 * reply: the only writer of answers. Head and body go out as one piece, once.
 */
#ifndef REPLY_H
#define REPLY_H

#include "http.h"
#include "user.h"

/* The origins that browsers may call from (CORS_ALLOW_ORIGINS) and the language of messages
 * where the caller names none. Once, at start. */
void reply_init(const struct settings *conf);

/* The language of a request's messages, by its Accept-Language. */
enum lang reply_language(const char *accept_language);

/* A struct by shape, with the status. `location` may be NULL. Never cached. */
enum err reply_doc(struct req *rq, int status, const struct shape *s, const void *doc);

/* JSON text that is ready. */
enum err reply_json(struct req *rq, int status, const char *text, size_t len);

/* A user's page with ETag and X-Cache, or 304 where If-None-Match has it already. */
enum err reply_page(struct req *rq, const struct page *p);

/* What a change or creation answers: the page, ETag, and Location where it is new. */
enum err reply_changed(struct req *rq, int status, const struct page *p);

/* 204. */
enum err reply_nothing(struct req *rq);

/* 204 to a browser's preflight: methods that the path allows; no store is touched. */
void reply_preflight(struct req *rq, const char *methods);

/* A problem document (RFC 9457) for why it was refused or failed. */
void reply_problem(struct req *rq, enum err e);

#endif
