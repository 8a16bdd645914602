/*
 * conf: settings by shape, from the environment and a .env file (environment wins).
 *
 * A row's name is the variable's; its kind, range, choices, default and help say the
 * rest. A bad or missing value ends in one line that names the variable, what was found
 * and what is allowed; a secret's value is never shown.
 */
#ifndef CONF_H
#define CONF_H

#include "err.h"
#include "field.h"

enum conf_source { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_NOWHERE };

struct conf_origin {
	enum conf_source of[64]; /* by row */
	const char *strangers;	 /* names in the file that begin like ours, and are none; or NULL */
};

/* Fill `out`. `file` may not exist; each of its lines is NAME=value, a comment (#) or empty. Rows
 * whose `need` has a bit of `need` must have a value. A secret is wiped from the environment once it
 * is read. On E_INVALID *why_r is the line to print. All text lives in the arena. */
enum err conf_load(struct arena *a, const struct shape *s, unsigned need, const char *file,
		   void *out, struct conf_origin *origin_r, const char **why_r) MUST_CHECK;

/* The line for a value that its row alone could not judge. */
const char *conf_complaint(struct arena *a, const struct field *f, const char *found);

/* What the row allows, in words. */
const char *conf_allowed(struct arena *a, const struct field *f);

/* "NAME=value  # from" a line each, secrets masked. */
void conf_print(struct buf *b, const struct shape *s, const void *conf,
		const struct conf_origin *origin);

/* The manual: a Markdown table of all rows. */
void conf_manual(struct buf *b, const struct shape *s);

#endif
