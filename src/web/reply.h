/*
 * reply: the only writer of answers. Head and body go out as one piece, once: at once, or
 * where the request is held with reply_send.
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

/* "Not Found": RFC 9110's words for a status. */
const char *reply_phrase(int status);

/* Send the answer of a request that was held (rq->hold) while it was made. */
void reply_send(struct req *rq);

/* A struct by shape, with the status. `location` may be NULL. Never cached. */
enum err reply_doc(struct req *rq, int status, const struct shape *s, const void *doc);

/* Text of another media type. Never cached. */
enum err reply_text(struct req *rq, const char *type, const struct buf *body);

/* JSON text that is ready. */
enum err reply_json(struct req *rq, int status, const char *text, size_t len);

/* A list: the page's neighbours, each by one parameter of its query and a value; and how many
 * there are in all. */
struct list_links {
	struct list_link {
		const char *name, *value; /* value NULL: no such link */
	} next, prev, first;
	int64_t total; /* NO_INT: not counted */
};

/* A JSON array that is ready, with Link (RFC 8288) and X-Total-Count. A link's other parameters
 * are those of the request, but for what says where a page begins. */
enum err reply_list(struct req *rq, const struct buf *body, const struct list_links *links);

/* A user's page with ETag and X-Cache, or 304 where If-None-Match has it already. */
enum err reply_page(struct req *rq, const struct page *p);

/* The same of a page that no cache has anything to do with. */
enum err reply_state(struct req *rq, const struct page *p);

/* What a change or creation answers: the page, ETag, and Location where it is new. */
enum err reply_changed(struct req *rq, int status, const struct page *p);

/* JSON text that is ready and everybody's, who may keep it for so long. */
enum err reply_public(struct req *rq, const char *text, int life_s);

/* What a token endpoint answers (RFC 6749, 5.1 and 5.2), JSON that is ready: not stored by
 * anybody; `e`, why it was refused, may ask to wait. */
enum err reply_token(struct req *rq, int status, enum err e, const struct buf *body);

/* 204. */
enum err reply_nothing(struct req *rq);

/* 204 to a browser's preflight: methods that the path allows; no store is touched. */
void reply_preflight(struct req *rq, const char *methods);

/* A problem document (RFC 9457) for why it was refused or failed. */
void reply_problem(struct req *rq, enum err e);

#endif
