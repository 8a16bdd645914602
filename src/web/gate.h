/*
 * gate: the guard at the front door.
 *
 * A request has two halves, ask and serve, and between them stands the one round trip to
 * Redis that all requests of the turn share. Before it: is there such a path (404), such a
 * method (405), is the token whole and in date (401). After it: is the session alive (401),
 * how often (429), may you (403), what do you carry (415, 422).
 */
#ifndef GATE_H
#define GATE_H

#include "http.h"

/* Serve the requests of a turn: every one is answered when it returns. */
void gate_turn(struct req *const *rq, int n);

#endif
