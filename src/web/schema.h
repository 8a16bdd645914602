/*
 * schema: shapes as JSON Schema (draft 2020-12), in the form that OpenAPI 3.1 wants.
 *
 * Of what comes in all bounds are printed, so that a client may check before it sends; of
 * what goes out the kinds, and that every member is there.
 */
#ifndef SCHEMA_H
#define SCHEMA_H

#include "buf.h"
#include "field.h"

/* Some rows of a shape, as a body that comes in or goes out. */
struct body {
	const struct shape *shape;
	unsigned use, maybe; /* its rows; those of what goes out that may be missing */
	bool in;
	bool open; /* what comes in may bear names that nobody knows; they are passed over */
};

/* "User", "UserCreate": by the struct's name and, of what comes in, the use. In the arena. */
const char *schema_name(struct arena *a, const struct body *body);

/* A whole body as an object. */
void schema_print(struct buf *b, const struct body *body);

/* One value, with its bounds. */
void schema_print_field(struct buf *b, const struct field *f);

/* The row's example as a JSON value; "" where it has none. */
void schema_print_example(struct buf *b, const struct field *f);

#endif
