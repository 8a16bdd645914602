/*
 * activity: what a user did, newest first.
 *
 * The service notes its own (user_created, user_login, ...) in the transaction of the change;
 * callers may add others. Adding one changes no user: no version, no event.
 */
#ifndef ACTIVITY_H
#define ACTIVITY_H

#include "ctx.h"

struct db_set;
extern const struct db_set ACTIVITY_STATEMENTS;

struct activity {
	int64_t id, user_id;
	const char *activity_type, *description, *data, *created_at;
};

/* Rows of use SHOWN in answers, of IN_CREATE in the body of a new one. */
extern const struct shape ACTIVITY;

struct activity_query {
	const char *cursor;
	int64_t limit;
};

extern const struct shape ACTIVITY_QUERY;

/* One of row `x` of user_activities as a JSON object, as a struct of ACTIVITY is printed. */
#define SQL_ACTIVITY_JSON(x)                                                              \
	"json_build_object('id', " x ".id, 'user_id', " x ".user_id, 'activity_type', " x \
	".activity_type, 'description', " x ".description, 'data', " x                    \
	".data, 'created_at', to_char(" x                                                 \
	".created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))"

struct activity_page {
	struct activity *rows;
	int n;
	const char *next; /* the cursor of the page behind it, or NULL */
};

/* A page of a user's, which ends early after DOC_LIST_MOST bytes. E_NOT_FOUND where there is no such user. */
enum err activity_list(struct ctx *c, int64_t user_id, const struct activity_query *q,
		       struct activity_page *out_r) MUST_CHECK;

/* Add one. E_NOT_FOUND where there is no such user. */
enum err activity_add(struct ctx *c, int64_t user_id, const struct activity *in,
		      struct activity *out_r) MUST_CHECK;

#endif
