/*
 * field: one description of a struct's member, from which everything else follows:
 * settings, request bodies, query strings, replies, rows, events and the manual.
 *
 * A shape is a table of such rows. The kind of a row is read off the member itself,
 * so it cannot drift. This file checks and sets members; it reads no format.
 */
#ifndef FIELD_H
#define FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "msg.h"

enum kind {
	K_TEXT,	  /* const char *, UTF-8, NULL is null */
	K_INT,	  /* int64_t, NO_INT is null */
	K_BOOL,	  /* bool */
	K_TIME,	  /* const char *, RFC 3339 */
	K_JSON,	  /* const char *, JSON already printed; goes out only */
	K_OBJECT, /* const char *, any JSON object, printed; max: bytes */
	K_LIST,	  /* const char *, an array of texts, printed; min, max: items; rule: of each */
	K_SHAPE,  /* a pointer to a struct of the shape `of`, an object; comes in only */
};

#define NO_INT INT64_MIN

/* Which members were in the input, and which of these were null, one bit a row. */
struct given {
	uint64_t set, null;
};

/* clang-format off */
struct field {
	const char *name;
	enum kind   kind;
	size_t      off;
	unsigned    use;	/* the owner's bits: which bodies and replies bear it */
	unsigned    need;	/* the uses in which it must be there */
	bool        nullable, secret;
	int64_t     min, max;	/* of the number, or of the text's length in characters; 0 0: any */
	const char *choices;	/* the only texts allowed, separated by blanks */
	enum msg    too_short, out_of_range; /* a sentence of its own instead of the usual */
	/* Checks and may rewrite the text (trim, fold); MSG_OK or what is wrong. */
	enum msg  (*rule)(struct arena *a, const char *text, const char **out_r);
	const char *def, *help, *example;
	const struct shape *of; /* of a K_SHAPE; of a K_JSON, for the manual, NULL: any object */
	unsigned    of_use;	/* which rows of that */
	bool        many;	/* a list of them */
};
/* clang-format on */

/* clang-format off */
#define F_KIND(T, m) _Generic(((T *)0)->m, const char *: K_TEXT, int64_t: K_INT, bool: K_BOOL)
#define F(T, m) .name = #m, .off = offsetof(T, m), .kind = F_KIND(T, m)
/* The same where the member is a text of another kind. */
#define F_AS(T, m, k) .name = #m, .off = offsetof(T, m), .kind = (k)

struct shape {
	size_t size;
	const struct field *field; /* ends with a row without name; at most 64 rows */
	size_t given;              /* where the struct keeps its struct given; NO_GIVEN: nowhere */
	const char *name;          /* of the struct, as in the source: "struct user" */
};

#define NO_GIVEN SIZE_MAX
#define SHAPE(T, ...) { sizeof(T), (const struct field[]){ __VA_ARGS__, { 0 } }, NO_GIVEN, #T }
#define SHAPE_GIVEN(T, ...) \
	{ sizeof(T), (const struct field[]){ __VA_ARGS__, { 0 } }, offsetof(T, given), #T }
/* clang-format on */

/* What is wrong with a request, value by value; room for the first MOST of them. */
enum { FAULTS_MOST = 32 };

struct faults {
	int n;
	const char *within; /* the object of the body whose values are looked at; NULL: itself */
	struct fault_at {
		const char *in, *within,
			*name; /* "body" "query" "path", and which; name may be NULL */
		int item;      /* of a list, from 1; 0: the value as a whole */
		enum msg msg;
		const struct field *field; /* for the limits in the sentence; may be NULL */
		int line, column;	   /* of a text, from 1, where it can't be read; 0: none */
	} at[FAULTS_MOST];
};

/* Note one more fault; the text of `name` is kept by reference. */
void fault_add(struct faults *fs, const char *in, const char *name, enum msg m,
	       const struct field *f);

/* The same of one item of a list, from 1. */
void fault_add_item(struct faults *fs, const char *in, const char *name, int item, enum msg m,
		    const struct field *f);

/* The text in `in` can't be read; at that line and column, both from 1, reading stopped. */
void fault_add_place(struct faults *fs, const char *in, enum msg m, int line, int column);

/* The row called `name` that is of any of these uses; NULL if there is none. */
const struct field *field_find(const struct shape *s, unsigned use, const char *name);

/* Set the member after checking the value against its row; MSG_OK or what is wrong. */
enum msg field_set_text(struct arena *a, const struct field *f, void *base, const char *text);
enum msg field_set_int(const struct field *f, void *base, int64_t n);
enum msg field_set_bool(const struct field *f, void *base, bool yes);
enum msg field_set_null(const struct field *f, void *base);

/* The same for a K_OBJECT, printed as `text`, and a K_LIST of `n` items, which have been through
 * its rule; both kept by reference. */
enum msg field_set_object(const struct field *f, void *base, const char *text);
enum msg field_set_list(const struct field *f, void *base, const char *text, int64_t n);

/* The same for a K_SHAPE, read into `inner`. */
enum msg field_set_shape(const struct field *f, void *base, const void *inner);

/* What is wrong with a value that is not of the row's kind at all. */
enum msg field_wrong_kind(const struct field *f);

/* The same from text of whatever kind the row is: settings and query strings. */
enum msg field_parse(struct arena *a, const struct field *f, void *base, const char *text);

/* Set from a row of the database, unchecked; NULL is null. K_TIME is made RFC 3339. */
void field_load(struct arena *a, const struct field *f, void *base, const char *text);

/* All members null, no bits set. */
void shape_clear(const struct shape *s, void *base);

/* The struct given of `base`, or NULL where the shape has none. */
struct given *shape_given(const struct shape *s, void *base);

/* The member as a JSON value. */
void field_print(struct buf *b, const struct field *f, const void *base);

/* The member of `from` into `to`, structs of one shape; texts by reference. */
void field_copy(const struct field *f, void *to, const void *from);

const char *field_text(const struct field *f, const void *base);
int64_t field_int(const struct field *f, const void *base);

#endif
