/*
 * bus against Kafka at KAFKA_BOOTSTRAP_SERVERS; where that is unset, against librdkafka's mock
 * cluster, which can do most of it. Outages are always the mock's.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "arena.h"
#include "bus.h"
#include "clock.h"
#include "log.h"
#include "tap.h"

enum {
	KEYS = 7,
	MESSAGES = 350,
	PATIENCE_MS = 60000, /* a group may take its time to form, and a busy machine all of it */
};

static struct arena *arena;
static rd_kafka_t *helper; /* owns the mock, asks for topics */
static rd_kafka_mock_cluster_t *mock;
static const char *servers, *mock_servers, *run;
static bool is_real;
static FILE *log_file;

/*
 * Around the tests
 */

static int64_t
ms_since(int64_t start_us)
{
	return (clock_read_us() - start_us) / 1000;
}

static bool
within(int64_t start_us, int64_t least_ms, int64_t most_ms)
{
	int64_t took = ms_since(start_us);

	if (took < least_ms || took > most_ms)
		printf("#   took %lld ms\n", (long long)took);
	return took >= least_ms && took <= most_ms;
}

/* How many lines of our log hold all of these. */
static int
logged(const char *a, const char *b)
{
	char line[4096];
	int n = 0;

	log_flush();
	rewind(log_file);
	while (fgets(line, sizeof(line), log_file) != NULL)
		n += strstr(line, a) != NULL && strstr(line, b) != NULL;
	return n;
}

/* As diagnostics. */
static void
show_log(void)
{
	char line[4096];

	rewind(log_file);
	while (fgets(line, sizeof(line), log_file) != NULL)
		printf("# %s", line);
}

static void
log_to_file(void)
{
	log_file = tmpfile();
	fflush(stderr);
	dup2(fileno(log_file), STDERR_FILENO);
	log_init("bus_test", "json", "info");
	fcntl(STDERR_FILENO, F_SETFL, O_APPEND);
}

/* A loopback port where nobody listens. */
static const char *
closed_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&at, len) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) != 0)
		abort();
	close(fd);
	return arena_printf(arena, "127.0.0.1:%d", ntohs(at.sin_port));
}

static void
helper_open(void)
{
	rd_kafka_conf_t *rc = rd_kafka_conf_new();
	char why[256];

	if (is_real)
		rd_kafka_conf_set(rc, "bootstrap.servers", servers, why, sizeof(why));
	helper = rd_kafka_new(RD_KAFKA_PRODUCER, rc, why, sizeof(why));
	mock = helper == NULL ? NULL : rd_kafka_mock_cluster_new(helper, 1);
	mock_servers = mock == NULL ? NULL : rd_kafka_mock_cluster_bootstraps(mock);
}

static bool
topic_ask(const char *name, const char *max_bytes)
{
	char why[256];
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, 3, 1, why, sizeof(why));
	rd_kafka_queue_t *queue = rd_kafka_queue_new(helper);
	rd_kafka_event_t *ev;
	const rd_kafka_topic_result_t **results;
	size_t n = 0;
	bool made;

	if (max_bytes != NULL)
		rd_kafka_NewTopic_set_config(topic, "max.message.bytes", max_bytes);
	rd_kafka_CreateTopics(helper, &topic, 1, NULL, queue);
	ev = rd_kafka_queue_poll(queue, PATIENCE_MS);
	results = ev == NULL ? NULL
			     : rd_kafka_CreateTopics_result_topics(
				       rd_kafka_event_CreateTopics_result(ev), &n);
	made = n == 1 && rd_kafka_topic_result_error(results[0]) == RD_KAFKA_RESP_ERR_NO_ERROR;
	rd_kafka_event_destroy(ev);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewTopic_destroy(topic);
	return made;
}

/* A topic of three partitions, its name like no other. */
static const char *
topic_new(const char *what, const char *max_bytes)
{
	const char *name = arena_printf(arena, "bus-test-%s-%s", run, what);

	if (is_real ? !topic_ask(name, max_bytes)
		    : rd_kafka_mock_topic_create(mock, name, 3, 1) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		printf("Bail out! no topic %s at %s\n", name, servers);
		exit(1);
	}
	return name;
}

static struct bus_conf *
conf_for(const char *at, const char *topic, const char *group)
{
	struct bus_conf *c = arena_get(arena, sizeof(*c));

	*c = (struct bus_conf){
		.servers = at, .client = "bus_test", .topic = topic, .group = group
	};
	return c;
}

