/* bus_link: the client, its news and its end. */
#include "bus_link.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "metric.h"
#include "text.h"

enum {
	PEACE_US = 60 * 1000000, /* after which the same complaint is news again */
	DESTROY_S = 2,
	WHY_SIZE = 256,
};

/* Timings are for brokers that are near: notice within seconds that they are gone or back. */
static const struct setting BOTH[] = {
	{ "log.queue", "true" },
	{ "socket.nagle.disable", "true" },
	{ "socket.keepalive.enable", "true" },
	{ "socket.connection.setup.timeout.ms", "5000" },
	{ "socket.timeout.ms", "15000" },
	{ "reconnect.backoff.max.ms", "1000" },
	{ "topic.metadata.refresh.interval.ms", "30000" },
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

int64_t
bus_from_now(int wait_ms)
{
	return clock_read_us() + (int64_t)wait_ms * 1000;
}

int
bus_left_ms(int64_t until_us)
{
	int64_t left = until_us - clock_read_us();

	return left <= 0 ? 0 : (int)((left + 999) / 1000);
}

enum err
bus_verdict_on(rd_kafka_resp_err_t code)
{
	for (size_t i = 0; i < NELEM(VERDICTS); i++) {
		if (VERDICTS[i].code == code)
			return VERDICTS[i].e;
	}
	return E_UNAVAILABLE;
}

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
void
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

void
link_saw(struct link *l, bool is_there)
{
	metric_set(METRIC_KAFKA, is_there ? STATE_THERE : STATE_AWAY);
	if (l->seen && l->is_there == is_there)
		return;
	l->seen = true;
	l->is_there = is_there;
	log_at(is_there ? LOG_INFO : LOG_WARN, EV(is_there ? "bus.reached" : "bus.lost"),
	       KS("side", l->side));
}

void
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

void
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

enum err
link_open(struct link *l, rd_kafka_type_t type, const struct setting *ours,
	  const struct setting *given)
{
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

void
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
void
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

rd_kafka_resp_err_t
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

void
bus_copy_message(struct arena *a, const rd_kafka_message_t *m, struct bus_msg *to)
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
