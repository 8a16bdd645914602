/*
 * bus: two kinds of client on one kind of link.
 *
 * librdkafka works in threads of its own and tells us everything, logs and errors too,
 * through one queue that we read when we wait anyway: no callback, and our log is only
 * ever written by our own thread.
 */
#include "bus.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <librdkafka/rdkafka.h>

#include "clock.h"
#include "log.h"
#include "text.h"

enum {
	COMPLAINTS = 32,	  /* distinct ones remembered; what comes after is not said */
	PEACE_US = 60 * 1000000,  /* after which the same complaint is news again */
	TAKE_BACK_MS = 500,	  /* for the reports of what is taken back */
	REVOKE_MS = 1000,	  /* for the last word about partitions that are being taken */
	CLOSE_MS = 5000,
	WHY_SIZE = 256,
};

struct setting {
	const char *name, *value;
};

/* Timings are for a broker that is near: notice within seconds that it is gone or back. */
#define COMMON \
	{ "log.queue", "true" }, { "socket.nagle.disable", "true" }, \
	{ "socket.keepalive.enable", "true" }, { "socket.connection.setup.timeout.ms", "5000" }, \
	{ "socket.timeout.ms", "15000" }, { "reconnect.backoff.max.ms", "2000" }

/* Messages wait for ever: how long is the caller's to say, by bus_drop. Gapless: a batch that
 * Kafka refuses ends the client, before those that were said later can overtake it. */