/* Message number n: its key is n modulo KEYS, its value says n. */
static enum err
say_number(struct bus_out *o, const char *topic, int n)
{
	char key[16], value[16];
	struct bus_msg m = { .topic = topic, .key = key, .value = value };

	m.key_len = (size_t)snprintf(key, sizeof(key), "%d", n % KEYS);
	m.value_len = (size_t)snprintf(value, sizeof(value), "%d", n);
	return bus_say(o, &m, n);
}

static bool
say_numbers(struct bus_out *o, const char *topic, int from, int to)
{
	bool all = true;

	for (int n = from; n < to; n++)
		all = say_number(o, topic, n) == OK && all;
	return all;
}

/* Hear until there are `want` messages or patience ends; all in one batch. */
static struct bus_batch
hear_many(struct bus_in *in, int want)
{
	struct bus_msg *all = arena_get(arena, (size_t)want * sizeof(*all));
	struct bus_batch b, sum = { .msg = all };
	int64_t start = clock_read_us();

	while (sum.n < want && ms_since(start) < PATIENCE_MS) {
		if (bus_hear(in, arena, want, 500, &b) != OK)
			continue;
		if (b.turn != sum.turn)
			sum.n = 0; /* other partitions now: all is heard again */
		b.n = b.n < want - sum.n ? b.n : want - sum.n;
		memcpy(all + sum.n, b.msg, (size_t)b.n * sizeof(*all));
		sum.n += b.n;
		sum.turn = b.turn;
	}
	return sum;
}

/* Wait until the partitions are ours, then a second more: nothing to hear? */
static bool
hears_nothing(struct bus_in *in)
{
	int64_t start = clock_read_us();
	struct bus_batch b = { 0 };
	enum err e = OK;
	int n = 0;

	while (n == 0 && b.n == 0 && ms_since(start) < PATIENCE_MS) {
		e = bus_hear(in, arena, 10, 200, &b);
		bus_lag(in, arena, 1000, &n);
	}
	if (n == 3 && b.n == 0)
		e = bus_hear(in, arena, 10, 1000, &b);
	if (e != OK || n != 3 || b.n != 0)
		printf("#   ended %d, %d partitions, %d messages\n", e, n, b.n);
	return e == OK && n == 3 && b.n == 0;
}

static int64_t
lag_sum(struct bus_in *in)
{
	int n;
	const struct bus_lag *lags = bus_lag(in, arena, 2000, &n);
	int64_t sum = n == 3 ? 0 : -1000;

	for (int i = 0; i < n; i++)
		sum += lags[i].lag;
	return sum;
}

static int
number_of(const struct bus_msg *m)
{
	return m->value == NULL ? -1 : atoi(m->value);
}

/* Are the numbers of each key rising, none of them twice, and from 0 to n all there? */
static bool
in_order(const struct bus_batch *b, int n)
{
	int last[KEYS], count = 0;

	memset(last, -1, sizeof(last));
	for (int i = 0; i < b->n; i++) {
		int number = number_of(&b->msg[i]), key = number % KEYS;

		if (number < 0 || key != atoi(b->msg[i].key))
			return false;
		if (last[key] >= 0 ? number != last[key] + KEYS : number != key)
			return false;
		last[key] = number;
		count++;
	}
	return count == n;
}

/*
 * The tests
 */

static void
test_acks_and_order(void)
{
	const char *topic = topic_new("order", NULL);
	struct bus_out *o = bus_out_open(conf_for(servers, NULL, NULL));
	struct bus_in *in = bus_in_open(conf_for(servers, topic, topic));
	struct bus_receipt r;
	struct bus_batch b;
	bool seen[MESSAGES] = { false };
	int seen_n = 0;

	is_int(bus_warm(o, topic, 5000), OK, "a topic that is there can be warmed");
	ok(say_numbers(o, topic, 0, MESSAGES), "%d messages are taken", MESSAGES);
	is_int(bus_settle(o, 10000, &r), OK, "all of them are settled");
	for (int i = 0; i < r.n_acked; i++) {
		if (r.acked[i] >= 0 && r.acked[i] < MESSAGES && !seen[r.acked[i]])
			seen_n += seen[r.acked[i]] = true;
	}
	is_int(seen_n, MESSAGES, "each tag is acknowledged");
	is_int(r.n_acked, MESSAGES, "and none twice");
	is_int(bus_settle(o, 1000, &r), OK, "with nothing said, settling ends at once");
	is_int(r.n_acked, 0, "and acknowledges nothing");
	b = hear_many(in, MESSAGES);
	ok(in_order(&b, MESSAGES), "a new group hears all from the beginning, in order per key");
	is_int(bus_done(in, &b, 5000), OK, "they can be done");
	is_int(lag_sum(in), 0, "then nothing lags");
	bus_in_close(&in);
	bus_out_close(&o);
}

