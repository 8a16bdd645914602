/*
 * once: a request with an Idempotency-Key is served once; its twins get the same answer.
 */
#ifndef ONCE_H
#define ONCE_H

#include "http.h"

/* Serve it, or answer as the first time. Rows without the trait TAKES_KEY, and requests without
 * a key, are served as they are. E_CONFLICT while a twin is still at it. */
enum err once_serve(struct req *rq) MUST_CHECK;

#endif
