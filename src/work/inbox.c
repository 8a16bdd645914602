/*
 * inbox: from Kafka to what follows. Two consumer groups live here, which differ in one row:
 * the one that makes effects, each once, and the one that repairs the cache.
 *
 * A batch's effects and the ids of its events commit together; then the group is told.
 * A bad message goes to the dead letters with its reason, and the partition goes on; a
 * bad day (database away) is waited out, and no message goes to the dead letters for it.
 */
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "clock.h"
#include "log.h"
#include "metric.h"
#include "service.h"

#include "bus.h"

#include "effect.h"
#include "role.h"
#include "settings.h"

enum {
	BATCH = 500,
	BATCH_BYTES = 256 * 1024,
	HEAR_MS = 200,
	DONE_MS = 2000,
	TROUBLE_MS = 300,
	GAUGE_US = 2 * 1000000,
	LAG_MS = 500,
};

/* What is waited before each try of one message that the database refuses. */
static const int TRY_AFTER_MS[] = { 0, 50, 250 };

/* What a group does with a batch; *fresh_r is how many events were new to it. */
struct intake {
	const char *client, *group_end;
	enum err (*apply)(struct ctx *c, const struct incoming *ev, int n, int *fresh_r);
	bool parks; /* bad messages go to the dead letters; else they are passed over */
	enum metric_group group;
};

static const struct intake EFFECTS = { "usher-consume", "", effect_apply, true, METRIC_EFFECTS };
static const struct intake REPAIRS = { "usher-cache", "_cache", effect_repair, false,
				       METRIC_CACHE };

struct inbox {
	const struct intake *intake;
	struct bus_conf in_conf, out_conf;
	struct bus_in *in;
	struct arena *memory; /* of what was heard; each try of it has the turn's arena */
	struct bus_batch batch;
	bool parked[BATCH];  /* which of the batch's messages are done with so */
	struct bus_out *out; /* for dead letters; opened for the first */
	char dead_topic[256], group[300];
	int64_t gauged_us;
	bool is_ours[METRIC_PARTITIONS]; /* when the lag was looked at last */
	bool complained;		 /* of what the batch in hand waits for */
};

static void *
begin(struct ctx *c, const struct intake *intake)
{
	struct inbox *x = must_alloc(sizeof(*x));

	*x = (struct inbox){ .intake = intake, .memory = arena_new(BATCH_BYTES) };
	strcpy(stpcpy(x->dead_topic, c->conf->kafka_topic), ".dlq");
	strcpy(stpcpy(x->group, c->conf->kafka_group_id), intake->group_end);
	x->in_conf = (struct bus_conf){ .servers = c->conf->kafka_bootstrap_servers,
					.client = intake->client,
					.group = x->group,
					.topic = c->conf->kafka_topic };
	x->out_conf = (struct bus_conf){ .servers = c->conf->kafka_bootstrap_servers,
					 .client = "usher-dead-letters" };
	x->in = bus_in_open(&x->in_conf);
	return x;
}

void *
inbox_begin(struct ctx *c)
{
	return begin(c, &EFFECTS);
}

void *
repair_begin(struct ctx *c)
{
	return begin(c, &REPAIRS);
}

/* The letter bears the original bytes, key and headers, and where it came from and why. */
static struct bus_msg
letter_of(struct ctx *c, const struct inbox *x, const struct bus_msg *m, const char *why)
{
	struct bus_header *h = arena_get(c->arena, (size_t)(m->n_headers + 5) * sizeof(*h));
	const char *partition = arena_printf(c->arena, "%d", (int)m->partition);
	const char *offset = arena_printf(c->arena, "%lld", (long long)m->offset);
	struct bus_msg letter = *m;

	if (m->n_headers > 0)
		memcpy(h, m->headers, (size_t)m->n_headers * sizeof(*h));
	h[letter.n_headers++] = BUS_HEADER("dlq-reason", why);
	h[letter.n_headers++] = BUS_HEADER("dlq-topic", m->topic);
	h[letter.n_headers++] = BUS_HEADER("dlq-partition", partition);
	h[letter.n_headers++] = BUS_HEADER("dlq-offset", offset);
	letter.headers = h;
	letter.topic = x->dead_topic;
	return letter;
}

/* There is no room in `letter` for a message that just fitted its topic: say how long it was. */
static void
leave_out_value(struct ctx *c, struct bus_msg *letter, struct bus_header *headers)
{
	const char *len = arena_printf(c->arena, "%zu", letter->value_len);

	headers[letter->n_headers++] = BUS_HEADER("dlq-left-out", len);
	letter->value = NULL;
	letter->value_len = 0;
}

static enum err
post(struct inbox *x, const struct bus_msg *letter)
{
	struct bus_receipt got;
	enum err e;

	if (x->out == NULL)
		x->out = bus_out_open(&x->out_conf);
	e = bus_say(x->out, letter, 1);
	if (e == OK)
		e = bus_settle(x->out, DONE_MS, &got);
	if (e != OK)
		bus_out_close(&x->out); /* what waits in it would come after the next try */
	return e;
}

/* OK when Kafka has the letter, or none is written; else the day is bad. Once for each message of
 * the batch, however often that is tried. */
