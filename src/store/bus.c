/*
 * bus: two kinds of client on one kind of link. Longer than a file should be, so that one
 * file knows the library.
 *
 * librdkafka works in threads of its own and tells us everything, logs and errors too,
 * through queues that we read when we wait anyway: no callback, and our log is only
 * ever written by our own thread.
 */
#include "bus.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#include "clock.h"
#include "log.h"
#include "text.h"

enum {
	COMPLAINTS = 32,	 /* distinct ones remembered; what comes after is not said */
	PEACE_US = 60 * 1000000, /* after which the same complaint is news again */
	TAKE_BACK_MS = 500,	 /* for the reports of what is taken back */
	REVOKE_MS = 1000,	 /* for the last word about partitions that are being taken */
	CLOSE_MS = 3000,
	DESTROY_S = 2,
	WHY_SIZE = 256,
};

struct setting {
	const char *name, *value;
};

/* Timings are for brokers that are near: notice within seconds that they are gone or back. */
static const struct setting BOTH[] = {
	{ "log.queue", "true" },
	{ "socket.nagle.disable", "true" },
	{ "socket.keepalive.enable", "true" },
	{ "socket.connection.setup.timeout.ms", "5000" },
	{ "socket.timeout.ms", "15000" },
	{ "reconnect.backoff.max.ms", "2000" },
	{ "topic.metadata.refresh.interval.ms", "30000" },
	{ NULL, NULL },
};

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

/* Eager assignment: cooperative rebalancing is broken in 2.0.2. */
static const struct setting IN[] = {
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
	{ RD_KAFKA_RESP_ERR_NO_ERROR, OK },
	{ RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, E_TOO_LARGE },
	{ RD_KAFKA_RESP_ERR_INVALID_RECORD, E_INVALID },
	{ RD_KAFKA_RESP_ERR_POLICY_VIOLATION, E_INVALID },
	{ RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, E_INVALID },
	{ RD_KAFKA_RESP_ERR__INVALID_ARG, E_INVALID },
	{ RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, E_FORBIDDEN },
	{ RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, E_NOT_FOUND },
	{ RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, E_NOT_FOUND },
	{ RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, E_NOT_FOUND },
	/* of commits: there was nothing to tell; the group has moved on without us */
	{ RD_KAFKA_RESP_ERR__NO_OFFSET, OK },
	{ RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, E_STALE },
	{ RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, E_STALE },
	{ RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, E_STALE },
};

struct link {
	const struct bus_conf *conf;
	const char *side;	/* "out" or "in" */
	rd_kafka_t *rk;		/* NULL: to be opened */
	rd_kafka_queue_t *news; /* its reports, errors and logs */
	bool died;		/* of a fatal error: to be shut */
	bool seen, is_there;	/* have we looked for Kafka, and is it there? */
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
	rd_kafka_queue_t *messages; /* and what becomes of our partitions */
	rd_kafka_queue_t *answers;  /* to commits */
	intptr_t asked;		    /* the number of the last one */
	uint64_t turn;
	rd_kafka_topic_partition_list_t *done; /* our partitions, and the next offset of each */
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
	return E_UNAVAILABLE;
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
	log_warn(EV("bus.complained"), KS("side", l->side), KS("facility", facility),
		 KS("text", text));
}

static void
link_saw(struct link *l, bool is_there)
{
	if (l->seen && l->is_there == is_there)
		return;
	l->seen = true;
	l->is_there = is_there;
	log_at(is_there ? LOG_INFO : LOG_WARN, EV(is_there ? "bus.reached" : "bus.lost"),
	       KS("side", l->side));
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
	/* Levels are syslog's, 4 is a warning. That a setting is experimental we know, and
	 * fatal errors are said by link_died. */
	if (level <= 4 && !text_among(facility, "CONFWARN FATAL"))
		link_complain(l, facility, text);
}

/* What both kinds of client hear. */
static void
link_take(struct link *l, rd_kafka_event_t *ev)
{
	rd_kafka_event_type_t type = rd_kafka_event_type(ev);
	rd_kafka_resp_err_t code = rd_kafka_event_error(ev);

	if (type == RD_KAFKA_EVENT_LOG)
		link_log(l, ev);
	else if (type != RD_KAFKA_EVENT_ERROR)
		return;
	else if (code == RD_KAFKA_RESP_ERR__FATAL || rd_kafka_event_error_is_fatal(ev))
		link_died(l, code);
	else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		link_saw(l, false);
	else
		link_complain(l, rd_kafka_err2name(code), rd_kafka_event_error_string(ev));
}

