/*
 * log: one line per event on standard error, JSON or text.
 *
 *	log_info(EV("session.opened"), KI("user", id), KI("ttl_s", ttl_s));
 *	return log_fail(E_UNAVAILABLE, EV("db.failed"), KS("stmt", name));
 *
 * An event is named noun.past_verb; then come pairs. `debug` is for a developer, `info`
 * it happened, `warn` we coped, `error` someone should look. What belongs to the unit of
 * work (request id, route, actor) comes from the scope and is never repeated. A token,
 * a password, a hash or a whole address is never a value; log_masked helps.
 * Lines are gathered and written at log_flush, at the end of a turn; warn and error at once.
 */
#ifndef LOG_H
#define LOG_H

#include <stdint.h>

#include "arena.h"
#include "err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct pair {
	const char *key;
	const char *text; /* NULL: the number counts */
	int64_t n;
	int kind;
};

enum { P_TEXT = 1, P_INT, P_MS };

#define EV(name) ((struct pair){ "event", (name), 0, P_TEXT })
#define KS(key, value) ((struct pair){ (key), (value), 0, P_TEXT })
#define KI(key, value) ((struct pair){ (key), NULL, (int64_t)(value), P_INT })
/* A duration: given in microseconds, printed in milliseconds with three digits. */
#define KMS(key, value_us) ((struct pair){ (key), NULL, (int64_t)(value_us), P_MS })

/* What all lines of one unit of work share; NULL members are left out. */
struct log_scope {
	const char *request_id, *traceparent, *route;
	int64_t actor; /* the user who acts, 0 for nobody */
};

extern enum log_level log_level;

/* `program` names us in each line; format is "json" or "text", level one of
 * debug info warn error. */
void log_init(const char *program, const char *format, const char *level);

/* The scope of what follows; NULL for none. Kept by reference. */
void log_in(const struct log_scope *scope);

void log_write(enum log_level level, const struct pair *pairs, int n);
enum err log_write_fail(enum err e, const struct pair *pairs, int n);

/* Write out what was gathered. */
void log_flush(void);

/* For a tool that tells a person itself: from now on warnings and errors wait for log_flush too. */
void log_hold(void);

/* Forget what was gathered. */
void log_drop(void);

/* "d***@example.com" for an address: enough to recognise, not to write to. */
const char *log_masked(struct arena *a, const char *email);

/* clang-format off */
#define LOG_PAIRS(...) (const struct pair[]){ __VA_ARGS__ }, \
	(int)(sizeof((const struct pair[]){ __VA_ARGS__ }) / sizeof(struct pair))
#define log_at(level, ...) \
	((level) >= log_level ? log_write((level), LOG_PAIRS(__VA_ARGS__)) : (void)0)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
/* Something of ours broke: one line at error, with the name of `e`; returns `e`. */
#define log_fail(e, ...) log_write_fail((e), LOG_PAIRS(__VA_ARGS__))
/* clang-format on */

#endif
