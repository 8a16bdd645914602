/*
 * query: a query string into a struct, by shape.
 *
 * application/x-www-form-urlencoded: percent-encoding and '+'. Unknown and repeated names,
 * values that are not UTF-8, and whatever the rows refuse are noted, all at once.
 */
#ifndef QUERY_H
#define QUERY_H

#include "err.h"
#include "field.h"

/* Fill `out` (cleared, then the rows' defaults). `s` NULL: no parameter is allowed.
 * OK, or E_INVALID with the faults noted (loc "query"). */
enum err query_read(struct arena *a, const struct shape *s, const char *text, void *out,
		    struct faults *faults_r) MUST_CHECK;

/* The same of a body, by those rows that are of `use`: names that are not in the shape are passed
 * over, and so are values that are empty (RFC 6749, 3.2). E_MALFORMED for a NUL in it; loc "body". */
enum err form_read(struct arena *a, const struct shape *s, unsigned use, const char *text,
		   size_t len, void *out, struct faults *faults_r) MUST_CHECK;

/* "?limit=10&cursor=x": the parameters of `in` that differ from their defaults, then name and
 * value. Left out are those that say where a page begins, and what was to be counted. */
void query_print(struct buf *b, const struct shape *s, const void *in, const char *name,
		 const char *value);

#endif
