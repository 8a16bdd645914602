/*
 * ctl: what the commands of usherctl are handed, and what they share.
 *
 * A command reads its arguments, does one thing, prints for a person and ends with an exit
 * status. Those that stand here are in files of their own.
 */
#ifndef CTL_H
#define CTL_H

#include "conf.h"

#include "db.h"

#include "ctx.h"
#include "settings.h"

enum { DONE, FAILED, WRONG_CALL };

/* What a command works with: the settings are read, the stores opened when asked for. */
struct tool {
	struct arena *arena;
	struct settings s;
	struct conf_origin origin;
	struct ctx c;
	struct db_conf db;
	int argc; /* what follows the command's own words */
	char **argv;
};

/* One line on standard error: what failed and why ("" for no more to say), in place of what was
 * logged of it. FAILED. */
int ctl_fail(const char *what, const char *why);

/* "1 user", "2 users"; in the arena. */
const char *ctl_count(struct tool *t, int64_t n, const char *one, const char *many);

/* The stores as t->c has them from now on; closed when the command has run. */
void ctl_open_stores(struct tool *t);

/* The value of an option such as --email; NULL if it is not there. */
const char *ctl_option(const struct tool *t, const char *name);
bool ctl_flag(const struct tool *t, const char *name);

/* ctl_cache.c */
int ctl_cache_stats(struct tool *t);
int ctl_cache_get(struct tool *t);
int ctl_cache_flush(struct tool *t);
int ctl_events_verify(struct tool *t);
int ctl_events_replay(struct tool *t);

/* ctl_events.c */
int ctl_outbox(struct tool *t);
int ctl_dlq_list(struct tool *t);
int ctl_dlq_show(struct tool *t);
int ctl_dlq_replay(struct tool *t);

/* ctl_import.c */
int ctl_user_import(struct tool *t);

/* ctl_key.c */
int ctl_key_new(struct tool *t);

/* ctl_mail.c */
int ctl_mail_list(struct tool *t);
int ctl_mail_retry(struct tool *t);

#endif