/* Which of the numbers up to 64 were read: bit after bit. */
static uint64_t
numbers(const struct bus_msg *m, int n)
{
	uint64_t seen = 0;

	for (int i = 0; i < n; i++)
		seen |= UINT64_C(1) << (number_of(&m[i]) & 63);
	return seen;
}

/* What is read at once is bounded in bytes as well as in number. Any of them may come twice. */
static void
test_large_messages(void)
{
	enum { SIZE = 900000, SAID = 14, AT_ONCE = BUS_BYTES / SIZE + 1 };
	const uint64_t all = (UINT64_C(1) << SAID) - 1;
	const char *topic = topic_new("large", NULL);
	struct bus_out *o = bus_out_open(conf_for(servers, NULL, NULL));
	struct bus_conf *conf = conf_for(servers, topic, topic);
	struct bus_in *in = bus_in_open(conf);
	struct bus_place at = { -1, 0 };
	struct bus_msg m = { .topic = topic, .key = "k", .key_len = 1, .value_len = SIZE }, *seen;
	struct bus_receipt r;
	struct bus_batch b;
	bool more, good = true;
	uint64_t looked, heard = 0;
	char *value = arena_get(arena, SIZE);
	int n;

	m.value = memset(value, 'x', SIZE);
	for (int i = 0; i < SAID; i++) {
		value[snprintf(value, 4, "%d", i)] = 'x';
		good = bus_say(o, &m, i) == OK && good;
	}
	ok(good && bus_settle(o, PATIENCE_MS, &r) == OK, "%d large ones are said", SAID);
	is_int(r.n_acked, SAID, "and acknowledged");
	is_int(bus_look(conf, arena, &at, 100, PATIENCE_MS, &seen, &n, &more), OK,
	       "a look at them");
	ok(n == AT_ONCE && more,
	   "ends where they are too many bytes, and says that there are more");
	looked = numbers(seen, n);
	at = (struct bus_place){ seen[0].partition, AT_ONCE };
	is_int(bus_look(conf, arena, &at, 100, PATIENCE_MS, &seen, &n, &more), OK, "the next one");
	is_int((int64_t)(looked | numbers(seen, n)), (int64_t)all, "sees the rest");
	ok(!more && n >= SAID - AT_ONCE, "and says that this is all");
	for (int64_t start = clock_read_us(); heard != all && ms_since(start) < PATIENCE_MS;) {
		if (bus_hear(in, arena, 100, 500, &b) != OK)
			continue;
		good = good && b.n <= AT_ONCE;
		heard |= numbers(b.msg, b.n);
	}
	is_int((int64_t)heard, (int64_t)all, "so are they heard");
	ok(good, "no more than %d at once", AT_ONCE);
	bus_in_close(&in);
	bus_out_close(&o);
}

