/*
 * doc: JSON documents by shape: what comes in becomes a struct, a struct goes out.
 *
 * The only file to know jansson. A document from outside is refused whole where it
 * is not JSON, has a key twice, a NUL, bad UTF-8 or numbers beyond 64 bits; else every
 * field that is wrong is named at once. What jansson frees is wiped.
 */
#ifndef DOC_H
#define DOC_H

#include "err.h"
#include "field.h"

/* Once, at start: jansson's memory is wiped when freed. */
void doc_init(void);

/* Read `text` into `out` (cleared first) by those rows of the shape that are of `use`.
 * E_MALFORMED or E_INVALID, with the faults noted (loc "body"); of what is malformed the first one,
 * with its line and column. */
enum err doc_read(struct arena *a, const struct shape *s, unsigned use, const char *text,
		  size_t len, void *out, struct faults *faults_r) MUST_CHECK;

/* The same, but names that are not in the shape are passed over: for what others wrote. */
enum err doc_pick(struct arena *a, const struct shape *s, unsigned use, const char *text,
		  size_t len, void *out, struct faults *faults_r) MUST_CHECK;

/* The rows of `use` as one JSON object. */
void doc_print(struct buf *b, const struct shape *s, unsigned use, const void *base);

/* The same of `n` structs that stand one behind the other, as a JSON array. */
void doc_print_rows(struct buf *b, const struct shape *s, unsigned use, const void *base, int n);

/* A list of more than so many bytes ends early, and its next page goes on: how many of `n` structs,
 * from the first or, `from_end`, from the last on, make about that much. One at least. */
enum { DOC_LIST_MOST = 1024 * 1024 };
int doc_fit(const struct shape *s, unsigned use, const void *base, int n, bool from_end);

/* Only the rows whose bit is set in the struct's own struct given. */
void doc_print_given(struct buf *b, const struct shape *s, unsigned use, const void *base);

#endif