static const struct setting OUT[] = {
	COMMON,
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

/* Eager assignment: cooperative rebalancing is broken in 2.0.2. */
static const struct setting IN[] = {
	COMMON,
	{ "partition.assignment.strategy", "range" },
	{ "auto.offset.reset", "earliest" },
	{ "enable.auto.commit", "false" },
	{ "enable.auto.offset.store", "false" },
	{ "session.timeout.ms", "10000" },
	{ "queued.min.messages", "10000" },
	{ "queued.max.messages.kbytes", "16384" },
	{ NULL, NULL },
};

/* What it means when Kafka, or the library for it, turns down a message for good. */
static const struct verdict {
	rd_kafka_resp_err_t code;
	enum err e;
} VERDICTS[] = {
	{ RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,		 E_TOO_LARGE },
	{ RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,	 E_TOO_LARGE },
	{ RD_KAFKA_RESP_ERR_INVALID_RECORD,		 E_INVALID },
	{ RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,		 E_INVALID },
	{ RD_KAFKA_RESP_ERR_POLICY_VIOLATION,		 E_INVALID },
	{ RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,		 E_INVALID },
	{ RD_KAFKA_RESP_ERR__INVALID_ARG,		 E_INVALID },
	{ RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,	 E_FORBIDDEN },
	{ RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, E_FORBIDDEN },
	{ RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,	 E_NOT_FOUND },
	{ RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,		 E_NOT_FOUND },
	{ RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,		 E_NOT_FOUND },
	/* of commits: the group has moved on without us */
	{ RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,		 E_STALE },
	{ RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,		 E_STALE },
	{ RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,	 E_STALE },
	{ RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,		 E_STALE },
};

struct link {
	const struct bus_conf *conf;
	const char *side;	 /* "out" or "in" */
	rd_kafka_t *rk;		 /* NULL: to be opened */
	rd_kafka_queue_t *queue; /* all that it has to tell us */
	bool died;		 /* of a fatal error: to be shut */
	enum { UNSEEN, REACHED, LOST } kafka;
	int64_t complained_us;
	uint32_t complaint[COMPLAINTS];
	int complaints;
};

struct bus_out {
	struct link link;
	int waiting, n_acked;
	enum err refusal;
	int64_t refused;
	int64_t acked[BUS_MOST];
};

struct bus_in {
	struct link link;
	rd_kafka_queue_t *answers; /* to commits */
	intptr_t asked;		   /* the number of the last one */
	uint64_t turn;
	/* Our partitions: the next offset by what is done, and by what the group knows of it. */
	rd_kafka_topic_partition_list_t *done, *told;
};

struct hearing {
	struct arena *a;
	struct bus_msg *msg;
	int n;
};

static int64_t
from_now(int wait_ms)
{
	return clock_read_us() + (int64_t)wait_ms * 1000;
}

static int
left_ms(int64_t until_us)
{
	int64_t left = until_us - clock_read_us();

	return left <= 0 ? 0 : (int)((left + 999) / 1000);
}

static enum err
verdict_on(rd_kafka_resp_err_t code)
{
	for (size_t i = 0; i < NELEM(VERDICTS); i++) {
		if (VERDICTS[i].code == code)
			return VERDICTS[i].e;
	}
	return code == RD_KAFKA_RESP_ERR_NO_ERROR ? OK : E_UNAVAILABLE;
}

/*
 * The link
 */

/* FNV-1a of all but the tail in brackets, which counts milliseconds and repetitions. */
static uint32_t
complaint_of(const char *text)
{
	const char *tail = strstr(text, " (after ");
	uint32_t sum = 2166136261u;

	for (; *text != '\0' && text != tail; text++)
		sum = (sum ^ (unsigned char)*text) * 16777619u;
	return sum;
}

/* Logs and errors often say the same; logs name the thread first. */
static void
link_complain(struct link *l, const char *facility, const char *text)
{
	const char *after_thread = *text == '[' ? strstr(text, "]: ") : NULL;
	int64_t now = clock_read_us();
	uint32_t sum;

	text = after_thread == NULL ? text : after_thread + 3;
	sum = complaint_of(text);
	if (now - l->complained_us > PEACE_US)
		l->complaints = 0;
	l->complained_us = now;
	for (int i = 0; i < l->complaints; i++) {
		if (l->complaint[i] == sum)
			return;
	}
	if (l->complaints == COMPLAINTS)
		return;
	l->complaint[l->complaints++] = sum;
	log_warn(EV("bus.complained"), KS("side", l->side), KS("facility", facility), KS("text", text));
}

static void
link_lost(struct link *l)
{
	if (l->kafka != LOST)
		log_warn(EV("bus.lost"), KS("side", l->side));
	l->kafka = LOST;
}

static void
link_reached(struct link *l)
{
	if (l->kafka != REACHED)
		log_info(EV("bus.reached"), KS("side", l->side));
	l->kafka = REACHED;
}

static void
link_died(struct link *l, rd_kafka_resp_err_t code)
{
	char why[WHY_SIZE];

	if (l->died)
		return;
	l->died = true;
	if (rd_kafka_fatal_error(l->rk, why, sizeof(why)) == RD_KAFKA_RESP_ERR_NO_ERROR)
		snprintf(why, sizeof(why), "%s", rd_kafka_err2str(code));
	log_warn(EV("bus.client_died"), KS("side", l->side), KS("why", why));
}

static void
link_log(struct link *l, rd_kafka_event_t *ev)
{
	const char *facility, *text;
	int level;

	rd_kafka_event_log(ev, &facility, &text, &level);
	/* Levels are syslog's, 4 is a warning. That a setting is experimental we know. */
	if (level <= 4 && !text_among(facility, "CONFWARN FATAL"))
		link_complain(l, facility, text);
	else
		log_debug(EV("bus.remarked"), KS("side", l->side), KS("facility", facility), KS("text", text));
}

/* What both kinds of client hear, and NULL. */
static void
link_take(struct link *l, rd_kafka_event_t *ev)
{
	rd_kafka_resp_err_t code;

	if (rd_kafka_event_type(ev) == RD_KAFKA_EVENT_LOG)
		link_log(l, ev);
	if (rd_kafka_event_type(ev) != RD_KAFKA_EVENT_ERROR)
		return;
	code = rd_kafka_event_error(ev);
	if (code == RD_KAFKA_RESP_ERR__FATAL || rd_kafka_event_error_is_fatal(ev))
		link_died(l, code);
	else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		link_lost(l);
	else
		link_complain(l, rd_kafka_err2name(code), rd_kafka_event_error_string(ev));
}

static bool
set_all(rd_kafka_conf_t *rc, const struct setting *s, char *why)
{
	for (; s->name != NULL; s++) {
		if (s->value != NULL &&
		    rd_kafka_conf_set(rc, s->name, s->value, why, WHY_SIZE) != RD_KAFKA_CONF_OK)
			return false;
	}
	return true;
}

/* OK, or logged: E_BUG for settings that the library does not take, E_UNAVAILABLE. */
static enum err
link_open(struct link *l, rd_kafka_type_t type)
{
	const struct bus_conf *c = l->conf;
	bool is_out = type == RD_KAFKA_PRODUCER;
	const struct setting given[] = {
		{ "bootstrap.servers", c->servers }, { "client.id", c->client },
		{ is_out ? "compression.codec" : "group.id",
		  !is_out ? c->group : c->compression != NULL ? c->compression : "lz4" },
		{ NULL, NULL },
	};
	rd_kafka_conf_t *rc = rd_kafka_conf_new();
	char why[WHY_SIZE] = "";
	bool set = set_all(rc, is_out ? OUT : IN, why) && set_all(rc, given, why);

	rd_kafka_conf_set_events(rc, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_LOG |
		RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT);
	l->rk = set ? rd_kafka_new(type, rc, why, sizeof(why)) : NULL;
	if (l->rk == NULL) {
		rd_kafka_conf_destroy(rc);
		return log_fail(set ? E_UNAVAILABLE : E_BUG, EV("bus.open_failed"), KS("side", l->side),
				KS("why", why));
	}
	if (!is_out)
		rd_kafka_poll_set_consumer(l->rk);
	l->queue = is_out ? rd_kafka_queue_get_main(l->rk) : rd_kafka_queue_get_consumer(l->rk);
	rd_kafka_set_log_queue(l->rk, l->queue);
	l->died = false;
	return OK;
}

static void
link_shut(struct link *l, int flags)
{
	if (l->rk == NULL)
		return;
	rd_kafka_queue_destroy(l->queue);
	rd_kafka_destroy_flags(l->rk, flags);
	l->rk = NULL;
	l->died = false;
}

/* Ask for the topic's metadata, or where it is NULL for anything at all. */
static rd_kafka_resp_err_t
link_ask(struct link *l, rd_kafka_topic_t *topic, int wait_ms)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t code = rd_kafka_metadata(l->rk, 0, topic, &md, wait_ms);

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return code;
	link_reached(l);
	if (topic != NULL && md->topic_cnt == 1)
		code = md->topics[0].err;
	rd_kafka_metadata_destroy(md);
	return code;
}

