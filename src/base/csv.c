/* csv: a byte at a time, with an eye on the lines. */
#include "csv.h"

#include "buf.h"

/* The next byte; CRLF is LF. */
static int
next(struct csv *csv)
{
	int c = getc(csv->in);

	if (c == '\r') {
		c = getc(csv->in);
		if (c != '\n') {
			ungetc(c, csv->in);
			c = '\r';
		}
	}
	csv->lines_read += c == '\n';
	return c;
}

static bool
ends_record(int c)
{
	return c == '\n' || c == EOF;
}

/* RFC 4180 knows no byte order mark; spreadsheets do. */
static void
skip_mark(struct csv *csv)
{
	static const int MARK[] = { 0xef, 0xbb, 0xbf };

	csv->begun = true;
	for (size_t i = 0; i < NELEM(MARK); i++) {
		int c = getc(csv->in);

		if (c != MARK[i]) {
			ungetc(c, csv->in);
			return;
		}
	}
}

/* The first byte of the next record; EOF at the end. */
static int
begin(struct csv *csv)
{
	int c;

	if (!csv->begun)
		skip_mark(csv);
	do {
		csv->line = csv->lines_read + 1;
		c = next(csv);
	} while (c == '\n');
	return c;
}

/* The byte after the quote that closes what is open. */
static int
past_quote(struct csv *csv)
{
	int c;

	do {
		while ((c = next(csv)) != '"' && c != EOF)
			;
		c = c == EOF ? EOF : next(csv);
	} while (c == '"');
	return c;
}

/* To the end of the record, which is not the end of a line between quotes. */
static enum csv_end
pass_over(struct csv *csv, int c, bool quote_open)
{
	c = quote_open ? past_quote(csv) : c;
	while (!ends_record(c)) {
		bool begins = c == ',';

		c = next(csv);
		if (begins && c == '"')
			c = past_quote(csv);
	}
	return CSV_BAD;
}

static enum csv_end
pass_over_line(struct csv *csv, int c)
{
	while (!ends_record(c))
		c = next(csv);
	return CSV_BAD;
}

/* What is between the quotes; the byte after the closing one. EOF with *good_r false where it
 * is never closed. */
static int
quoted(struct csv *csv, struct buf *b, bool *good_r)
{
	int c;

	for (;;) {
		c = next(csv);
		if (c == '"' && (c = next(csv)) != '"')
			return c;
		*good_r = c != EOF && c != '\0' && b->len < CSV_RECORD_MOST;
		if (!*good_r)
			return c;
		buf_char(b, (char)c);
	}
}

static int
plain(struct csv *csv, struct buf *b, int c, bool *good_r)
{
	for (; c != ',' && !ends_record(c); c = next(csv)) {
		*good_r = c != '"' && c != '\0' && b->len < CSV_RECORD_MOST;
		if (!*good_r)
			return c;
		buf_char(b, (char)c);
	}
	return c;
}

enum csv_end
csv_next(struct csv *csv, struct arena *a, const char *field[CSV_FIELDS], int *n_r)
{
	size_t sum = 0;
	int c = begin(csv);

	*n_r = 0;
	if (c == EOF)
		return CSV_END;
	for (;; c = next(csv)) {
		struct buf b = buf_new(a, 64);
		bool good = true, in_quotes = c == '"';

		c = in_quotes ? quoted(csv, &b, &good) : plain(csv, &b, c, &good);
		sum += b.len;
		if (!good || (c != ',' && !ends_record(c)) || *n_r == CSV_FIELDS ||
		    sum > CSV_RECORD_MOST)
			return pass_over(csv, c, in_quotes && !good);
		field[(*n_r)++] = b.text;
		if (ends_record(c))
			return CSV_RECORD;
	}
}

enum csv_end
csv_line(struct csv *csv, struct arena *a, const char **text_r, size_t *len_r)
{
	struct buf b = buf_new(a, 512);
	int c = begin(csv);

	if (c == EOF)
		return CSV_END;
	for (; !ends_record(c); c = next(csv)) {
		if (c == '\0' || b.len == CSV_RECORD_MOST)
			return pass_over_line(csv, c);
		buf_char(&b, (char)c);
	}
	*text_r = b.text;
	*len_r = b.len;
	return CSV_RECORD;
}