static void
test_what_a_message_carries(void)
{
	const char *topic = topic_new("carries", NULL);
	struct bus_out *o = bus_out_open(conf_for(servers, NULL, NULL));
	struct bus_in *in = bus_in_open(conf_for(servers, topic, topic));
	const struct bus_header headers[] = {
		BUS_HEADER("request_id", "r-1"),
		{ "bytes", "a\0b", 3 },
		{ "nothing", NULL, 0 },
		BUS_HEADER("empty", ""),
	};
	const struct bus_msg full = { .topic = topic,
				      .key = "k",
				      .key_len = 1,
				      .value = "v\0w",
				      .value_len = 3,
				      .headers = headers,
				      .n_headers = 4 };
	const struct bus_msg tombstone = { .topic = topic, .key = "k", .key_len = 1 };
	const struct bus_msg empty = { .topic = topic, .key = "k", .key_len = 1, .value = "" };
	struct bus_receipt r;
	struct bus_batch b;

	ok(bus_say(o, &full, 1) == OK && bus_say(o, &tombstone, -2) == OK &&
		   bus_say(o, &empty, INT64_MAX) == OK && bus_settle(o, 10000, &r) == OK,
	   "three of one key are said");
	ok(r.n_acked == 3 && r.acked[0] == 1 && r.acked[1] == -2 && r.acked[2] == INT64_MAX,
	   "tags come back as they were given, in order");
	b = hear_many(in, 3);
	if (!is_int(b.n, 3, "and heard"))
		return;
	is_text(b.msg[0].topic, topic, "the topic is told");
	is_text(b.msg[0].key, "k", "so is the key");
	ok(b.msg[0].value_len == 3 && memcmp(b.msg[0].value, "v\0w", 4) == 0,
	   "a value may hold any bytes");
	ok(b.msg[0].timestamp_ms > 1700000000000, "the time is told, in milliseconds");
	ok(b.msg[0].offset + 1 == b.msg[1].offset && b.msg[0].partition == b.msg[1].partition,
	   "one key, one partition, offset after offset");
	is_int(b.msg[0].n_headers, 4, "all headers come along");
	if (b.msg[0].n_headers == 4) {
		const struct bus_header *h = b.msg[0].headers;

		is_text(h[0].name, "request_id", "in order, with their names");
		is_text(h[0].value, "r-1", "a header's text is text");
		ok(h[1].len == 3 && memcmp(h[1].value, "a\0b", 4) == 0, "its bytes are bytes");
		ok(h[2].value == NULL, "null is null");
		is_text(h[3].value, "", "and empty is empty");
	}
	ok(b.msg[1].value == NULL && b.msg[1].n_headers == 0, "a tombstone has no value");
	ok(b.msg[2].value != NULL && b.msg[2].value_len == 0, "an empty value is no tombstone");
	bus_in_close(&in);
	bus_out_close(&o);
}

static void
test_done(void)
{
	const char *topic = topic_new("done", NULL);
	struct bus_out *o = bus_out_open(conf_for(servers, NULL, NULL));
	struct bus_in *in = bus_in_open(conf_for(servers, topic, topic));
	struct bus_receipt r;
	struct bus_batch all, rest, some;
	int64_t start;

	if (!ok(say_numbers(o, topic, 0, 60) && bus_settle(o, 10000, &r) == OK, "60 are said"))
		return;
	all = hear_many(in, 60);
	some = all;
	some.n = 25;
	is_int(all.n, 60, "and heard");
	is_int(bus_done(in, &some, 5000), OK, "the first 25 are done");
	is_int(lag_sum(in), 35, "35 lag");
	start = clock_read_us();
	bus_in_close(&in);
	ok(in == NULL && within(start, 0, 2000), "leaving the group is quick");

	in = bus_in_open(conf_for(servers, topic, topic));
	rest = hear_many(in, 35);
	ok(rest.n == 35, "a new member hears what was not done");
	for (int i = 0; i < 25; i++) {
		for (int j = 0; j < rest.n; j++)
			some.n -= number_of(&all.msg[i]) == number_of(&rest.msg[j]);
	}
	is_int(some.n, 25, "and nothing that was");
	is_int(bus_done(in, &rest, 5000), OK, "now the rest is done");
	bus_in_close(&in);

	in = bus_in_open(conf_for(servers, topic, topic));
	ok(hears_nothing(in), "a third member hears nothing");
	is_int(lag_sum(in), 0, "and knows that nothing lags");
	bus_in_close(&in);
	bus_out_close(&o);
}

static void
test_giving_up_partitions(void)
{
	const char *topic = topic_new("giving-up", NULL);
	struct bus_out *o = bus_out_open(conf_for(servers, NULL, NULL));
	struct bus_in *a = bus_in_open(conf_for(servers, topic, topic));
	struct bus_in *b = bus_in_open(conf_for(servers, topic, topic));
	struct bus_batch heard, none;
	struct bus_receipt r;
	int n_a = 3, n_b = 0;
	int64_t start = clock_read_us();

	if (!ok(say_numbers(o, topic, 0, 30) && bus_settle(o, 10000, &r) == OK, "30 are said"))
		return;
	heard = hear_many(a, 30);
	while ((n_a + n_b != 3 || n_b == 0) && ms_since(start) < PATIENCE_MS) {
		if (bus_hear(a, arena, 1, 100, &none) != OK ||
		    bus_hear(b, arena, 30, 100, &none) != OK)
			printf("#   not heard\n");
		bus_lag(a, arena, 100, &n_a);
		bus_lag(b, arena, 100, &n_b);
	}
	ok(n_a + n_b == 3 && n_b > 0, "a second member takes over some of the partitions");
	is_int(bus_done(a, &heard, 2000), E_STALE, "what was heard before can't be done any more");
	bus_in_close(&a);
	heard = hear_many(b, 30);
	is_int(heard.n, 30, "the second member hears it, some again, when the first has left");

	/* Done, but not known: the last word is said when the partitions are given up. */
	ok(bus_done(b, &heard, 0) != E_STALE, "done without waiting");
	bus_in_close(&b);
	b = bus_in_open(conf_for(servers, topic, topic));
	ok(hears_nothing(b), "is known to the group once the member has left");
	bus_in_close(&b);
	bus_out_close(&o);
}

