/* bus_in: hearing. What is done is remembered per partition, and told to the group in time. */
#include "bus_link.h"

#include <assert.h>
#include <stdlib.h>

#include "log.h"

enum {
	REVOKE_MS = 1000, /* for the last word about partitions that are being taken */
	CLOSE_MS = 3000,
};

/* Eager assignment: cooperative rebalancing is broken in 2.0.2. */
static const struct setting IN[] = {
	{ "partition.assignment.strategy", "range" },
	{ "auto.offset.reset", "earliest" },
	{ "enable.auto.commit", "false" },
	{ "enable.auto.offset.store", "false" },
	{ "session.timeout.ms",
	  "6000" }, /* the broker's least: so long nobody has a dead one's part */
	{ "heartbeat.interval.ms", "500" }, /* and so long until the others hear that one left */
	{ "fetch.wait.max.ms", "100" },	    /* the first question names few of our partitions */
	{ "queued.min.messages", "10000" },
	{ "queued.max.messages.kbytes", "16384" },
	{ NULL, NULL },
};

struct bus_in {
	struct link link;
	rd_kafka_queue_t *messages; /* and what becomes of our partitions */
	rd_kafka_queue_t *answers;  /* to commits */
	intptr_t asked;		    /* the number of the last one */
	uint64_t turn;
	bool subscribed;
	rd_kafka_topic_partition_list_t *done; /* our partitions, and the next offset of each */
};

struct hearing {
	struct arena *a;
	struct bus_msg *msg;
	int n;
	size_t bytes;
};

struct bus_in *
bus_in_open(const struct bus_conf *conf)
{
	struct bus_in *in = must_alloc(sizeof(*in));

	*in = (struct bus_in){ .link = { .conf = conf, .side = "in" } };
	return in;
}

/* Our partitions are these from now on; NULL is none. */
static void
in_own(struct bus_in *in, const rd_kafka_topic_partition_list_t *ours)
{
	if (in->done != NULL)
		rd_kafka_topic_partition_list_destroy(in->done);
	in->done = ours == NULL ? NULL : rd_kafka_topic_partition_list_copy(ours);
	in->turn++;
}

/* Tell the group what is done and wait for its answer; older ones no longer matter. Not while
 * Kafka is away: the library would keep every such question, and not close before their time. */
static enum err
in_tell(struct bus_in *in, int wait_ms)
{
	int64_t until = bus_from_now(wait_ms);
	rd_kafka_resp_err_t code;
	rd_kafka_event_t *ev;
	bool is_ours = false;

	link_hear_news(&in->link);
	if (!in->link.is_there &&
	    link_ask(&in->link, NULL, bus_left_ms(until)) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return E_UNAVAILABLE;
	code = rd_kafka_commit_queue(in->link.rk, in->done, in->answers, NULL, (void *)++in->asked);
	while (code == RD_KAFKA_RESP_ERR_NO_ERROR && !is_ours) {
		if ((ev = rd_kafka_queue_poll(in->answers, bus_left_ms(until))) == NULL)
			return E_UNAVAILABLE;
		is_ours = (intptr_t)rd_kafka_event_opaque(ev) == in->asked;
		code = is_ours ? rd_kafka_event_error(ev) : code;
		rd_kafka_event_destroy(ev);
	}
	if (bus_verdict_on(code) == E_UNAVAILABLE)
		link_complain(&in->link, "COMMIT", rd_kafka_err2str(code));
	if (is_ours && code == RD_KAFKA_RESP_ERR_NO_ERROR)
		link_saw(&in->link, true);
	return bus_verdict_on(code);
}

/* The partitions come, or go: then the group hears what is done before another has them. */
static void
in_rebalance(struct bus_in *in, rd_kafka_event_t *ev)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(ev);
	bool came = rd_kafka_event_error(ev) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;

	if (!came && in->done != NULL && !rd_kafka_assignment_lost(in->link.rk) &&
	    in_tell(in, REVOKE_MS) != OK)
		log_warn(EV("bus.done_not_told"), KI("partitions", in->done->cnt));
	in_own(in, came ? list : NULL);
	rd_kafka_assign(in->link.rk, came ? list : NULL);
	if (came)
		link_saw(&in->link, true);
	log_info(EV(came ? "bus.partitions_came" : "bus.partitions_went"),
		 KI("n", list == NULL ? 0 : list->cnt));
}