static enum err
park(struct ctx *c, struct inbox *x, const struct bus_msg *m, const char *why)
{
	struct bus_msg letter = letter_of(c, x, m, why);
	bool *parked = &x->parked[m - x->batch.msg];
	enum err e;

	if (!x->intake->parks)
		return OK;
	if ((e = post(x, &letter)) == E_TOO_LARGE) {
		leave_out_value(c, &letter, (struct bus_header *)(uintptr_t)letter.headers);
		e = post(x, &letter);
	}
	if (e != OK) {
		if (!x->complained)
			log_error(EV("letter.not_posted"), KS("topic", x->dead_topic),
				  KS("why", err_row(e)->name));
		x->complained = true;
		return E_UNAVAILABLE;
	}
	*parked = true;
	metric_add(METRIC_EVENTS_PARKED, 1);
	log_error(EV("event.parked"), KS("why", why), KI("partition", m->partition),
		  KI("offset", m->offset));
	return OK;
}

/* A day that is bad, not a message. */
static bool
is_passing(enum err e)
{
	return e == E_UNAVAILABLE || e == E_BUSY || e == E_UNCERTAIN;
}

/* `n` events had their effects, all but `fresh` of them earlier. */
static void
count(const struct inbox *x, int n, int fresh)
{
	if (x->intake != &EFFECTS)
		return;
	metric_add(METRIC_EVENTS_CONSUMED, (uint64_t)n);
	metric_add(METRIC_EVENTS_DUPLICATE, (uint64_t)(n - fresh));
}

/* One message alone, after its batch failed: so the one that the database refuses is found. */
static enum err
take_one(struct ctx *c, struct inbox *x, const struct bus_msg *m, const struct incoming *ev)
{
	enum err e = OK;
	int fresh;

	for (size_t try = 0; try < NELEM(TRY_AFTER_MS); try++) {
		service_pause(TRY_AFTER_MS[try]);
		e = x->intake->apply(c, ev, 1, &fresh);
		if (e == OK)
			count(x, 1, fresh);
		if (e == OK || is_passing(e))
			return e;
		metric_add(METRIC_EVENTS_RETRIED, 1);
	}
	return park(c, x, m, err_row(e)->name);
}

/* The batch's good messages, in order; bad ones are parked on the way. */
struct sorted {
	struct incoming *ev;
	const struct bus_msg **msg;
	int n;
};

static enum err
sort_out(struct ctx *c, struct inbox *x, struct sorted *s)
{
	const struct bus_batch *b = &x->batch;
	enum err e;

	s->ev = arena_get(c->arena, (size_t)b->n * sizeof(*s->ev));
	s->msg = arena_get(c->arena, (size_t)b->n * sizeof(*s->msg));
	for (int i = 0; i < b->n; i++) {
		const struct bus_msg *m = &b->msg[i];
		const char *why;

		if (x->parked[i])
			continue;
		if (effect_decode(c->arena, m->value, m->value_len, &s->ev[s->n], &why) == OK)
			s->msg[s->n++] = m;
		else if ((e = park(c, x, m, why)) != OK)
			return e;
	}
	return OK;
}

/* Again from the start after a bad day: what had its effect is known by its id. */
static enum err
take(struct ctx *c, struct inbox *x)
{
	struct sorted s = { 0 };
	enum err e = sort_out(c, x, &s);
	int fresh = 0;

	if (e != OK || s.n == 0)
		return e;
	e = x->intake->apply(c, s.ev, s.n, &fresh);
	if (is_passing(e))
		return e;
	if (e != OK) {
		for (int i = 0; i < s.n; i++) {
			if ((e = take_one(c, x, s.msg[i], &s.ev[i])) != OK)
				return e;
		}
		return OK;
	}
	count(x, s.n, fresh);
	return OK;
}

/* Now and then: is Kafka there, and how far behind are we, where the partition is ours. */
static void
gauge(struct ctx *c, struct inbox *x)
{
	enum metric_group g = x->intake->group;
	bool was_ours[METRIC_PARTITIONS];
	const struct bus_lag *lag;
	int n;

	if (clock_read_us() - x->gauged_us < GAUGE_US)
		return;
	x->gauged_us = clock_read_us();
	bus_look_around(x->in, LAG_MS);
	lag = bus_lag(x->in, c->arena, LAG_MS, &n);
	memcpy(was_ours, x->is_ours, sizeof(was_ours));
	memset(x->is_ours, 0, sizeof(x->is_ours));
	for (int i = 0; i < n; i++) {
		metric_set_lag(g, lag[i].partition, lag[i].lag);
		if (lag[i].partition < METRIC_PARTITIONS)
			x->is_ours[lag[i].partition] = true;
	}
	for (int p = 0; p < METRIC_PARTITIONS; p++) {
		if (was_ours[p] && !x->is_ours[p])
			metric_set_lag(g, p, -1);
	}
}

int
inbox_turn(struct ctx *c, void *state)
{
	struct inbox *x = state;
	enum err e;

	gauge(c, x);
	arena_reset(x->memory);
	memset(x->parked, 0, sizeof(x->parked));
	if (bus_hear(x->in, x->memory, BATCH, HEAR_MS, &x->batch) != OK)
		return TROUBLE_MS;
	if (x->batch.n == 0)
		return 0;
	while ((e = take(c, x)) != OK) {
		if (!x->complained)
			log_warn(EV("inbox.waits"), KS("why", err_row(e)->name));
		x->complained = true;
		log_flush();
		if (service_pause(TROUBLE_MS))
			return 0; /* not done: it is heard again */
		arena_reset(c->arena);
		clock_tick();
	}
	if (x->complained)
		log_info(EV("inbox.goes_on"), KI("events", x->batch.n));
	x->complained = false;
	if (bus_done(x->in, &x->batch, DONE_MS) != OK)
		log_warn(EV("inbox.not_told"), KI("events", x->batch.n));
	return 0;
}

void
inbox_end(struct ctx *c, void *state)
{
	struct inbox *x = state;

	(void)c;
	bus_in_close(&x->in);
	bus_out_close(&x->out);
	arena_free(&x->memory);
	free(x);
}
