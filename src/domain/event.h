/*
 * event: how a change and its event commit together.
 *
 * A statement that changes a user is one chain of CTEs: `u` is the user's new row, then
 * come its activity, its event and the outbox row, by the macros below. Their first four
 * parameters are always EVENT_ARGS. An event never bears a password, a hash or a token.
 */
#ifndef EVENT_H
#define EVENT_H

#include "ctx.h"

/* clang-format off */
/* $1 event id, $2 request id, $3 nginx's id of the request, $4 trace context */
#define EVENT_ARGS(c) event_new_id(c), (c)->request_id, (c)->attempt_id, (c)->traceparent

/* The event `type` of user `uid` at `version` with `data` for each row of `from`, and its
 * way to Kafka. Version NULL for what changes no user. */
#define SQL_EVENT(type, uid, version, data, from) \
	SQL_EVENT_OF("'" type "'", uid, version, data, from)

/* The same where the type is an expression. */
#define SQL_EVENT_OF(type, uid, version, data, from)                                      \
	"e AS (INSERT INTO events (event_id, event_type, user_id, version, data,"         \
	"  request_id, attempt_id, traceparent)"                                          \
	" SELECT $1::uuid, " type ", " uid ", " version ", " data ", $2, $3, $4 FROM " from \
	" RETURNING *), " SQL_OUTBOX

/* What the CTE e has made of events, on its way to Kafka. */
#define SQL_OUTBOX                                                                        \
	"o AS (INSERT INTO outbox (id, aggregateid, type, payload, request_id, traceparent)" \
	" SELECT event_id, COALESCE(user_id::text, event_id::text), event_type,"          \
	"  json_build_object('event_id', event_id, 'event_type', event_type,"             \
	"   'user_id', user_id, 'version', version, 'data', data, 'timestamp',"           \
	"   to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')),"  \
	"  request_id, traceparent FROM e) "

/* What the user did, in its own list. */
#define SQL_ACTIVITY(type, description, data, from)                                       \
	"a AS (INSERT INTO user_activities (user_id, activity_type, description, data)"   \
	" SELECT u.id, '" type "', '" description "', " data " FROM " from "), "

/* All of a user that an event may bear: what it takes to rebuild the row, less the hash. */
#define SQL_WHOLE(row) \
	"to_jsonb(" row ") - '{id,password_hash,version,behind,blind,created_at,updated_at}'::text[]"
/* clang-format on */

struct db_set;
extern const struct db_set EVENT_STATEMENTS;

/* A fresh UUIDv7 in the arena. */
const char *event_new_id(struct ctx *c);

/* nginx sends a PUT or DELETE again when a kept connection broke: has this very request
 * (by nginx's id) already changed this user? */
enum err event_was_done(struct ctx *c, int64_t user_id, bool *done_r) MUST_CHECK;

#endif
