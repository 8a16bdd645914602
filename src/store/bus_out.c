/* bus_out: saying. What Kafka has is told tag by tag; what it refuses takes back all the rest. */
#include "bus_link.h"

#include <assert.h>
#include <stdlib.h>

enum { TAKE_BACK_MS = 500 }; /* for the reports of what is taken back */

/* Messages wait for ever: when to give up is the caller's to say. Gapless: a batch that Kafka
 * refuses ends the client, before those that were said later can overtake it. */
static const struct setting OUT[] = {
	{ "enable.idempotence", "true" },
	{ "enable.gapless.guarantee", "true" },
	{ "acks", "all" },
	{ "partitioner", "murmur2_random" },
	{ "message.timeout.ms", "0" },
	{ "request.timeout.ms", "10000" },
	{ "linger.ms", "2" },
	{ "queue.buffering.max.kbytes", "65536" },
	{ NULL, NULL },
};

struct bus_out {
	struct link link;
	int waiting, n_acked;
	enum err refusal;
	int64_t refused;
	int64_t acked[BUS_MOST];
};

struct bus_out *
bus_out_open(const struct bus_conf *conf)
{
	struct bus_out *o = must_alloc(sizeof(*o));

	*o = (struct bus_out){ .link = { .conf = conf, .side = "out" } };
	return o;
}

static enum err
out_ready(struct bus_out *o)
{
	const struct bus_conf *c = o->link.conf;
	const struct setting given[] = {
		{ "bootstrap.servers", c->servers },
		{ "client.id", c->client },
		{ "compression.codec", c->compression == NULL ? "lz4" : c->compression },
		{ NULL, NULL },
	};

	return o->link.rk != NULL ? OK : link_open(&o->link, RD_KAFKA_PRODUCER, OUT, given);
}

static void
out_take_report(struct bus_out *o, const rd_kafka_message_t *m)
{
	int64_t tag = (int64_t)(intptr_t)m->_private;
	enum err e = bus_verdict_on(m->err);

	o->waiting--;
	if (e == OK) {
		assert(o->n_acked < BUS_MOST);
		o->acked[o->n_acked++] = tag;
		link_saw(&o->link, true);
	} else if (e == E_UNAVAILABLE) {
		link_died(&o->link, m->err); /* or it was taken back, and is as good as dead */
	} else if (o->refusal == OK) {
		o->refusal = e;
		o->refused = tag;
		link_complain(&o->link, "REFUSED", rd_kafka_err2str(m->err));
	}
}

/* Take the next thing that the library has for us; false if there was nothing in time. */
static bool
out_poll(struct bus_out *o, int wait_ms)
{
	rd_kafka_event_t *ev = rd_kafka_queue_poll(o->link.news, wait_ms);
	const rd_kafka_message_t *m;

	if (ev == NULL)
		return false;
	if (rd_kafka_event_type(ev) == RD_KAFKA_EVENT_DR) {
		while ((m = rd_kafka_event_message_next(ev)) != NULL)
			out_take_report(o, m);
	}
	link_take(&o->link, ev);
	rd_kafka_event_destroy(ev);
	return true;
}

enum err
bus_warm(struct bus_out *o, const char *topic, int wait_ms)
{
	rd_kafka_topic_t *t;
	enum err e;

	if ((e = out_ready(o)) != OK)
		return e;
	if ((t = rd_kafka_topic_new(o->link.rk, topic, NULL)) == NULL)
		return E_INVALID;
	e = bus_verdict_on(link_ask(&o->link, t, wait_ms));
	rd_kafka_topic_destroy(t);
	while (out_poll(o, 0)) /* why not, if it says that */
		continue;
	return e;
}

static rd_kafka_resp_err_t
out_queue(struct bus_out *o, const struct bus_msg *m, int64_t tag)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new((size_t)m->n_headers);
	rd_kafka_resp_err_t code;

	_Static_assert(sizeof(void *) >= sizeof(tag), "a tag travels as a pointer");
	for (int i = 0; i < m->n_headers; i++) {
		const struct bus_header *h = &m->headers[i];

		rd_kafka_header_add(headers, h->name, -1, h->value, (ssize_t)h->len);
	}
	code = rd_kafka_producev(o->link.rk, RD_KAFKA_V_TOPIC(m->topic),
				 RD_KAFKA_V_KEY(m->key, m->key_len),
				 RD_KAFKA_V_VALUE((void *)(uintptr_t)m->value, m->value_len),
				 RD_KAFKA_V_HEADERS(headers),
				 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
				 RD_KAFKA_V_OPAQUE((void *)(intptr_t)tag), RD_KAFKA_V_END);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_headers_destroy(headers);
	return code;
}

enum err
bus_say(struct bus_out *o, const struct bus_msg *m, int64_t tag)
{
	rd_kafka_resp_err_t code;
	enum err e;

	if ((e = out_ready(o)) != OK)
		return e;
	if (o->link.died || o->waiting == BUS_MOST)
		return E_BUSY;
	code = out_queue(o, m, tag);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		o->waiting++;
	if (code == RD_KAFKA_RESP_ERR__FATAL)
		link_died(&o->link, code);
	if (code == RD_KAFKA_RESP_ERR__FATAL || code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
		return E_BUSY;
	return bus_verdict_on(code);
}

/* The client goes with what was taken back: 2.0.2 leaves a gap in the numbers of its messages,
 * for which Kafka would turn down the next one. */
static void
out_take_back(struct bus_out *o)
{
	int64_t until = bus_from_now(TAKE_BACK_MS);

	if (o->link.rk == NULL)
		return;
	o->link.died = true;
	rd_kafka_purge(o->link.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
					   RD_KAFKA_PURGE_F_NON_BLOCKING);
	while (o->waiting > 0 && out_poll(o, bus_left_ms(until)))
		continue;
	o->waiting = 0;
	link_shut(&o->link);
}

enum err
bus_settle(struct bus_out *o, int wait_ms, struct bus_receipt *r)
{
	int64_t until = bus_from_now(wait_ms);
	enum err e = OK;

	/* With nothing waiting, only the news is read. */
	while (o->link.rk != NULL && o->refusal == OK && !o->link.died &&
	       out_poll(o, o->waiting > 0 ? bus_left_ms(until) : 0))
		continue;
	if (o->waiting > 0)
		e = E_UNAVAILABLE;
	if (o->link.died || o->refusal != OK) {
		out_take_back(o);
		e = o->refusal != OK ? o->refusal : E_BUSY;
	}
	*r = (struct bus_receipt){ o->acked, o->n_acked, o->waiting, o->refused };
	o->n_acked = 0;
	o->refusal = OK;
	return e;
}

void
bus_out_close(struct bus_out **o)
{
	if (*o == NULL)
		return;
	out_take_back(*o);
	free(*o);
	*o = NULL;
}

void
bus_out_break(struct bus_out *o)
{
	if (out_ready(o) == OK)
		rd_kafka_test_fatal_error(o->link.rk,
					  RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
					  "broken by a test");
}
