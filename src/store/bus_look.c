/* bus_look: a topic read without a group, from where it begins to where it ends. */
#include "bus_link.h"

#include <stdio.h>

#include "clock.h"

static const struct setting LOOK[] = {
	{ "enable.auto.commit", "false" },
	{ "enable.auto.offset.store", "false" },
	{ "auto.offset.reset", "earliest" },
	{ "group.id", "usherctl" }, /* named, and never joined */
	{ NULL, NULL },
};

/* A reading: its partitions, and how far each goes. */
struct look {
	struct link link;
	rd_kafka_topic_partition_list_t *from;
	int64_t *high; /* of each of them */
	int open;      /* how many are not at their end */
	struct arena *a;
	struct bus_msg *msg;
	int n, most;
	size_t bytes;
};

/* Which partitions have anything from `at` on, and where they end. */
static enum err
find_spans(struct look *k, const struct bus_place *at, int wait_ms)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_topic_t *t = rd_kafka_topic_new(k->link.rk, k->link.conf->topic, NULL);
	rd_kafka_resp_err_t code = rd_kafka_metadata(k->link.rk, 0, t, &md, wait_ms);
	int64_t low, high;

	rd_kafka_topic_destroy(t);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return bus_verdict_on(code);
	code = md->topics[0].err;
	k->high = arena_get(k->a, (size_t)md->topics[0].partition_cnt * sizeof(*k->high) + 1);
	for (int p = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && p < md->topics[0].partition_cnt;
	     p++) {
		if (at->partition >= 0 && at->partition != p)
			continue;
		code = rd_kafka_query_watermark_offsets(k->link.rk, k->link.conf->topic, p, &low,
							&high, wait_ms);
		low = at->offset > low ? at->offset : low;
		if (code != RD_KAFKA_RESP_ERR_NO_ERROR || low >= high)
			continue;
		k->high[k->from->cnt] = high;
		rd_kafka_topic_partition_list_add(k->from, k->link.conf->topic, p)->offset = low;
	}
	rd_kafka_metadata_destroy(md);
	k->open = k->from->cnt;
	return bus_verdict_on(code);
}

static bool
is_full(const struct look *k)
{
	return k->n == k->most || k->bytes >= BUS_BYTES;
}

static void
take(struct look *k, const rd_kafka_message_t *m)
{
	int i = 0;

	if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	while (k->from->elems[i].partition != m->partition)
		i++;
	if (m->offset >= k->high[i])
		return;
	if (is_full(k))
		return;
	if (m->offset == k->high[i] - 1)
		k->open--;
	k->bytes += m->len;
	bus_copy_message(k->a, m, &k->msg[k->n++]);
}

static enum err
read_spans(struct look *k, int wait_ms)
{
	rd_kafka_queue_t *messages = rd_kafka_queue_get_consumer(k->link.rk);
	int64_t until = bus_from_now(wait_ms);
	const rd_kafka_message_t *m;
	rd_kafka_event_t *ev;

	rd_kafka_assign(k->link.rk, k->from);
	while (k->open > 0 && !is_full(k) && bus_left_ms(until) > 0) {
		if ((ev = rd_kafka_queue_poll(messages, bus_left_ms(until))) == NULL)
			break;
		if (rd_kafka_event_type(ev) == RD_KAFKA_EVENT_FETCH) {
			while ((m = rd_kafka_event_message_next(ev)) != NULL)
				take(k, m);
		}
		link_take(&k->link, ev);
		rd_kafka_event_destroy(ev);
	}
	rd_kafka_assign(k->link.rk, NULL);
	while ((ev = rd_kafka_queue_poll(messages, 0)) != NULL)
		rd_kafka_event_destroy(ev);
	rd_kafka_queue_destroy(messages);
	return k->open > 0 && !is_full(k) ? E_UNAVAILABLE : OK;
}

static enum err
look_open(struct look *k)
{
	const struct setting given[] = {
		{ "bootstrap.servers", k->link.conf->servers },
		{ "client.id", k->link.conf->client },
		{ NULL, NULL },
	};

	return link_open(&k->link, RD_KAFKA_CONSUMER, LOOK, given);
}

enum err
bus_look(const struct bus_conf *conf, struct arena *a, const struct bus_place *at, int most,
	 int wait_ms, struct bus_msg **msgs_r, int *n_r, bool *more_r)
{
	struct look k = { .link = { .conf = conf, .side = "look" }, .a = a, .most = most };
	enum err e;

	*n_r = 0;
	*more_r = false;
	if ((e = look_open(&k)) != OK)
		return e;
	k.msg = arena_get(a, (size_t)most * sizeof(*k.msg));
	k.from = rd_kafka_topic_partition_list_new(8);
	e = find_spans(&k, at, wait_ms);
	if (e == OK && k.open > 0)
		e = read_spans(&k, wait_ms);
	rd_kafka_topic_partition_list_destroy(k.from);
	link_shut(&k.link);
	*msgs_r = k.msg;
	*n_r = k.n;
	*more_r = k.open > 0;
	return e;
}

/* The first partition that could not be shortened speaks for all. */
static rd_kafka_resp_err_t
outcome(rd_kafka_event_t *ev)
{
	const rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t code = rd_kafka_event_error(ev);

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return code;
	list = rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(ev));
	for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		code = list->elems[i].err;
	return code;
}

enum err
bus_forget(const struct bus_conf *conf, const struct bus_place *before, int n, int wait_ms)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);
	struct look k = { .link = { .conf = conf, .side = "look" } };
	rd_kafka_DeleteRecords_t *wish;
	rd_kafka_queue_t *answers;
	rd_kafka_event_t *ev;
	enum err e = look_open(&k);

	for (int i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(list, conf->topic, before[i].partition)->offset =
			before[i].offset;
	if (e == OK) {
		wish = rd_kafka_DeleteRecords_new(list);
		answers = rd_kafka_queue_new(k.link.rk);
		rd_kafka_DeleteRecords(k.link.rk, &wish, 1, NULL, answers);
		ev = rd_kafka_queue_poll(answers, wait_ms);
		e = ev == NULL ? E_UNAVAILABLE : bus_verdict_on(outcome(ev));
		rd_kafka_event_destroy(ev);
		rd_kafka_queue_destroy(answers);
		rd_kafka_DeleteRecords_destroy(wish);
		link_shut(&k.link);
	}
	rd_kafka_topic_partition_list_destroy(list);
	return e;
}