/* Take the next thing that the library has for us; false if there was nothing in time. */
static bool
in_poll(struct bus_in *in, struct hearing *h, int wait_ms)
{
	rd_kafka_event_t *ev = rd_kafka_queue_poll(in->messages, wait_ms);
	const rd_kafka_message_t *m;

	if (ev == NULL)
		return false;
	if (rd_kafka_event_type(ev) == RD_KAFKA_EVENT_REBALANCE) {
		h->n = 0; /* what was taken just now is somebody else's */
		h->bytes = 0;
		in_rebalance(in, ev);
	} else if (rd_kafka_event_type(ev) == RD_KAFKA_EVENT_FETCH) {
		while (h->msg != NULL && (m = rd_kafka_event_message_next(ev)) != NULL) {
			h->bytes += m->len;
			bus_copy_message(h->a, m, &h->msg[h->n++]);
		}
	}
	link_take(&in->link, ev);
	rd_kafka_event_destroy(ev);
	return true;
}

static void
in_shut(struct bus_in *in)
{
	struct hearing nobody = { 0 };

	in->subscribed = false;
	while (in_poll(in, &nobody, 0))
		continue;
	in_own(in, NULL);
	rd_kafka_queue_destroy(in->answers);
	rd_kafka_queue_destroy(in->messages);
	link_shut(&in->link);
}

static rd_kafka_resp_err_t
in_subscribe(struct bus_in *in)
{
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t code;

	rd_kafka_topic_partition_list_add(topics, in->link.conf->topic, RD_KAFKA_PARTITION_UA);
	code = rd_kafka_subscribe(in->link.rk, topics);
	in->subscribed = code == RD_KAFKA_RESP_ERR_NO_ERROR;
	rd_kafka_topic_partition_list_destroy(topics);
	return code;
}

static enum err
in_ready(struct bus_in *in)
{
	const struct bus_conf *c = in->link.conf;
	const struct setting given[] = {
		{ "bootstrap.servers", c->servers },
		{ "client.id", c->client },
		{ "group.id", c->group },
		{ NULL, NULL },
	};
	enum err e;

	if (in->link.rk != NULL)
		return OK;
	if ((e = link_open(&in->link, RD_KAFKA_CONSUMER, IN, given)) != OK)
		return e;
	in->messages = rd_kafka_queue_get_consumer(in->link.rk);
	in->answers = rd_kafka_queue_new(in->link.rk);
	return OK;
}

/* Does the group's coordinator answer? One that has just begun does not yet know its groups. */
static rd_kafka_resp_err_t
in_ask_group(struct bus_in *in, int wait_ms)
{
	rd_kafka_topic_partition_list_t *any = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t code;

	rd_kafka_topic_partition_list_add(any, in->link.conf->topic, 0);
	code = rd_kafka_committed(in->link.rk, any, wait_ms);
	rd_kafka_topic_partition_list_destroy(any);
	return code;
}

/* Join the group once it can be joined: after each refusal 2.0.2 waits for two to three seconds. */
static enum err
in_join(struct bus_in *in, int wait_ms)
{
	rd_kafka_resp_err_t code = in_ask_group(in, wait_ms);

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		link_hear_news(&in->link);
		if (code != RD_KAFKA_RESP_ERR__TIMED_OUT)
			link_complain(&in->link, "JOIN", rd_kafka_err2str(code));
		return E_UNAVAILABLE;
	}
	link_saw(&in->link, true);
	if ((code = in_subscribe(in)) == RD_KAFKA_RESP_ERR_NO_ERROR)
		return OK;
	in_shut(in);
	return log_fail(E_BUG, EV("bus.subscribe_failed"), KS("why", rd_kafka_err2str(code)));
}