/*
 * Saying
 */

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
	return o->link.rk != NULL ? OK : link_open(&o->link, RD_KAFKA_PRODUCER);
}

static void
out_take_report(struct bus_out *o, const rd_kafka_message_t *m)
{
	int64_t tag = (int64_t)(intptr_t)m->_private;
	enum err e = verdict_on(m->err);

	o->waiting--;
	if (e == OK) {
		assert(o->n_acked < BUS_MOST);
		o->acked[o->n_acked++] = tag;
		link_reached(&o->link);
	} else if (e == E_UNAVAILABLE) {
		link_died(&o->link, m->err); /* or it was taken back, and is as good as dead */
	} else if (o->refusal == OK) {
		o->refusal = e;
		o->refused = tag;
		log_warn(EV("bus.message_refused"), KI("tag", tag), KS("why", rd_kafka_err2str(m->err)));
	}
}

static void
out_poll(struct bus_out *o, int wait_ms)
{
	rd_kafka_event_t *ev = rd_kafka_queue_poll(o->link.queue, wait_ms);
	const rd_kafka_message_t *m;

	if (rd_kafka_event_type(ev) == RD_KAFKA_EVENT_DR) {
		while ((m = rd_kafka_event_message_next(ev)) != NULL)
			out_take_report(o, m);
	}
	link_take(&o->link, ev);
	rd_kafka_event_destroy(ev);
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
	e = verdict_on(link_ask(&o->link, t, wait_ms));
	rd_kafka_topic_destroy(t);
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
				 RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
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
	return verdict_on(code);
}

