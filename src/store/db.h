/*
 * db: PostgreSQL behind one small header; the only file to know libpq.
 *
 * Statements are known at start, stand in tables of the files that own them and are
 * prepared once a connection; values travel as parameters only. A connection that broke
 * is made again before the next use. A statement that died with its connection is tried
 * once more only if it changes nothing; one that lost a race (deadlock, serialization)
 * is tried again, with a bound. While the server is away calls fail at once, and a new
 * connection is tried ever more seldom, at most every two seconds.
 */
#ifndef DB_H
#define DB_H

#include "err.h"
#include "field.h"

struct db;

/* clang-format off */
struct db_stmt {
	const char *name, *sql;
	int  args;	/* $1 to $args */
	bool writes;	/* it changes something: never repeat it blindly */
};
/* clang-format on */

/* One owner's table. */
struct db_set {
	const struct db_stmt *stmt;
	int n;
};

/* clang-format off */
struct db_conf {
	const char *url;	  /* libpq URI; several hosts allowed */
	const char *program;	  /* application_name */
	const struct db_set *const *sets; /* ends with NULL; may be NULL */
	bool log_sql;		  /* a line for each statement */
	int64_t slow_us;	  /* a warning for each statement slower than this */
	bool patient;		  /* no statement timeout: for migrations */
};
/* clang-format on */

/* Values by position; NULL is null. */
#define ARGS(...)             \
	(const char *const[]) \
	{                     \
		__VA_ARGS__   \
	}

/* Is it a libpq URI (a driver's suffix aside), with options that libpq knows and ports that there are? */
bool db_url_is_good(const char *url);

/* The handle; connects at first use or by db_ready. Never NULL. `conf` is kept. */
struct db *db_open(const struct db_conf *conf);

/* Is there a working connection now, or can one be made? OK, E_UNAVAILABLE, or E_BUG when
 * the server answers but a statement does not fit its schema or it is not UTF-8; the
 * reason is logged. */
enum err db_ready(struct db *db) MUST_CHECK;

/* Run a statement and read its first row by the rows of the shape that are of `use`, in
 * their order. E_NOT_FOUND where there is no row; E_CONFLICT where a unique or foreign key
 * stands against it (see db_constraint); E_BUSY for time-outs and lost races; E_UNAVAILABLE;
 * E_UNCERTAIN for a change whose answer was lost; E_INVALID for text the server refuses;
 * E_BUG. What is not the caller's doing is logged here. */
enum err db_one(struct db *db, struct arena *a, const struct db_stmt *st, const char *const *args,
		const struct shape *s, unsigned use, void *out_r) MUST_CHECK;

/* The same for any number of rows: *rows_r is an array in the arena of *n_r structs. */
enum err db_many(struct db *db, struct arena *a, const struct db_stmt *st, const char *const *args,
		 const struct shape *s, unsigned use, void *rows_r, int *n_r) MUST_CHECK;

/* The same without rows; *changed_r (may be NULL) is how many rows it changed. */
enum err db_do(struct db *db, const struct db_stmt *st, const char *const *args,
	       int64_t *changed_r) MUST_CHECK;

/* Run `body` in one transaction: committed if it returns OK, else rolled back and its code
 * returned. Scopes do not nest. A lost race runs the body again, with a bound. A COMMIT that
 * the server answers with ROLLBACK is E_BUG; one whose answer is lost is E_UNCERTAIN. */
enum err db_within(struct db *db, enum err (*body)(void *arg), void *arg) MUST_CHECK;

/* SQL that is no statement of a table: the text of a migration, which may be many. */
enum err db_script(struct db *db, const char *sql) MUST_CHECK;

/* What the server said last, for an operator's eyes only (usherctl); "" if nothing. */
const char *db_complaint(const struct db *db);

/* The constraint or index that the last E_CONFLICT named; "" if none. */
const char *db_constraint(const struct db *db);

/* Close, free, and clear the caller's pointer. */
void db_close(struct db **db);

/* The user name in a libpq URI, or NULL; into the arena. */
const char *db_url_user(struct arena *a, const char *url);

/* A PostgreSQL array literal of numbers, "{1,2,3}". */
const char *db_array(struct arena *a, const int64_t *ids, int n);

/* A number as an argument; NO_INT is null. */
const char *db_int(struct arena *a, int64_t n);

#endif
