/*
 * calls: the route table for people: a line a call, with a curl that works.
 */
#ifndef CALLS_H
#define CALLS_H

#include "buf.h"

/* A Markdown table. The curls go by $U (the server), $A and $J (headers: the token, JSON's
 * type) and $ID (a number in a path). */
void calls_print(struct buf *b);

#endif