static bool
set_all(rd_kafka_conf_t *rc, const struct setting *s, char *why)
{
	for (; s->name != NULL; s++) {
		if (rd_kafka_conf_set(rc, s->name, s->value, why, WHY_SIZE) != RD_KAFKA_CONF_OK)
			return false;
	}
	return true;
}

/* OK, or logged: E_BUG for settings that the library does not take, E_UNAVAILABLE. */
static enum err
link_open(struct link *l, const struct setting *ours, const struct setting *given)
{
	rd_kafka_type_t type = ours == OUT ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER;
	rd_kafka_conf_t *rc = rd_kafka_conf_new();
	char why[WHY_SIZE] = "";
	bool set = set_all(rc, BOTH, why) && set_all(rc, ours, why) && set_all(rc, given, why);

	rd_kafka_conf_set_events(rc, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_LOG |
					     RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_REBALANCE |
					     RD_KAFKA_EVENT_OFFSET_COMMIT);
	l->rk = set ? rd_kafka_new(type, rc, why, sizeof(why)) : NULL;
	if (l->rk == NULL) {
		rd_kafka_conf_destroy(rc);
		return log_fail(set ? E_UNAVAILABLE : E_BUG, EV("bus.open_failed"),
				KS("side", l->side), KS("why", why));
	}
	l->news = rd_kafka_queue_get_main(l->rk);
	rd_kafka_set_log_queue(l->rk, l->news);
	return OK;
}

static void
link_hear_news(struct link *l)
{
	rd_kafka_event_t *ev;

	while ((ev = rd_kafka_queue_poll(l->news, 0)) != NULL) {
		link_take(l, ev);
		rd_kafka_event_destroy(ev);
	}
}

static void *
destroy(void *rk)
{
	rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	return NULL;
}

/* What nobody read keeps 2.0.2 from ending, so all queues are emptied first. Yet in a thread: it
 * waits for time-outs of its own, or for a name server, and some consumers never end (librdkafka
 * issue 4674). Then we go on without it, and it ends with the process. */
static void
link_shut(struct link *l)
{
	struct timespec until;
	pthread_t thread;
	int failed;

	link_hear_news(l);
	rd_kafka_queue_destroy(l->news);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += DESTROY_S;
	failed = pthread_create(&thread, NULL, destroy, l->rk);
	assert(failed == 0);
	if (pthread_timedjoin_np(thread, NULL, &until) != 0) {
		pthread_detach(thread);
		log_warn(EV("bus.client_left_behind"), KS("side", l->side));
	}
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
	link_saw(l, true);
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
	const struct bus_conf *c = o->link.conf;
	const struct setting given[] = {
		{ "bootstrap.servers", c->servers },
		{ "client.id", c->client },
		{ "compression.codec", c->compression == NULL ? "lz4" : c->compression },
		{ NULL, NULL },
	};

	return o->link.rk != NULL ? OK : link_open(&o->link, OUT, given);
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
		link_saw(&o->link, true);
	} else if (e == E_UNAVAILABLE) {
		link_died(&o->link, m->err); /* or it was taken back, and is as good as dead */
	} else if (o->refusal == OK) {
		o->refusal = e;
		o->refused = tag;
		log_warn(EV("bus.message_refused"), KI("tag", tag),
			 KS("why", rd_kafka_err2str(m->err)));
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
	while (o->waiting > 0 && out_poll(o, left_ms(until)))
		continue;
	o->waiting = 0;
	link_shut(&o->link);
}

