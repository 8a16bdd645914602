/*
 * ctl_import: usherctl user import. A source of rows, a batch of them, a tally.
 *
 * CSV with a header, or one JSON object a line; the first byte tells. Refused rows are
 * reported on standard output by line and reason, never with a value.
 */
#include "ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csv.h"
#include "doc.h"
#include "text.h"

#include "import.h"

/* Where rows come from. */
struct source {
	struct csv csv;
	bool json;
	const struct field *column[CSV_FIELDS];
	int columns;
};

struct tally {
	int64_t created, there, refused;
	int64_t shown; /* rows when progress was shown last */
};

enum { SHOW_EVERY = 10000 }; /* rows, where nobody watches */

/*
 * Rows
 */

/* The header names the columns; each is a field that may be imported, once. */
static bool
read_header(struct source *s, struct arena *a, const char **why_r)
{
	const char *name[CSV_FIELDS];
	uint64_t seen = 0;

	*why_r = "the first line must name the columns: name, email, password_hash and so on";
	if (csv_next(&s->csv, a, name, &s->columns) != CSV_RECORD)
		return false;
	for (int i = 0; i < s->columns; i++) {
		const struct field *f = field_find(&USER, IN_IMPORT, text_trim(a, name[i]));
		uint64_t bit = f == NULL ? 0 : UINT64_C(1) << (f - USER.field);

		*why_r = arena_printf(a, "column %d is %s", i + 1,
				      f == NULL ? "nothing that a user has" : "there twice");
		if (f == NULL || (seen & bit) != 0)
			return false;
		seen |= bit;
		s->column[i] = f;
	}
	return true;
}

static bool
open_source(struct source *s, struct arena *a, const char *path, const char **why_r)
{
	int first;

	*s = (struct source){ .csv.in = fopen(path, "re") };
	if (s->csv.in == NULL) {
		*why_r = strerror(errno);
		return false;
	}
	first = getc(s->csv.in);
	ungetc(first, s->csv.in);
	s->json = first == '{';
	return s->json || read_header(s, a, why_r);
}

static void
check_needed(const struct user *u, struct faults *faults)
{
	for (const struct field *f = USER.field; f->name != NULL; f++) {
		if ((f->need & IN_IMPORT) != 0 && (u->given.set >> (f - USER.field) & 1) == 0)
			fault_add(faults, "line", f->name, MSG_MISSING, f);
	}
}

/* What is empty is not given. */
static void
take_values(const struct source *s, struct arena *a, const char *const *value, struct user *u,
	    struct faults *faults)
{
	for (int i = 0; i < s->columns; i++) {
		const struct field *f = s->column[i];
		bool sound = text_is_utf8(value[i], strlen(value[i]));
		enum msg m = MSG_OK;

		if (*value[i] == '\0')
			continue;
		m = sound ? field_parse(a, f, u, value[i]) : MSG_NOT_UTF8;
		if (m != MSG_OK)
			fault_add(faults, "line", f->name, m, f);
		u->given.set |= UINT64_C(1) << (f - USER.field);
	}
	check_needed(u, faults);
}

static enum csv_end
next_of_csv(struct source *s, struct arena *a, struct user *u, struct faults *faults)
{
	const char *value[CSV_FIELDS];
	int n;
	enum csv_end end = csv_next(&s->csv, a, value, &n);

	if (end != CSV_RECORD || n != s->columns)
		return end == CSV_END ? CSV_END : CSV_BAD;
	shape_clear(&USER, u);
	take_values(s, a, value, u, faults);
	return CSV_RECORD;
}

static enum csv_end
next_of_json(struct source *s, struct arena *a, struct user *u, struct faults *faults)
{
	const char *text;
	size_t len;
	enum csv_end end = csv_line(&s->csv, a, &text, &len);

	if (end != CSV_RECORD)
		return end;
	return doc_read(a, &USER, IN_IMPORT, text, len, u, faults) == E_MALFORMED ? CSV_BAD
										  : CSV_RECORD;
}

/*
 * What is said of it
 */

