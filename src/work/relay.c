/*
 * relay: from the outbox to Kafka, in order per user, each row at least once.
 *
 * A row is removed only after Kafka has acknowledged it. Whatever ends this process in
 * between, the row is still there and is said again; who hears it knows it by its id.
 *
 * A row that Kafka refuses for good (too large, say) holds back the rows of its key, and no
 * others: it is said so in the log, counted, and tried again once a minute. What Kafka refuses
 * whatever the row (no such topic, no right to it) holds back all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "metric.h"

#include "bus.h"

#include "outbox.h"
#include "role.h"
#include "settings.h"

enum {
	BATCH = 2000,
	SETTLE_MS = 2000,
	WAKE_MS = 2,	   /* between looks into an outbox that was busy just now */
	REST_MS = 32,	   /* and into one that has long been empty */
	STAND_BY_MS = 500, /* between asks for the right that another has */
	TROUBLE_MS = 300,
	HELD_MOST = 100, /* keys; with more of them the trouble is not theirs */
	HOLD_US = 60 * 1000000,
	GAUGE_US = 2 * 1000000,
	GAUGE_PART = 20, /* of the time may go into counting, at most: a twentieth */
	KEY_SIZE = 64,	 /* a user's id or an event's */
};

struct relay {
	struct bus_conf conf;
	struct bus_out *out;
	bool active, warm, refused; /* refused: all of it, and that was said */
	int waiting;		    /* said and not yet acknowledged: settled before more is said */
	int said, most; /* in this batch; less than BATCH while a bad row is looked for */
	int idle_ms;
	int64_t first_seq;
	char first_key[KEY_SIZE];
	int n_held;
	char held[HELD_MOST][KEY_SIZE];
	int64_t held_until_us, gauge_at_us;
};

void *
relay_begin(struct ctx *c)
{
	struct relay *r = must_alloc(sizeof(*r));

	*r = (struct relay){ .conf = { .servers = c->conf->kafka_bootstrap_servers,
				       .client = "usher-relay" },
			     .most = BATCH,
			     .idle_ms = WAKE_MS };
	return r;
}

/*
 * The right, and what it means to have none
 */

/* Nobody may say what another has the right to say. */
static void
lose_right(struct relay *r)
{
	if (r->active)
		log_warn(EV("relay.stands_by"));
	r->active = r->warm = false;
	r->waiting = 0;
	bus_out_close(&r->out);
}

static enum err
claim(struct ctx *c, struct relay *r)
{
	enum err e = outbox_claim(c);

	if (e != OK)
		lose_right(r);
	else if (!r->active)
		log_info(EV("relay.active"));
	r->active = e == OK;
	return e;
}

/* Kafka refuses all that we have to say: said once, until it has taken something. */
static void
refused(struct ctx *c, struct relay *r, enum err why)
{
	if (!r->refused)
		log_error(EV("relay.refused"), KS("topic", c->conf->kafka_topic),
			  KS("why", err_row(why)->name));
	r->refused = true;
}

/* The producer, and one question to Kafka before the first message: asked when there is nothing to
 * say yet, for its number and the first connection take a while. */
static bool
warm(struct ctx *c, struct relay *r)
{
	enum err e;

	if (r->out == NULL)
		r->out = bus_out_open(&r->conf);
	if (r->warm)
		return true;
	e = bus_warm(r->out, c->conf->kafka_topic, SETTLE_MS);
	if (e != OK && e != E_UNAVAILABLE)
		refused(c, r, e);
	r->warm = e == OK;
	return r->warm;
}

/*
 * Keys that are held back
 */

/* Refused for what the row is, not for what we may. */
static bool
is_of_row(enum err e)
{
	return e == E_TOO_LARGE || e == E_INVALID;
}

static bool
is_held(const struct relay *r, const char *key)
{
	for (int i = 0; i < r->n_held; i++) {
		if (strncmp(r->held[i], key, KEY_SIZE - 1) == 0)
			return true;
	}
	return false;
}

/* Whether it could be: with a full list nothing more may be said, or what follows on the key
 * would be said without it. */
static bool
hold(struct ctx *c, struct relay *r, const char *key, int64_t seq, enum err why)
{
	if (r->n_held == HELD_MOST) {
		refused(c, r, why);
		return false;
	}
	log_error(EV("relay.key_held"), KI("seq", seq), KS("key", key),
		  KS("why", err_row(why)->name));
	if (r->n_held == 0)
		r->held_until_us = clock_read_us() + HOLD_US;
	snprintf(r->held[r->n_held++], KEY_SIZE, "%s", key);
	metric_set(METRIC_OUTBOX_HELD, (uint64_t)r->n_held);
	return true;
}

/* After their time all are tried once more; being the oldest, each alone and before all others. */
static void
let_go(struct relay *r)
{
	if (r->n_held == 0 || clock_read_us() < r->held_until_us)
		return;
	r->n_held = 0;
	r->most = 1;
	metric_set(METRIC_OUTBOX_HELD, 0);
}

static enum err
oldest(struct ctx *c, const struct relay *r, struct outbox_row **rows_r, int *n_r)
{
	const char *held[HELD_MOST];

	for (int i = 0; i < r->n_held; i++)
		held[i] = r->held[i];
	return outbox_oldest(c, r->most, held, r->n_held, rows_r, n_r);
}

/*
 * Saying
 */