static void
test_fatal_error(void)
{
	const char *topic = topic_new("fatal", NULL);
	struct bus_out *o = bus_out_open(conf_for(servers, NULL, NULL));
	struct bus_in *in = bus_in_open(conf_for(servers, topic, topic));
	bool acked[100] = { false };
	struct bus_batch b;
	struct bus_receipt r;
	enum err e = E_BUSY;
	int lives = 0, heard = 0;
	bool seen[100] = { false };

	while (e != OK && lives++ < 10) {
		for (int n = 0; n < 100; n++) {
			if (n == 50 && lives <= 2)
				bus_out_break(o);
			if (!acked[n] && (e = say_number(o, topic, n)) != OK)
				break;
		}
		e = bus_settle(o, 10000, &r);
		for (int i = 0; i < r.n_acked; i++)
			acked[r.acked[i]] = true;
		if (lives <= 2)
			is_int(e, E_BUSY, "a client that died is told of");
	}
	is_int(e, OK, "another takes its place");
	is_int(lives, 3, "at once");
	is_int(logged("bus.client_died", "broken by a test"), 2,
	       "each death is logged, with its cause");
	for (int start = 0; heard < 100 && start < 10; start++) {
		b = hear_many(in, 100 - heard);
		for (int i = 0; i < b.n; i++) {
			heard += !seen[number_of(&b.msg[i])];
			seen[number_of(&b.msg[i])] = true;
		}
	}
	is_int(heard, 100, "and nothing is lost");
	bus_in_close(&in);
	bus_out_close(&o);
}

static void
test_refusals(void)
{
	const char *topic = topic_new("refusals", "2000");
	struct bus_out *o = bus_out_open(conf_for(servers, NULL, NULL));
	struct bus_in *in = bus_in_open(conf_for(servers, topic, topic));
	struct bus_receipt r;
	struct bus_batch b;
	char noise[3000], *huge = arena_get(arena, 2000000);
	struct bus_msg m = {
		.topic = topic, .key = "1", .key_len = 1, .value = noise, .value_len = 3000
	};
	unsigned sum = 1;

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)((sum = sum * 1103515245u + 12345u) >> 16);
	is_int(bus_warm(o, "bus-test-no-such-topic", 5000), E_NOT_FOUND,
	       "a topic that is not there is told of");
	ok(say_number(o, topic, 1) == OK && bus_settle(o, 10000, &r) == OK,
	   "a message goes through");
	ok(bus_say(o, &m, 8) == OK && say_number(o, topic, 15) == OK,
	   "one too large, and one more of its key");
	is_int(bus_settle(o, 10000, &r), E_TOO_LARGE, "Kafka refuses the large one");
	ok(r.refused == 8 && r.n_acked == 0, "it is named, and holds back the one behind it");
	ok(say_number(o, topic, 22) == OK && bus_settle(o, 10000, &r) == OK && r.n_acked == 1,
	   "without it the next goes through");
	b = hear_many(in, 2);
	ok(b.n == 2 && number_of(&b.msg[0]) == 1 && number_of(&b.msg[1]) == 22,
	   "nothing else arrived");
	m.value = huge;
	m.value_len = 2000000;
	is_int(bus_say(o, &m, 9), E_TOO_LARGE, "what is far too large is refused at once");
	bus_in_close(&in);
	bus_out_close(&o);
}