static void
report(struct ctx *c, const struct source *s, const struct faults *faults)
{
	for (int i = 0; i < faults->n; i++) {
		const struct fault_at *f = &faults->at[i];
		struct buf b = buf_new(c->arena, 80);

		msg_print(&b, f->msg, EN, f->field);
		printf("line %lld: %s%s%s\n", (long long)s->csv.line,
		       f->name == NULL ? "" : f->name, f->name == NULL ? "" : ": ", b.text);
	}
}

static void
show(const struct source *s, struct tally *t, bool last)
{
	int64_t rows = t->created + t->there + t->refused;
	bool watched = isatty(STDERR_FILENO) != 0;

	if (!watched && (last ? rows == t->shown && rows > 0 : rows - t->shown < SHOW_EVERY))
		return; /* or it has been said */
	t->shown = rows;
	fprintf(stderr,
		"%s%lld lines read: %lld user%s imported, %lld there already, %lld refused%s",
		watched ? "\r" : "", (long long)s->csv.lines_read, (long long)t->created,
		t->created == 1 ? "" : "s", (long long)t->there, (long long)t->refused,
		watched && !last ? "" : "\n");
}

/*
 * Batches
 */

/* Read up to a batch of rows that may be imported; the others are reported. False at the end. */
static bool
fill(struct ctx *c, struct source *s, struct tally *t, struct import_row *rows, int *n_r)
{
	*n_r = 0;
	while (*n_r < IMPORT_BATCH) {
		struct faults faults = { 0 };
		struct user *u = &rows[*n_r].user;
		enum csv_end end = s->json ? next_of_json(s, c->arena, u, &faults)
					   : next_of_csv(s, c->arena, u, &faults);

		if (end == CSV_END)
			return false;
		if (end == CSV_RECORD && faults.n == 0) {
			++*n_r;
			continue;
		}
		t->refused++;
		if (end == CSV_BAD)
			printf("line %lld: can't be read as %s\n", (long long)s->csv.line,
			       s->json ? "a JSON object"
				       : "a record of as many fields as the header");
		report(c, s, &faults);
	}
	return true;
}

static void
count(struct tally *t, const struct import_row *rows, int n)
{
	for (int i = 0; i < n; i++) {
		t->created += rows[i].end == IMPORT_CREATED;
		t->there += rows[i].end == IMPORT_THERE;
	}
}

static enum err
all_batches(struct ctx *c, struct source *s, struct tally *t)
{
	struct import_row *rows = must_alloc(IMPORT_BATCH * sizeof(*rows));
	bool more = true;
	enum err e = OK;
	int n;

	while (more && e == OK) {
		more = fill(c, s, t, rows, &n);
		if ((e = import_users(c, rows, n)) == OK)
			count(t, rows, n);
		show(s, t, !more || e != OK);
		arena_reset(c->arena);
	}
	explicit_bzero(rows, IMPORT_BATCH * sizeof(*rows));
	free(rows);
	return e;
}

/* All of the file, in an arena of its own that is wiped after each batch. */
static enum err
import_all(struct ctx *c, struct source *s, struct tally *t)
{
	struct arena *kept = c->arena;
	enum err e;

	c->arena = arena_new(256 * 1024);
	e = all_batches(c, s, t);
	arena_free(&c->arena);
	c->arena = kept;
	fclose(s->csv.in);
	return e;
}

int
ctl_user_import(struct tool *t)
{
	struct tally tally = { 0 };
	struct source s;
	const char *why;
	enum err e;

	if (t->argc != 1)
		return ctl_fail("user import", "wants one FILE"), WRONG_CALL;
	if (!open_source(&s, t->arena, t->argv[0], &why))
		return ctl_fail(t->argv[0], why);
	ctl_open_stores(t);
	if ((e = import_all(&t->c, &s, &tally)) != OK)
		return ctl_fail("user import", err_row(e)->en);
	if (tally.refused > 0)
		return ctl_fail("user import",
				"some lines were refused; mend them and run it again");
	return DONE;
}