enum err
bus_hear(struct bus_in *in, struct arena *a, int most, int wait_ms, struct bus_batch *heard_r)
{
	struct hearing h = { a, arena_get(a, (size_t)most * sizeof(*h.msg)), 0, 0 };
	int64_t until = bus_from_now(wait_ms), silence;
	enum err e;

	*heard_r = (struct bus_batch){ 0 };
	if ((e = in_ready(in)) != OK)
		return e;
	link_hear_news(&in->link);
	if (!in->subscribed && !in->link.died && (e = in_join(in, bus_left_ms(until))) != OK)
		return e;
	/* Silence may be an outage: then half the time goes into asking. */
	silence = in->link.is_there ? until : bus_from_now(wait_ms / 2);
	while (h.n < most && h.bytes < BUS_BYTES && !in->link.died &&
	       in_poll(in, &h, h.n > 0 ? 0 : bus_left_ms(silence)))
		continue;
	if (in->link.died) {
		in_shut(in);
		return E_UNAVAILABLE;
	}
	*heard_r = (struct bus_batch){ h.msg, h.n, in->turn };
	if (h.n == 0 && !in->link.is_there)
		e = bus_verdict_on(link_ask(&in->link, NULL, bus_left_ms(until)));
	return e;
}

enum err
bus_done(struct bus_in *in, const struct bus_batch *b, int wait_ms)
{
	if (b->n == 0)
		return OK;
	if (b->turn != in->turn)
		return E_STALE;
	for (int i = 0; i < b->n; i++) {
		const struct bus_msg *m = &b->msg[i];
		rd_kafka_topic_partition_t *p =
			rd_kafka_topic_partition_list_find(in->done, m->topic, m->partition);

		assert(p != NULL);
		if (m->offset >= p->offset)
			p->offset = m->offset + 1;
	}
	return in_tell(in, wait_ms);
}

/* What the group knows of partitions where nothing was done since they came. */
static void
in_recall(struct bus_in *in, int wait_ms)
{
	rd_kafka_topic_partition_list_t *known = rd_kafka_topic_partition_list_copy(in->done);
	rd_kafka_resp_err_t code = rd_kafka_committed(in->link.rk, known, wait_ms);

	for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < known->cnt; i++) {
		if (in->done->elems[i].offset < 0)
			in->done->elems[i].offset = known->elems[i].offset;
	}
	rd_kafka_topic_partition_list_destroy(known);
}

void
bus_look_around(struct bus_in *in, int wait_ms)
{
	if (in->link.rk != NULL && in->link.seen && !in->link.is_there)
		(void)link_ask(&in->link, NULL, wait_ms);
}

const struct bus_lag *
bus_lag(struct bus_in *in, struct arena *a, int wait_ms, int *n_r)
{
	int n = *n_r = in->done == NULL ? 0 : in->done->cnt;
	struct bus_lag *lags = arena_get(a, (size_t)n * sizeof(*lags));
	int64_t low, high;

	for (int i = 0; i < n; i++) {
		const rd_kafka_topic_partition_t *p = &in->done->elems[i];

		if (p->offset < 0 && wait_ms > 0) {
			in_recall(in, wait_ms);
			wait_ms = 0; /* once is enough */
		}
		low = high = -1;
		rd_kafka_get_watermark_offsets(in->link.rk, p->topic, p->partition, &low, &high);
		lags[i] = (struct bus_lag){ arena_text(a, p->topic), p->partition, -1 };
		if (high >= 0)
			lags[i].lag = high - (p->offset >= 0 ? p->offset : low);
	}
	return lags;
}

void
bus_in_close(struct bus_in **in)
{
	int64_t until = bus_from_now(CLOSE_MS);
	struct bus_in *i = *in;
	struct hearing h = { 0 };

	if (i == NULL)
		return;
	if (i->link.rk != NULL) {
		rd_kafka_error_destroy(rd_kafka_consumer_close_queue(i->link.rk, i->messages));
		while (!rd_kafka_consumer_closed(i->link.rk) && bus_left_ms(until) > 0)
			in_poll(i, &h, 10);
		in_shut(i);
	}
	free(i);
	*in = NULL;
}