static void
test_nobody_there(void)
{
	const char *at = closed_port();
	struct bus_out *o = bus_out_open(conf_for(at, NULL, NULL));
	struct bus_in *in = bus_in_open(conf_for(at, "t", "g"));
	struct bus_receipt r;
	struct bus_batch b;
	int64_t start = clock_read_us();

	is_int(bus_warm(o, "t", 300), E_UNAVAILABLE, "with no broker, warming fails");
	ok(within(start, 0, 600), "in time");
	is_int(say_number(o, "t", 1), OK, "saying queues");
	start = clock_read_us();
	is_int(bus_settle(o, 3000, &r), E_UNAVAILABLE, "settling does not succeed");
	ok(within(start, 2900, 3400), "and ends in time");
	ok(r.n_acked == 0 && r.waiting == 1, "the message is waiting");
	for (int i = 0; i < 3; i++) {
		start = clock_read_us();
		is_int(bus_hear(in, arena, 10, 700, &b), E_UNAVAILABLE, "hearing ends too");
		ok(within(start, 0, 1000) && b.n == 0, "in time, with nothing");
	}
	start = clock_read_us();
	bus_in_close(&in);
	bus_out_close(&o);
	ok(within(start, 0, 2000), "closing is quick");
	is_int(logged("bus.lost", "\"out\""), 1, "that Kafka is away is said once by who says");
	is_int(logged("bus.lost", "\"in\""), 1, "and once by who hears");
	is_int(logged("bus.complained\",\"side\":\"out", "onnection refused"), 1,
	       "so is each complaint");
}

static void
test_outage(void)
{
	struct bus_out *o = bus_out_open(conf_for(mock_servers, NULL, NULL));
	struct bus_in *in = bus_in_open(conf_for(mock_servers, "outage", "outage"));
	struct bus_receipt r;
	struct bus_batch b, nothing;
	int64_t start;

	rd_kafka_mock_topic_create(mock, "outage", 3, 1);
	ok(say_numbers(o, "outage", 0, 10) && bus_settle(o, 10000, &r) == OK,
	   "while Kafka is there, all is well");
	b = hear_many(in, 10);
	ok(b.n == 10 && bus_done(in, &b, 5000) == OK, "also for who hears");
	rd_kafka_mock_broker_set_down(mock, 1);
	ok(say_numbers(o, "outage", 10, 20) && bus_settle(o, 1000, &r) == E_UNAVAILABLE,
	   "Kafka goes");
	is_int(r.waiting, 10, "what was said waits");
	for (int i = 0; i < 5 && bus_hear(in, arena, 10, 400, &nothing) != E_UNAVAILABLE; i++)
		continue;
	is_int(bus_hear(in, arena, 10, 400, &nothing), E_UNAVAILABLE,
	       "hearing tells that Kafka is away");
	start = clock_read_us();
	is_int(bus_done(in, &b, 300), E_UNAVAILABLE, "what is done can't be told");
	ok(within(start, 250, 600), "which ends in time");
	rd_kafka_mock_broker_set_up(mock, 1);
	is_int(bus_settle(o, 10000, &r), OK, "Kafka is back, and nothing had to be done for it");
	ok(r.n_acked == 10 && r.waiting == 0, "what waited is acknowledged");
	b = hear_many(in, 10);
	is_int(b.n, 10, "and heard");
	is_int(bus_done(in, &b, 10000), OK, "and can be done");
	rd_kafka_mock_broker_set_down(mock, 1);
	ok(say_number(o, "outage", 20) == OK && bus_settle(o, 300, &r) == E_UNAVAILABLE,
	   "Kafka goes again");
	start = clock_read_us();
	bus_out_close(&o);
	bus_in_close(&in);
	ok(within(start, 0, 7000), "closing does not wait for it");
	is_int(logged("bus.client_left_behind", ""), 0, "and leaves nothing behind");
}

int
main(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	arena = arena_new(1 << 20);
	clock_tick();
	log_to_file();
	servers = getenv("KAFKA_BOOTSTRAP_SERVERS");
	is_real = servers != NULL && *servers != '\0';
	run = arena_printf(arena, "%lld-%d", (long long)clock_wall_us(), (int)getpid());
	helper_open();
	if (mock == NULL) {
		printf("1..0 # SKIP no mock cluster\n");
		return 0;
	}
	servers = is_real ? servers : mock_servers;
	printf("# %s at %s\n", is_real ? "Kafka" : "mock cluster", servers);
	test_nobody_there();
	test_acks_and_order();
	test_large_messages();
	test_what_a_message_carries();
	test_done();
	test_fatal_error();
	test_outage();
	if (is_real) {
		test_giving_up_partitions();
		test_refusals();
	} else {
		ok(true, "giving up partitions # SKIP the mock takes half a minute");
		ok(true, "refusals # SKIP the mock refuses nothing");
	}
	if (tap_failed > 0 || getenv("BUS_TEST_LOG") != NULL)
		show_log();
	rd_kafka_mock_cluster_destroy(mock);
	rd_kafka_destroy(helper);
	arena_free(&arena);
	return tap_end();
}