/* The client goes with what was taken back: 2.0.2 leaves a gap in the numbers of its messages,
 * for which Kafka would turn down the next one. */
static void
out_take_back(struct bus_out *o)
{
	int64_t until = from_now(TAKE_BACK_MS);

	if (o->link.rk == NULL)
		return;
	o->link.died = true;
	rd_kafka_purge(o->link.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
		       RD_KAFKA_PURGE_F_NON_BLOCKING);
	while (o->waiting > 0 && left_ms(until) > 0)
		out_poll(o, left_ms(until));
	o->waiting = 0;
	link_shut(&o->link, 0);
}

static void
out_receipt(struct bus_out *o, struct bus_receipt *r)
{
	*r = (struct bus_receipt){ o->acked, o->n_acked, o->waiting, o->refused };
	o->n_acked = 0;
	o->refusal = OK;
	o->refused = 0;
}

enum err
bus_settle(struct bus_out *o, int wait_ms, struct bus_receipt *r)
{
	int64_t until = from_now(wait_ms);
	enum err e = OK;

	while (o->waiting > 0 && o->refusal == OK && !o->link.died && left_ms(until) > 0)
		out_poll(o, left_ms(until));
	if (o->waiting > 0)
		e = E_UNAVAILABLE;
	if (o->link.died || o->refusal != OK) {
		out_take_back(o);
		e = o->refusal != OK ? o->refusal : E_BUSY;
	}
	out_receipt(o, r);
	return e;
}

void
bus_drop(struct bus_out *o, struct bus_receipt *r)
{
	out_take_back(o);
	out_receipt(o, r);
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
		rd_kafka_test_fatal_error(o->link.rk, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
					  "broken by a test");
}

/*
 * Hearing
 */

struct bus_in *
bus_in_open(const struct bus_conf *conf)
{
	struct bus_in *in = must_alloc(sizeof(*in));

	*in = (struct bus_in){ .link = { .conf = conf, .side = "in" } };
	return in;
}