static enum err
say_row(struct ctx *c, struct relay *r, const struct outbox_row *row)
{
	struct bus_header headers[4];
	struct bus_msg m = { .topic = c->conf->kafka_topic,
			     .key = row->key,
			     .key_len = strlen(row->key),
			     .value = row->payload,
			     .value_len = strlen(row->payload),
			     .headers = headers };

	headers[m.n_headers++] = BUS_HEADER("event_id", row->id);
	headers[m.n_headers++] = BUS_HEADER("content-type", "application/json");
	if (row->request_id != NULL)
		headers[m.n_headers++] = BUS_HEADER("request_id", row->request_id);
	if (row->traceparent != NULL)
		headers[m.n_headers++] = BUS_HEADER("traceparent", row->traceparent);
	return bus_say(r->out, &m, row->seq);
}

/* Say as many as can be said now; the first is remembered, for if it is the only one. OK, or
 * what stopped it. */
static enum err
say_rows(struct ctx *c, struct relay *r, const struct outbox_row *rows, int n)
{
	r->said = 0;
	for (int i = 0; i < n; i++) {
		enum err e;

		if (is_held(r, rows[i].key))
			continue;
		e = say_row(c, r, &rows[i]);
		if (e == OK && r->said++ == 0) {
			r->first_seq = rows[i].seq;
			snprintf(r->first_key, KEY_SIZE, "%s", rows[i].key);
		}
		if (e == OK || (is_of_row(e) && hold(c, r, rows[i].key, rows[i].seq, e)))
			continue;
		return e;
	}
	return OK;
}

/* Remove what Kafka has. A failure only means that it is said again. */
static void
forget_acked(struct ctx *c, struct relay *r, const struct bus_receipt *got)
{
	if (got->n_acked == 0)
		return;
	r->refused = false;
	metric_add(METRIC_EVENTS_RELAYED, (uint64_t)got->n_acked);
	if (outbox_done(c, got->acked, got->n_acked) != OK)
		log_warn(EV("relay.will_repeat"), KI("events", got->n_acked));
}

/* Kafka refused one of the batch: which one shows when it is alone. */
static int
find_refused(struct ctx *c, struct relay *r, enum err e)
{
	r->warm = false; /* the client went with what was taken back */
	if (!is_of_row(e)) {
		refused(c, r, e);
		return TROUBLE_MS;
	}
	if (r->said == 1 && !hold(c, r, r->first_key, r->first_seq, e))
		return TROUBLE_MS;
	r->most = 1;
	return 0;
}

static int
settle(struct ctx *c, struct relay *r)
{
	struct bus_receipt got;
	enum err e = bus_settle(r->out, SETTLE_MS, &got);

	forget_acked(c, r, &got);
	r->waiting = e == E_UNAVAILABLE ? got.waiting : 0;
	switch (e) {
	case OK:
		r->most = r->most * 2 > BATCH ? BATCH : r->most * 2;
		return 0;
	case E_UNAVAILABLE:
		return 0; /* it has waited long enough */
	case E_BUSY:
		r->warm = false;
		return 0;
	default:
		return find_refused(c, r, e);
	}
}

/* How much waits: asked now and then, and where counting takes long more seldom. */
static void
gauge(struct ctx *c, struct relay *r, bool empty)
{
	int64_t began = clock_read_us(), took;
	struct outbox_state s = { 0 };
	enum err e;

	if (began < r->gauge_at_us)
		return;
	e = empty ? OK : outbox_state(c, &s);
	took = clock_read_us() - began;
	r->gauge_at_us =
		began + took + (took * GAUGE_PART > GAUGE_US ? took * GAUGE_PART : GAUGE_US);
	if (e != OK)
		return;
	metric_set(METRIC_OUTBOX_DEPTH, (uint64_t)s.depth);
	metric_set(METRIC_OUTBOX_AGE_MS, (uint64_t)s.oldest_ms);
}

/* Nothing to do: look ever more seldom. */
static int
rest(struct relay *r)
{
	int ms = r->idle_ms;

	r->idle_ms = ms * 2 > REST_MS ? REST_MS : ms * 2;
	return ms;
}

/* Say the oldest rows and wait until Kafka has them. */
static int
relay_batch(struct ctx *c, struct relay *r)
{
	struct outbox_row *rows;
	int n;

	let_go(r);
	if (oldest(c, r, &rows, &n) != OK)
		return TROUBLE_MS;
	gauge(c, r, false);
	if (n == 0)
		return rest(r); /* there is nothing but what is held back */
	r->idle_ms = WAKE_MS;
	if (!warm(c, r))
		return TROUBLE_MS;
	if (say_rows(c, r, rows, n) != OK && r->said == 0) {
		r->warm = false;
		settle(c, r); /* reads the news */
		return TROUBLE_MS;
	}
	return settle(c, r);
}

/* Who has the right and nothing to do only looks; the right is asked for before it is used. */
int
relay_turn(struct ctx *c, void *state)
{
	struct relay *r = state;
	bool empty = false;
	enum err e;

	if (r->active && r->waiting == 0) {
		if (outbox_is_empty(c, &empty) != OK)
			return TROUBLE_MS;
		if (empty) {
			gauge(c, r, true);
			return warm(c, r) ? rest(r) : TROUBLE_MS;
		}
	}
	if ((e = claim(c, r)) != OK)
		return e == E_BUSY ? STAND_BY_MS : TROUBLE_MS;
	return r->waiting > 0 ? settle(c, r) : relay_batch(c, r);
}

void
relay_end(struct ctx *c, void *state)
{
	struct relay *r = state;

	if (r->out != NULL && r->active)
		settle(c, r);
	bus_out_close(&r->out);
	free(r);
}
