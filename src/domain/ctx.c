/* ctx: the list of all statements, and what the front door may ask of the stores. */
#include "ctx.h"

#include "log.h"

#include "db.h"
#include "kv.h"

#include "account.h"
#include "activity.h"
#include "auth.h"
#include "behind.h"
#include "directory.h"
#include "effect.h"
#include "event.h"
#include "idem.h"
#include "import.h"
#include "lockout.h"
#include "mail.h"
#include "onetime.h"
#include "outbox.h"
#include "profile.h"
#include "refresh.h"
#include "replay.h"
#include "saga.h"
#include "search.h"
#include "session.h"
#include "stats.h"
#include "stream.h"
#include "sweep.h"
#include "user.h"

/* clang-format off */
#define OF_WORKERS            \
	&ACCOUNT_STATEMENTS,   \
	&ACTIVITY_STATEMENTS,  \
	&AUTH_STATEMENTS,      \
	&DIRECTORY_STATEMENTS, \
	&EVENT_STATEMENTS,     \
	&IDEM_STATEMENTS,      \
	&LOCKOUT_STATEMENTS,   \
	&PROFILE_STATEMENTS,   \
	&REFRESH_STATEMENTS,   \
	&REPLAY_STATEMENTS,    \
	&SAGA_STATEMENTS,      \
	&SEARCH_STATEMENTS,    \
	&SESSION_STATEMENTS,   \
	&STATS_STATEMENTS,     \
	&STREAM_STATEMENTS,    \
	&USER_PAGE_STATEMENTS, \
	&USER_STATEMENTS
/* clang-format on */

const struct db_set *const ALL_STATEMENTS[] = { OF_WORKERS, NULL };
const struct db_set *const TOOL_STATEMENTS[] = { OF_WORKERS, &IMPORT_STATEMENTS, &OUTBOX_STATEMENTS,
						 &MAIL_STATEMENTS, NULL };

const struct db_set *const DAEMON_STATEMENTS[] = {
	&PROFILE_STATEMENTS,
	&BEHIND_STATEMENTS,
	&EFFECT_STATEMENTS,
	&EVENT_STATEMENTS,
	&MAIL_STATEMENTS,
	&ONETIME_STATEMENTS,
	&OUTBOX_STATEMENTS,
	&SAGA_STATEMENTS,
	&SESSION_STATEMENTS,
	&SWEEP_STATEMENTS,
	&USER_PAGE_STATEMENTS,
	&USER_STATEMENTS,
	NULL,
};

enum err
refuse(struct ctx *c, enum err e, const char *field, enum msg m)
{
	fault_add(&c->faults, "body", field, m, NULL);
	return e;
}

void
ctx_hear(struct ctx *c)
{
	behind_ask(c);
	kv_hear(c->kv);
	session_learn_epoch(c);
}

void
ctx_turn_over(struct ctx *c)
{
	kv_turn_over(c->kv);
}

int
ctx_unsettled(const struct ctx *c)
{
	return kv_unsettled(c->kv);
}

/* A change whose page could not be put is still a change; the event repairs the cache. */
void
ctx_settle(struct ctx *c)
{
	int pages = kv_unsettled(c->kv);

	if (kv_settle(c->kv) != OK)
		log_warn(EV("cache.not_updated"), KI("pages", pages));
}

enum err
ctx_database_ready(struct ctx *c)
{
	return db_ready(c->db) == OK ? OK : E_UNAVAILABLE;
}

enum err
ctx_cache_ready(struct ctx *c)
{
	return kv_ready(c->kv) ? OK : E_UNAVAILABLE;
}