enum err
bus_settle(struct bus_out *o, int wait_ms, struct bus_receipt *r)
{
	int64_t until = from_now(wait_ms);
	enum err e = OK;

	/* With nothing waiting, only the news is read. */
	while (o->link.rk != NULL && o->refusal == OK && !o->link.died &&
	       out_poll(o, o->waiting > 0 ? left_ms(until) : 0))
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
	int64_t until = from_now(wait_ms);
	rd_kafka_resp_err_t code;
	rd_kafka_event_t *ev;
	bool is_ours = false;

	link_hear_news(&in->link);
	if (!in->link.is_there &&
	    link_ask(&in->link, NULL, left_ms(until)) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return E_UNAVAILABLE;
	code = rd_kafka_commit_queue(in->link.rk, in->done, in->answers, NULL, (void *)++in->asked);
	while (code == RD_KAFKA_RESP_ERR_NO_ERROR && !is_ours) {
		if ((ev = rd_kafka_queue_poll(in->answers, left_ms(until))) == NULL)
			return E_UNAVAILABLE;
		is_ours = (intptr_t)rd_kafka_event_opaque(ev) == in->asked;
		code = is_ours ? rd_kafka_event_error(ev) : code;
		rd_kafka_event_destroy(ev);
	}
	if (verdict_on(code) == E_UNAVAILABLE)
		link_complain(&in->link, "COMMIT", rd_kafka_err2str(code));
	if (is_ours && code == RD_KAFKA_RESP_ERR_NO_ERROR)
		link_saw(&in->link, true);
	return verdict_on(code);
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
	rd_kafka_event_t *ev = rd_kafka_queue_poll(in->messages, wait_ms);
	const rd_kafka_message_t *m;

	if (ev == NULL)
		return false;
	if (rd_kafka_event_type(ev) == RD_KAFKA_EVENT_REBALANCE) {
		h->n = 0; /* what was taken just now is somebody else's */
		in_rebalance(in, ev);
	} else if (rd_kafka_event_type(ev) == RD_KAFKA_EVENT_FETCH) {
		while (h->msg != NULL && (m = rd_kafka_event_message_next(ev)) != NULL)
			copy_message(h->a, m, &h->msg[h->n++]);
	}
	link_take(&in->link, ev);
	rd_kafka_event_destroy(ev);
	return true;
}

static void
in_shut(struct bus_in *in)
{
	struct hearing nobody = { 0 };

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
	rd_kafka_resp_err_t code;
	enum err e;

	if (in->link.rk != NULL)
		return OK;
	if ((e = link_open(&in->link, IN, given)) != OK)
		return e;
	in->messages = rd_kafka_queue_get_consumer(in->link.rk);
	in->answers = rd_kafka_queue_new(in->link.rk);
	if ((code = in_subscribe(in)) == RD_KAFKA_RESP_ERR_NO_ERROR)
		return OK;
	in_shut(in);
	return log_fail(E_BUG, EV("bus.subscribe_failed"), KS("why", rd_kafka_err2str(code)));
}

enum err
bus_hear(struct bus_in *in, struct arena *a, int most, int wait_ms, struct bus_batch *heard_r)
{
	struct hearing h = { a, arena_get(a, (size_t)most * sizeof(*h.msg)), 0 };
	int64_t until = from_now(wait_ms), silence;
	enum err e;

	*heard_r = (struct bus_batch){ 0 };
	if ((e = in_ready(in)) != OK)
		return e;
	link_hear_news(&in->link);
	/* Silence may be an outage: then half the time goes into asking. */
	silence = in->link.is_there ? until : from_now(wait_ms / 2);
	while (h.n < most && !in->link.died && in_poll(in, &h, h.n > 0 ? 0 : left_ms(silence)))
		continue;
	if (in->link.died) {
		in_shut(in);
		return E_UNAVAILABLE;
	}
	*heard_r = (struct bus_batch){ h.msg, h.n, in->turn };
	if (h.n == 0 && !in->link.is_there)
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
	rd_kafka_topic_partition_list_t *known = rd_kafka_topic_partition_list_copy(in->done);
	rd_kafka_resp_err_t code = rd_kafka_committed(in->link.rk, known, wait_ms);

	for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < known->cnt; i++) {
		if (in->done->elems[i].offset < 0)
			in->done->elems[i].offset = known->elems[i].offset;
	}
	rd_kafka_topic_partition_list_destroy(known);
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
	int64_t until = from_now(CLOSE_MS);
	struct bus_in *i = *in;
	struct hearing h = { 0 };

	if (i == NULL)
		return;
	if (i->link.rk != NULL) {
		rd_kafka_error_destroy(rd_kafka_consumer_close_queue(i->link.rk, i->messages));
		while (!rd_kafka_consumer_closed(i->link.rk) && left_ms(until) > 0)
			in_poll(i, &h, 10);
		in_shut(i);
	}
	free(i);
	*in = NULL;
}
