/*
 * cursor: where a page of a list begins, as an opaque word that goes out and comes back.
 *
 * It holds which list it is of, the direction and the id beyond which the page lies, and a few
 * bytes of a hash, so that a word that is damaged or made up is refused and not guessed at.
 * It is no secret and gives no right: a page is what the caller may see in any case.
 */
#ifndef CURSOR_H
#define CURSOR_H

#include "field.h"

struct cursor {
	char list;	/* which: 'u' users, 'a' activities */
	bool backwards; /* the page ends before the id, instead of beginning behind it */
	int64_t id;
};

/* The word, in the arena. */
const char *cursor_print(struct arena *a, struct cursor c);

/* False, and *out_r untouched, where the word is none that cursor_print made for `list`. */
bool cursor_read(const char *text, char list, struct cursor *out_r);

/* The check of a query's row: MSG_CURSOR for what is none of the list's. */
enum msg cursor_rule(struct arena *a, const char *text, char list, const char **out_r);

#endif
