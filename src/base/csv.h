/*
 * csv: comma-separated values (RFC 4180), one record after the other, from a file of any length.
 *
 * Fields may be quoted, and then hold commas, quotes (doubled) and line feeds; lines end in LF
 * or CRLF; empty lines are passed over, and so is a byte order mark. What is no record costs
 * its own line and no other.
 */
#ifndef CSV_H
#define CSV_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "arena.h"

enum { CSV_FIELDS = 32, CSV_RECORD_MOST = 64 * 1024 };

struct csv {
	FILE *in;
	int64_t line; /* where the record that was read last begins, from 1 */
	int64_t lines_read;
	bool begun;
};

enum csv_end {
	CSV_RECORD,
	CSV_BAD, /* a stray or open quote, a NUL, too long, too many fields; its line is passed over */
	CSV_END,
};

/* The next record; its fields' text in the arena, *n_r of them. */
enum csv_end csv_next(struct csv *csv, struct arena *a, const char *field[CSV_FIELDS], int *n_r);

/* The next line that is not empty, without its end, for files of one document a line. CSV_BAD:
 * too long, or with a NUL in it. */
enum csv_end csv_line(struct csv *csv, struct arena *a, const char **text_r, size_t *len_r);

#endif
