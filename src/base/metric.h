/*
 * metric: counters in memory that all workers share, so that any one of them can
 * answer for all. No counter without a sentence about it.
 *
 * The memory is a file, mapped; it outlives a worker and is thrown away when the
 * layout changes. Where it can't be had each process counts for itself, and says so once.
 */
#ifndef METRIC_H
#define METRIC_H

#include <stdint.h>

#include "buf.h"

/* clang-format off */
/*    name              exposed as                       what it counts */
#define METRIC_LIST(X)                                                                      \
	X(TURNS,          "usher_turns_total",             "turns of the workers")          \
	X(CONNECTIONS,    "usher_connections_total",       "connections accepted from nginx") \
	X(BAD_RECORDS,    "usher_bad_requests_total",      "connections closed for malformed FastCGI or a short body") \
	X(CACHE_HITS,     "usher_cache_hits_total",        "users answered from Redis")     \
	X(CACHE_MISSES,   "usher_cache_misses_total",      "users asked for that Redis did not have") \
	X(CACHE_PUTS,     "usher_cache_puts_total",        "records put into Redis")        \
	X(CACHE_REFUSED,  "usher_cache_stale_refused_total", "records not put, as Redis had the same or a newer one") \
	X(CACHE_REPAIRED, "usher_cache_repaired_total",    "cached users looked at for an event, and dropped where older") \
	X(BEHIND_TAKEN,   "usher_behind_accepted_total",   "changes written behind: answered 202") \
	X(BEHIND_SYNC,    "usher_behind_synchronous_total", "changes asked to be written behind, and made at once") \
	X(BEHIND_FLUSHED, "usher_behind_flushed_total",    "users whose written-behind changes reached PostgreSQL") \
	X(BEHIND_DROPPED, "usher_behind_dropped_total",    "users deleted before their written-behind changes got there") \
	X(CACHE_FAILURES, "usher_cache_failures_total",    "round trips to Redis that failed") \
	X(DB_STATEMENTS,  "usher_db_statements_total",     "statements sent to PostgreSQL") \
	X(DB_FAILURES,    "usher_db_failures_total",       "statements that failed, the caller's mistakes left out") \
	X(DB_CONNECTS,    "usher_db_connects_total",       "connections made to PostgreSQL") \
	X(TOKENS_CHECKED, "usher_tokens_checked_total",    "signatures of access tokens checked") \
	X(TOKENS_KNOWN,   "usher_tokens_known_total",      "access tokens recognised without checking the signature again") \
	X(EVENTS_RELAYED, "usher_events_relayed_total",    "events that Kafka has acknowledged") \
	X(EVENTS_CONSUMED, "usher_events_consumed_total",  "events heard and done with")    \
	X(EVENTS_OTHER,   "usher_events_other_total",      "events consumed from whose type nothing but a count follows") \
	X(EVENTS_DUPLICATE, "usher_events_duplicate_total", "events heard that had been done before") \
	X(EVENTS_RETRIED, "usher_events_retried_total",    "tries of single events that failed") \
	X(EVENTS_PARKED,  "usher_events_parked_total",     "events sent to the dead letters") \
	X(PASSWORDS_CHANGED, "usher_passwords_changed_total", "passwords changed, and reset by mail") \
	X(MAILS_SENT,     "usher_mails_sent_total",        "mails that a server has taken") \
	X(MAILS_DEFERRED, "usher_mails_deferred_total",    "tries of mails that are to be tried again") \
	X(MAILS_FAILED,   "usher_mails_failed_total",      "mails refused for good, or given up") \
	X(MAILS_KEPT,     "usher_mails_kept_total",        "mails kept because there is no server to send them with") \
	X(MAILS_DROPPED,  "usher_mails_dropped_total",     "mails to users who are gone or have another address") \
	X(ROWS_SWEPT,     "usher_rows_swept_total",        "rows removed because their time was over") \
	X(SIGNUPS,        "usher_signups_total",           "users created")                 \
	X(LOGINS,         "usher_logins_total",            "logins that succeeded")         \
	X(LOGINS_FAILED,  "usher_logins_failed_total",     "logins refused")                \
	X(LOCKED,         "usher_accounts_locked_total",   "accounts locked for too many wrong passwords") \
	X(LIMITED,        "usher_limited_total",           "requests refused for coming too often") \
	X(SAGAS_DONE,     "usher_sagas_done_total",        "sagas that have done all their steps") \
	X(SAGAS_UNDONE,   "usher_sagas_undone_total",      "sagas that have taken all their steps back") \
	X(SAGAS_RESUMED,  "usher_sagas_resumed_total",     "times that the daemon went on with a saga") \
	X(SESSIONS_REUSED, "usher_sessions_reused_total",  "sessions ended because an old refresh token was used")

