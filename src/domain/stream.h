/*
 * stream: the event store as a reader sees it, and what callers put into it.
 *
 * Its order is total and stable: first the transaction, then the place within it. A reader
 * sees only what nothing earlier can follow any more, so a row that commits late is never
 * passed by; one long transaction therefore holds back all that came after it began.
 * A position is a text of ours, "transaction.place", good for `after` and nothing else.
 */
#ifndef STREAM_H
#define STREAM_H

#include "ctx.h"

struct db_set;
extern const struct db_set STREAM_STATEMENTS;

enum { DATA_MOST = 16 * 1024 }; /* bytes of a caller's own JSON object */

/* An event of a caller's own. */
struct posted {
	const char *event_type, *data;
	int64_t user_id; /* NO_INT: the caller */
};

extern const struct shape POSTED;

struct receipt {
	const char *event_id;
};

extern const struct shape RECEIPT;

/* Store it, on its way to Kafka; it bears no version. E_FORBIDDEN for another's user_id by
 * somebody who is no admin, E_NOT_FOUND where there is no such user. */
enum err stream_post(struct ctx *c, const struct posted *in, struct receipt *out_r) MUST_CHECK;

/* What to read. */
struct stream_query {
	const char *after; /* a position; NULL: from the beginning */
	int64_t limit;
	const char *event_type; /* only this one; NULL: all */
};

extern const struct shape STREAM_QUERY, USER_STREAM_QUERY;

/* An event as readers get it: what a page holds. */
extern const struct shape STORED_EVENT;

struct stream_page {
	struct buf body;  /* a JSON array */
	const char *last; /* the position of its last event, where there may be more; else NULL */
};

/* All events, or with `user_id` those of one user, gone or not; a page ends early after
 * DOC_LIST_MOST bytes. E_NOT_FOUND where there never was such a user. */
enum err stream_read(struct ctx *c, const struct stream_query *q,
		     struct stream_page *out_r) MUST_CHECK;
enum err stream_of_user(struct ctx *c, int64_t user_id, const struct stream_query *q,
			struct stream_page *out_r) MUST_CHECK;

/* Are there events of transactions that are yet to come? So it is where a dump was restored into a new
 * cluster: readers don't see them before the server's counter has passed theirs. *newest_r: of the
 * newest event, 0 where there is none; *next_r: the server's next. */
enum err stream_txids(struct ctx *c, int64_t *newest_r, int64_t *next_r) MUST_CHECK;

#endif
