/*
 * mail: from the queue to a mail server, each at least once and normally once.
 *
 * A server that is away concerns all mails: that is said once, and waited out. A mail that
 * the server refuses for now waits ever longer, until it is given up; one that it refuses for
 * good fails at once. Both stay in the table, to be seen and put back.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "metric.h"
#include "service.h"

#include "smtp.h"

#include "letter.h"
#include "mail.h"
#include "role.h"
#include "settings.h"

enum {
	IDLE_MS = 200,
	TROUBLE_MS = 300,
	LEASE_MORE_S = 60,  /* beyond the longest wait for the server: for all else */
	UNSETTLED_MOST = 8, /* times in a row that a mail may have ended its sender */
	LETTER_SIZE = 4096,
};

struct sender {
	struct smtp_conf conf;
	struct smtp *smtp; /* NULL: there is no server, mails are kept */
	bool away;	   /* as of the last mail */
};

/* Signals come in only where we wait: also while the server does not answer. */
static bool
asked_to_stop(void)
{
	return service_pause(0);
}

void *
mail_begin(struct ctx *c)
{
	struct sender *s = must_alloc(sizeof(*s));

	*s = (struct sender){ .conf = { .url = c->conf->smtp_url,
					.ca_file = c->conf->smtp_ca_file,
					.tls_required =
						strcmp(c->conf->smtp_starttls, "required") == 0,
					.wait_ms = (int)c->conf->smtp_timeout_seconds * 1000,
					.give_up = asked_to_stop } };
	if (s->conf.url != NULL)
		s->smtp = smtp_open(&s->conf);
	return s;
}

/* What becomes of a mail, by how the attempt ended. */
struct fate {
	const char *state;
	enum metric metric;
	enum log_level level;
	const char *event;
};

static const struct fate SENT = { "sent", METRIC_MAILS_SENT, LOG_INFO, "mail.sent" };
static const struct fate KEPT = { "kept", METRIC_MAILS_KEPT, LOG_INFO, "mail.kept" };
static const struct fate DROPPED = { "dropped", METRIC_MAILS_DROPPED, LOG_INFO, "mail.dropped" };
static const struct fate DEFERRED = { "waiting", METRIC_MAILS_DEFERRED, LOG_WARN, "mail.deferred" };
/* by a server that is away, which is said once for all mails */
static const struct fate HELD = { "waiting", METRIC_MAILS_DEFERRED, LOG_DEBUG, "mail.held" };
static const struct fate FAILED = { "failed", METRIC_MAILS_FAILED, LOG_ERROR, "mail.failed" };

static const struct fate *
fate_of(const struct ctx *c, enum err e, const struct mail *m)
{
	bool overdue = m->waited_s > c->conf->mail_give_up_hours * 3600;

	if (e == E_UNAVAILABLE && service_stopping())
		return &HELD; /* our doing, not the server's */
	switch (e) {
	case OK:
		return &SENT;
	case E_NOT_FOUND:
		return &DROPPED;
	case E_INVALID:
		return &FAILED;
	default:
		return overdue ? &FAILED : e == E_UNAVAILABLE ? &HELD : &DEFERRED;
	}
}

static int
settle(struct ctx *c, const struct mail *m, const struct fate *f, const char *why)
{
	int64_t wait_s = mail_wait_s(c, m->attempts);

	metric_add(f->metric, 1);
	log_at(f->level, EV(f->event), KI("mail", m->id), KS("kind", m->kind),
	       KI("attempt", m->attempts), KS("to", log_masked(c->arena, m->recipient)),
	       KS("why", why == NULL ? "" : why));
	/* unsettled it comes back when its claim ends */
	return mail_settle(c, m, f->state, why, wait_s) == OK ? 0 : TROUBLE_MS;
}

/* Say it when the server goes away and when it is back, not for every mail between. */
static void
note_server(struct sender *s, bool away, const char *why)
{
	if (away && !s->away)
		log_error(EV("mail.server_away"), KS("why", why));
	if (!away && s->away)
		log_info(EV("mail.server_back"));
	s->away = away;
}

static int
send_one(struct ctx *c, struct sender *s, const struct mail *m)
{
	struct buf letter = buf_new(c->arena, LETTER_SIZE);
	const char *why = NULL;
	enum err e = letter_write(c, m, &letter, &why);
	int wait_ms;

	if (e == E_NOT_FOUND)
		return settle(c, m, &DROPPED, why);
	if (e == E_INVALID)
		return settle(c, m, &FAILED, why);
	if (e != OK)
		return TROUBLE_MS; /* it comes back when its claim ends */
	e = smtp_send(s->smtp, c->conf->mail_from, m->recipient, letter.text, letter.len, &why);
	if (!service_stopping()) /* which ends a wait, too */
		note_server(s, e == E_UNAVAILABLE, why);
	wait_ms = settle(c, m, fate_of(c, e, m), e == OK ? NULL : why);
	return e == E_UNAVAILABLE ? (int)c->conf->mail_retry_seconds * 1000 : wait_ms;
}

int
mail_turn(struct ctx *c, void *state)
{
	struct sender *s = state;
	struct mail m;
	enum err e = mail_claim(c, c->conf->smtp_timeout_seconds + LEASE_MORE_S, &m);

	if (e != OK)
		return e == E_NOT_FOUND ? IDLE_MS : TROUBLE_MS;
	if (m.unsettled > UNSETTLED_MOST)
		return settle(c, &m, &FAILED, "its senders ended before they had done with it");
	return s->smtp == NULL ? settle(c, &m, &KEPT, NULL) : send_one(c, s, &m);
}

void
mail_end(struct ctx *c, void *state)
{
	struct sender *s = state;

	(void)c;
	smtp_close(&s->smtp);
	free(s);
}
