/*
 * import: users brought from another system, many at once, with the hashes of their passwords.
 *
 * Each is created as by a sign-up: version 1, the event user_created, an activity of its own
 * kind (user_imported), by which the welcome mail is left out. An address that is there
 * already is left as it is, so that an import may simply be run again.
 */
#ifndef IMPORT_H
#define IMPORT_H

#include "user.h"

struct db_set;
extern const struct db_set IMPORT_STATEMENTS;

enum { IMPORT_BATCH = 200 };

enum imported { IMPORT_THERE, IMPORT_CREATED };

struct import_row {
	struct user user; /* of use IN_IMPORT */
	enum imported end;
};

/* Create those that are not there, in one statement; each row says how it ended. */
enum err import_users(struct ctx *c, struct import_row *rows, int n) MUST_CHECK;

#endif