static enum err
in_ready(struct bus_in *in)
{
	rd_kafka_topic_partition_list_t *topics;
	rd_kafka_resp_err_t code;
	enum err e;

	if (in->link.rk != NULL)
		return OK;
	if ((e = link_open(&in->link, RD_KAFKA_CONSUMER)) != OK)
		return e;
	in->answers = rd_kafka_queue_new(in->link.rk);
	topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(topics, in->link.conf->topic, RD_KAFKA_PARTITION_UA);
	code = rd_kafka_subscribe(in->link.rk, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return log_fail(E_BUG, EV("bus.subscribe_failed"), KS("why", rd_kafka_err2str(code)));
	return OK;
}

/* Our partitions are these from now on; NULL is none. */
static void
in_own(struct bus_in *in, const rd_kafka_topic_partition_list_t *ours)
{
	if (in->done != NULL) {
		rd_kafka_topic_partition_list_destroy(in->done);
		rd_kafka_topic_partition_list_destroy(in->told);
	}
	in->done = ours == NULL ? NULL : rd_kafka_topic_partition_list_copy(ours);
	in->told = ours == NULL ? NULL : rd_kafka_topic_partition_list_copy(ours);
	in->turn++;
}

/* Wait for the answer to the commit asked last; older ones no longer matter. */
static enum err
in_answer(struct bus_in *in, int wait_ms)
{
	int64_t until = from_now(wait_ms);
	rd_kafka_resp_err_t code;
	rd_kafka_event_t *ev;
	bool is_ours;

	while ((ev = rd_kafka_queue_poll(in->answers, left_ms(until))) != NULL) {
		code = rd_kafka_event_error(ev);
		is_ours = (intptr_t)rd_kafka_event_opaque(ev) == in->asked;
		rd_kafka_event_destroy(ev);
		if (!is_ours)
			continue;
		if (verdict_on(code) == E_UNAVAILABLE)
			link_complain(&in->link, "COMMIT", rd_kafka_err2str(code));
		return verdict_on(code);
	}
	return E_UNAVAILABLE;
}

/* Tell the group what is done and it does not know. */
static enum err
in_tell(struct bus_in *in, int wait_ms)
{
	rd_kafka_topic_partition_list_t *news = rd_kafka_topic_partition_list_new(8);
	enum err e = OK;

	for (int i = 0; i < in->done->cnt; i++) {
		const rd_kafka_topic_partition_t *p = &in->done->elems[i];

		if (p->offset > in->told->elems[i].offset)
			rd_kafka_topic_partition_list_add(news, p->topic, p->partition)->offset = p->offset;
	}
	if (news->cnt > 0) {
		e = verdict_on(rd_kafka_commit_queue(in->link.rk, news, in->answers, NULL,
						     (void *)++in->asked));
		e = e == OK ? in_answer(in, wait_ms) : e;
	}
	for (int i = 0; e == OK && i < in->done->cnt; i++)
		in->told->elems[i].offset = in->done->elems[i].offset;
	rd_kafka_topic_partition_list_destroy(news);
	return e;
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
	log_info(EV(came ? "bus.partitions_came" : "bus.partitions_went"), KI("n", list->cnt));
	if (came)
		link_reached(&in->link);
}

static const struct bus_header *
copy_headers(struct arena *a, const rd_kafka_message_t *m, int *n_r)
{
	rd_kafka_headers_t *from;
	struct bus_header *to;
	const void *value;
	size_t n;

	*n_r = 0;
	if (rd_kafka_message_headers(m, &from) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return NULL;
	n = rd_kafka_header_cnt(from);
	to = arena_get(a, n * sizeof(*to));
	for (size_t i = 0; i < n; i++) {
		rd_kafka_header_get_all(from, i, &to[i].name, &value, &to[i].len);
		to[i].name = arena_text(a, to[i].name);
		to[i].value = value == NULL ? NULL : arena_textn(a, value, to[i].len);
	}
	*n_r = (int)n;
	return to;
}

static void
copy_message(struct arena *a, const rd_kafka_message_t *m, struct bus_msg *to)
{
	rd_kafka_timestamp_type_t type;

	*to = (struct bus_msg){
		.topic = arena_text(a, rd_kafka_topic_name(m->rkt)),
		.key = m->key == NULL ? NULL : arena_textn(a, m->key, m->key_len),
		.key_len = m->key_len,
		.value = m->payload == NULL ? NULL : arena_textn(a, m->payload, m->len),
		.value_len = m->len,
		.partition = m->partition,
		.offset = m->offset,
		.timestamp_ms = rd_kafka_message_timestamp(m, &type),
	};
	to->headers = copy_headers(a, m, &to->n_headers);
}

/* Take the next thing that the library has for us; false if there was nothing in time. */
static bool
in_poll(struct bus_in *in, struct hearing *h, int wait_ms)
{
	rd_kafka_event_t *ev = rd_kafka_queue_poll(in->link.queue, wait_ms);
	const rd_kafka_message_t *m;

	if (ev == NULL)
		return false;
	if (rd_kafka_event_type(ev) == RD_KAFKA_EVENT_REBALANCE) {
		h->n = 0; /* what was taken just now is somebody else's */
		in_rebalance(in, ev);
	} else if (rd_kafka_event_type(ev) == RD_KAFKA_EVENT_FETCH) {
		while (h->msg != NULL && (m = rd_kafka_event_message_next(ev)) != NULL)
			copy_message(h->a, m, &h->msg[h->n++]);
		link_reached(&in->link);
	}
	link_take(&in->link, ev);
	rd_kafka_event_destroy(ev);
	return true;
}

static void
in_shut(struct bus_in *in, int flags)
{
	if (in->link.rk == NULL)
		return;
	in_own(in, NULL);
	rd_kafka_queue_destroy(in->answers);
	link_shut(&in->link, flags);
}

enum err
bus_hear(struct bus_in *in, struct arena *a, int most, int wait_ms, struct bus_batch *heard_r)
{
	struct hearing h = { a, arena_get(a, (size_t)most * sizeof(*h.msg)), 0 };
	int64_t until = from_now(wait_ms);
	int64_t turn_to_ask;
	enum err e;

	*heard_r = (struct bus_batch){ 0 };
	if ((e = in_ready(in)) != OK)
		return e;
	/* Silence may be an outage: then half the time goes into asking. */
	turn_to_ask = in->link.kafka == REACHED ? until : from_now(wait_ms / 2);
	while (h.n < most && !in->link.died && in_poll(in, &h, h.n > 0 ? 0 : left_ms(turn_to_ask)))
		continue;
	if (in->link.died) {
		in_shut(in, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
		return E_UNAVAILABLE;
	}
	*heard_r = (struct bus_batch){ h.msg, h.n, in->turn };
	if (h.n == 0 && in->link.kafka != REACHED)
		e = verdict_on(link_ask(&in->link, NULL, left_ms(until)));
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
	rd_kafka_topic_partition_list_t *known = rd_kafka_topic_partition_list_copy(in->told);

	if (rd_kafka_committed(in->link.rk, known, wait_ms) == RD_KAFKA_RESP_ERR_NO_ERROR) {
		for (int i = 0; i < known->cnt; i++) {
			if (in->done->elems[i].offset < 0)
				in->done->elems[i].offset = in->told->elems[i].offset = known->elems[i].offset;
		}
	}
	rd_kafka_topic_partition_list_destroy(known);
}

const struct bus_lag *
bus_lag(struct bus_in *in, struct arena *a, int wait_ms, int *n_r)
{
	int n = in->done == NULL ? 0 : in->done->cnt;
	struct bus_lag *lags = arena_get(a, (size_t)n * sizeof(*lags));
	bool recall = false;

	for (int i = 0; i < n; i++)
		recall = recall || in->done->elems[i].offset < 0;
	if (recall)
		in_recall(in, wait_ms);
	for (int i = 0; i < n; i++) {
		const rd_kafka_topic_partition_t *p = &in->done->elems[i];
		int64_t low = -1, high = -1;

		rd_kafka_get_watermark_offsets(in->link.rk, p->topic, p->partition, &low, &high);
		lags[i] = (struct bus_lag){ arena_text(a, p->topic), p->partition, -1 };
		if (high >= 0)
			lags[i].lag = high - (p->offset >= 0 ? p->offset : low);
	}
	*n_r = n;
	return lags;
}

void
bus_in_close(struct bus_in **in)
{
	int64_t until = from_now(CLOSE_MS);
	struct bus_in *i = *in;
	struct hearing h = { 0 };

	if (i == NULL)
		return;
	if (i->link.rk != NULL) {
		rd_kafka_error_destroy(rd_kafka_consumer_close_queue(i->link.rk, i->link.queue));
		while (!rd_kafka_consumer_closed(i->link.rk) && left_ms(until) > 0)
			in_poll(i, &h, 10);
		in_shut(i, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	}
	free(i);
	*in = NULL;
}
