/*
 * calls: the route table for people: a line a call, with a curl that works.
 */
#ifndef CALLS_H
#define CALLS_H

#include "buf.h"

/* A Markdown table. The curls go by $U (the server), $A, $ADMIN and $J (headers: a user's token,
 * an admin's, JSON's type), $ID (the user) and $SESSION (one of its sessions, not the token's own),
 * and may be tried in their order. */
void calls_print(struct buf *b);

#endif
