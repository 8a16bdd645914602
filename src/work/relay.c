/*
 * relay: from the outbox to Kafka, in order per user, each row at least once.
 *
 * A row is removed only after Kafka has acknowledged it. Whatever ends this process in
 * between, the row is still there and is said again; who hears it knows it by its id.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "metric.h"

#include "bus.h"

#include "outbox.h"
#include "role.h"
#include "settings.h"

enum {
	BATCH = 2000,
	SETTLE_MS = 2000,
	IDLE_MS = 10,	   /* between looks into an empty outbox */
	STAND_BY_MS = 500, /* between asks for the right that another has */
	TROUBLE_MS = 300,
};

struct relay {
	struct bus_conf conf;
	struct bus_out *out;
	bool active, warm;
	int waiting; /* said and not yet acknowledged: settled before more is said */
};

void *
relay_begin(struct ctx *c)
{
	struct relay *r = must_alloc(sizeof(*r));

	*r = (struct relay){ .conf = { .servers = c->conf->kafka_bootstrap_servers,
				       .client = "usher-relay" } };
	return r;
}

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

/* The producer, and one question to Kafka before the first message. */
static bool
warm(struct ctx *c, struct relay *r)
{
	if (r->out == NULL)
		r->out = bus_out_open(&r->conf);
	if (!r->warm)
		r->warm = bus_warm(r->out, c->conf->kafka_topic, SETTLE_MS) == OK;
	return r->warm;
}

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

/* Remove what Kafka has. A failure only means that it is said again. */
static void
forget_acked(struct ctx *c, const struct bus_receipt *got)
{
	if (got->n_acked == 0)
		return;
	metric_add(METRIC_EVENTS_RELAYED, (uint64_t)got->n_acked);
	if (outbox_done(c, got->acked, got->n_acked) != OK)
		log_warn(EV("relay.will_repeat"), KI("events", got->n_acked));
}

static int
settle(struct ctx *c, struct relay *r)
{
	struct bus_receipt got;
	enum err e = bus_settle(r->out, SETTLE_MS, &got);

	forget_acked(c, &got);
	r->waiting = e == E_UNAVAILABLE ? got.waiting : 0;
	if (e == OK || e == E_BUSY)
		return 0;
	if (e != E_UNAVAILABLE)
		log_error(EV("relay.refused"), KI("seq", got.refused), KS("why", err_row(e)->name));
	return TROUBLE_MS;
}

/* Say the oldest rows and wait until Kafka has them. */
static int
relay_batch(struct ctx *c, struct relay *r)
{
	struct outbox_row *rows;
	int n, said = 0;

	if (outbox_oldest(c, BATCH, &rows, &n) != OK)
		return TROUBLE_MS;
	if (n == 0)
		return IDLE_MS;
	if (!warm(c, r))
		return TROUBLE_MS;
	while (said < n && say_row(c, r, &rows[said]) == OK)
		said++;
	if (said == 0)
		log_error(EV("relay.not_said"), KI("seq", rows[0].seq));
	return settle(c, r);
}

int
relay_turn(struct ctx *c, void *state)
{
	struct relay *r = state;
	enum err e = outbox_claim(c);

	if (e != OK) {
		lose_right(r);
		return e == E_BUSY ? STAND_BY_MS : TROUBLE_MS;
	}
	if (!r->active)
		log_info(EV("relay.active"));
	r->active = true;
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
