/*
 * openapi: the route, field, error and message tables, printed as OpenAPI 3.1 and as the
 * README's list. Adds nothing that the tables don't say: a new row is documented by itself.
 */
#ifndef OPENAPI_H
#define OPENAPI_H

#include "buf.h"

/* The whole document, one line of JSON. */
void openapi_print(struct buf *b);

#endif
