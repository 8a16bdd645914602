/*
 * turn: a worker's life. Parked connections; a turn is all requests that are ready now.
 *
 * The worker accepts by itself and parks each connection in epoll; libfcgi gets the ones
 * that have something to say. So no connection waits behind another that is silent, and
 * the stores are asked once for all that came together.
 */
#ifndef TURN_H
#define TURN_H

#include "http.h"

/* Serve from the listening socket `fd` until service_stopping; then accept what is queued,
 * serve what is parked until nginx lets go, and return. `serve` must answer all `n` requests
 * with http_send. `batch`: requests a turn at most, 1 to BATCH_MOST; with 1 a connection is
 * taken only when there is nothing else to do, so that slow work spreads over the workers.
 * Returns 0, or the exit status of a worker that can't go on. */
int turn_run(int fd, int batch, const struct ctx *shared,
	     void (*serve)(struct req *const *rq, int n));

#endif
