/*
 * life: may what lies in Redis be believed?
 *
 * A Redis that was restarted or failed over brings back what it had written to disk, which
 * is not all that it had said: pages from before a change, users who are gone. Copies are
 * therefore good for one life of the server. The first connection to a new one removes them, before
 * anybody reads; they fill again. Sessions bear their own mark (session.h); what is no copy stays.
 */
#ifndef LIFE_H
#define LIFE_H

#include <stdbool.h>

struct redisContext;

/* On a connection that was just made. False: not yet, somebody else is at it, or it can't be
 * told; then this Redis must not be used. */
bool life_begin(struct redisContext *c);

#endif