/* What goes up and down: set by the one process that knows. */
#define GAUGE_LIST(X)                                                                       \
	X(OUTBOX_DEPTH,   "usher_outbox_depth",            "events that wait for Kafka, counted up to a million") \
	X(OUTBOX_AGE_MS,  "usher_outbox_age_milliseconds", "age of the oldest of them")     \
	X(OUTBOX_HELD,    "usher_outbox_held_keys",        "keys whose next event Kafka refuses, and that wait for it") \
	X(BEHIND_DEPTH,   "usher_behind_depth",            "users whose written-behind changes wait in Redis") \
	X(BEHIND_AGE,     "usher_behind_age_ms",           "how long the first of them has waited, ms") \
	X(KAFKA,          "usher_kafka_state",             "Kafka as this host last saw it: 0 not known, 1 away, 2 there") \
	X(PROFILE_STORE,  "usher_profile_store_state",     "the second database, likewise") \
	X(SAGAS_OPEN,     "usher_sagas_open",              "sagas that are neither done nor undone")

#define X(name, ...) METRIC_##name,
enum metric { METRIC_LIST(X) METRIC_GAUGES, METRIC_LAST_COUNTER = METRIC_GAUGES - 1, GAUGE_LIST(X) METRIC_COUNT };
#undef X

/* What is known of a server. */
enum metric_state { STATE_UNKNOWN, STATE_AWAY, STATE_THERE };

/* The consumer groups whose lag is kept, by partition. */
enum metric_group { METRIC_EFFECTS, METRIC_CACHE, METRIC_GROUPS };
/* clang-format on */

enum {
	METRIC_ROUTES = 64,
	METRIC_NO_ROUTE = METRIC_ROUTES - 1,
	METRIC_STATUSES = 24,
	METRIC_BUCKETS = 14,
	METRIC_PARTITIONS = 64
};

/* Upper bounds of the duration buckets in microseconds; the last one is open. */
extern const int64_t METRIC_BOUNDS_US[METRIC_BUCKETS - 1];

/* Map the shared memory at `path`. NULL: this process counts for itself. */
void metric_init(const char *path);

/* A counter goes up; a gauge (from METRIC_GAUGES on) is set. */
void metric_add(enum metric m, uint64_t n);
void metric_set(enum metric m, uint64_t value);
uint64_t metric_get(enum metric m);

/* How many messages of a partition a group has not done with yet; -1 is unknown. Beyond
 * METRIC_PARTITIONS nothing is kept. */
void metric_set_lag(enum metric_group g, int partition, int64_t lag);
int64_t metric_lag(enum metric_group g, int partition);

/* Requests are counted by route, which is the number of a row of somebody's table. `names` is
 * that table as text: where another one was counted by before, its counts are dropped. Once, at
 * start, after metric_init. */
void metric_routes(const char *names);

/* One request of row `route`, or METRIC_NO_ROUTE, was answered with the HTTP `status` after `us`. */
void metric_request(int route, int status, int64_t us);

struct metric_route {
	const char *method, *path;
};

/* All of it in the text format of Prometheus (0.0.4): ours by the names above, requests as
 * OpenTelemetry names them. The `n` rows are the routes. */
void metric_print(struct buf *b, const struct metric_route *routes, int n);

#endif
