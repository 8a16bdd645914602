/*
 * migrate: the schema, step by step, up and down.
 *
 * A migration is a pair NNNN_name.up.sql / .down.sql in one folder, numbered from 0001
 * without gaps. Each runs in one transaction together with its row in schema_migrations,
 * which keeps a checksum: a file that was edited after it was applied is an error. Two
 * runs at once wait for each other by an advisory lock.
 */
#ifndef MIGRATE_H
#define MIGRATE_H

#include "err.h"
#include "arena.h"

struct migrate {
	struct arena *arena;
	const char *url; /* of the owner of the tables */
	const char *dir;
	const char
		*service_role; /* who gets the rights of the service: set as usher.service_role */
	void (*say)(const char *line); /* progress, one line each, without line feed */
};

/* Apply all that is missing. E_CONFLICT for an edited or missing file; what failed is said. */
enum err migrate_up(const struct migrate *m) MUST_CHECK;

/* Take back the newest `steps`. */
enum err migrate_down(const struct migrate *m, int steps) MUST_CHECK;

/* One line a migration: applied when, or pending. E_CONFLICT as above. */
enum err migrate_status(const struct migrate *m) MUST_CHECK;

/* Make the pair of files of the next number. The name: letters, digits, '_'. */
enum err migrate_new(const struct migrate *m, const char *name) MUST_CHECK;

#endif
