/*
 * sweep: which rows go when, a table.
 *
 * Rows are removed in small batches, each a transaction of its own, passing over what
 * somebody else holds: no request ever waits for a sweep.
 */
#ifndef SWEEP_H
#define SWEEP_H

#include "ctx.h"

struct db_set;
extern const struct db_set SWEEP_STATEMENTS;

extern const int SWEEP_COUNT;

/* What row `i` of the table sweeps, for the log. */
const char *sweep_name(int i);

/* Remove at most `most` rows of what row `i` says; *n_r: how many there were. */
enum err sweep_some(struct ctx *c, int i, int most, int64_t *n_r) MUST_CHECK;

#endif
