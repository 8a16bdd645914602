/* ctl_events: what the operator asks of events: the outbox, and the dead letters. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arena.h"
#include "clock.h"
#include "text.h"

#include "bus.h"

#include "outbox.h"

#include "ctl.h"

enum {
	AT_ONCE = 1000, /* letters that are replayed together */
	WAIT_MS = 10000,
	PARTITIONS_MOST = 256,
};

int
ctl_outbox(struct tool *t)
{
	struct outbox_state s;

	ctl_open_stores(t);
	if (outbox_state(&t->c, &s) != OK)
		return ctl_fail("outbox", db_complaint(t->c.db));
	printf("waiting %" PRId64 "%s\n", s.depth, s.depth < OUTBOX_COUNTED ? "" : " or more");
	if (s.depth > 0)
		printf("oldest  %" PRId64 ".%03d s, %s of key %s, event %s, seq %" PRId64 "\n",
		       s.oldest_ms / 1000, (int)(s.oldest_ms % 1000), s.type, s.key, s.id, s.seq);
	return DONE;
}

/*
 * Dead letters
 */

static struct bus_conf
dead_letters(struct tool *t)
{
	return (struct bus_conf){ .servers = t->s.kafka_bootstrap_servers,
				  .client = "usherctl",
				  .topic = arena_printf(t->arena, "%s.dlq", t->s.kafka_topic) };
}

static int
fail_kafka(const char *what, enum err e)
{
	return ctl_fail(what, e == E_UNAVAILABLE ? "Kafka does not answer" : err_row(e)->en);
}

/* The text of a header; `none` where there is no such. */
static const char *
header_of(const struct bus_msg *m, const char *name, const char *none)
{
	for (int i = 0; i < m->n_headers; i++) {
		if (strcmp(m->headers[i].name, name) == 0 && m->headers[i].value != NULL)
			return m->headers[i].value;
	}
	return none;
}

/* Strangers' bytes on an operator's terminal: what could move the cursor is a dot. */
static void
print_plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		putchar((unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '.' : text[i]);
}

static void
print_when(int64_t ms)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	char text[32];

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fputs(ms < 0 ? "-" : text, stdout);
}

static void
print_line(const struct bus_msg *m)
{
	const char *texts[] = { header_of(m, "dlq-topic", "?"),	    ":",
				header_of(m, "dlq-partition", "?"), ":",
				header_of(m, "dlq-offset", "?"),    "  key ",
				m->key == NULL ? "-" : m->key,	    "  ",
				header_of(m, "dlq-reason", "?") };

	printf("%d:%" PRId64 "  ", (int)m->partition, m->offset);
	print_when(m->timestamp_ms);
	fputs("  ", stdout);
	for (size_t i = 0; i < NELEM(texts); i++)
		print_plain(texts[i], strlen(texts[i]));
	putchar('\n');
}

static const struct bus_place BEGINNING = { -1, 0 };

int
ctl_dlq_list(struct tool *t)
{
	struct bus_conf conf = dead_letters(t);
	struct bus_msg *m;
	int n;
	bool more;
	enum err e = bus_look(&conf, t->arena, &BEGINNING, AT_ONCE, WAIT_MS, &m, &n, &more);

	for (int i = 0; i < n; i++)
		print_line(&m[i]);
	if (e != OK)
		return fail_kafka("dlq list", e);
	printf(more ? "the first %d dead letters\n" : "%d dead letters\n", n);
	return DONE;
}

/* The letter at "PARTITION:OFFSET"; another status than DONE was said. */
static int
letter_at(struct tool *t, const char *what, struct bus_msg *out_r)
{
	struct bus_conf conf = dead_letters(t);
	const char *text = t->argc == 1 ? t->argv[0] : "", *colon = strchr(text, ':');
	struct bus_place at;
	struct bus_msg *m;
	int64_t partition;
	int n;
	bool more;
	enum err e;

	if (colon == NULL ||
	    !text_to_int(arena_textn(t->arena, text, (size_t)(colon - text)), &partition) ||
	    !text_to_int(colon + 1, &at.offset) || partition < 0 || partition > INT32_MAX ||
	    at.offset < 0)
		return ctl_fail(what, "wants one PARTITION:OFFSET, as dlq list shows it"),
		       WRONG_CALL;
	at.partition = (int)partition;
	if ((e = bus_look(&conf, t->arena, &at, 1, WAIT_MS, &m, &n, &more)) != OK)
		return fail_kafka(what, e);
	if (n == 0 || m->offset != at.offset)
		return ctl_fail(what, "there is no such letter");
	*out_r = *m;
	return DONE;
}

int
ctl_dlq_show(struct tool *t)
{
	struct bus_msg m;
	int status = letter_at(t, "dlq show", &m);

	if (status != DONE)
		return status;
	print_line(&m);
	for (int i = 0; i < m.n_headers; i++) {
		print_plain(m.headers[i].name, strlen(m.headers[i].name));
		fputs(": ", stdout);
		print_plain(m.headers[i].value == NULL ? "" : m.headers[i].value, m.headers[i].len);
		putchar('\n');
	}
	putchar('\n');
	print_plain(m.value == NULL ? "" : m.value, m.value_len);
	putchar('\n');
	return DONE;
}

/*
 * Sending again
 */

static const char LEFT_OUT[] = "was too large for a letter: only its topic still has it";

static bool
is_left_out(const struct bus_msg *letter)
{
	return header_of(letter, "dlq-left-out", NULL) != NULL;
}

/* As it was before it became a letter; one that bears no message any more is put behind the other
 * letters, as it is. *goes_r: it goes. */
static struct bus_msg
message_of(struct tool *t, struct arena *a, const struct bus_msg *letter, bool *goes_r)
{
	struct bus_header *h = arena_get(a, (size_t)letter->n_headers * sizeof(*h) + 1);
	struct bus_msg m = *letter;

	*goes_r = !is_left_out(letter);
	if (!*goes_r) {
		print_line(letter);
		printf("  %s\n", LEFT_OUT);
		return m;
	}
	m.topic = t->s.kafka_topic;
	m.headers = h;
	m.n_headers = 0;
	for (int i = 0; i < letter->n_headers; i++) {
		if (strncmp(letter->headers[i].name, "dlq-", 4) != 0)
			h[m.n_headers++] = letter->headers[i];
	}
	return m;
}

/* With a full queue there is nothing to do but to wait for it. */
static enum err
say(struct bus_out *out, const struct bus_msg *m)
{
	struct bus_receipt got;
	enum err e = bus_say(out, m, 0);

	if (e != E_BUSY)
		return e;
	if ((e = bus_settle(out, WAIT_MS, &got)) != OK)
		return e;
	return bus_say(out, m, 0);
}

/* All `n`, in their order, and wait until Kafka has them. *said_r: how many went. */
static enum err
send_again(struct tool *t, struct arena *a, const struct bus_msg *letters, int n, int *said_r)
{
	struct bus_conf conf = { .servers = t->s.kafka_bootstrap_servers, .client = "usherctl" };
	struct bus_out *out = bus_out_open(&conf);
	struct bus_receipt got;
	int said = 0;
	enum err e = bus_warm(out, t->s.kafka_topic, WAIT_MS);

	for (int i = 0; i < n && e == OK; i++) {
		bool goes;
		struct bus_msg m = message_of(t, a, &letters[i], &goes);

		e = say(out, &m);
		said += goes;
	}
	if (e == OK)
		e = bus_settle(out, WAIT_MS, &got);
	bus_out_close(&out);
	*said_r = e == OK ? said : 0;
	return e;
}

/* How far each partition was gone through. */
struct progress {
	struct bus_place end[PARTITIONS_MOST];
	bool is_over[PARTITIONS_MOST];
	int n;
};

/* Of letter `m`'s partition; -1: there are too many. */
static int
progress_of(struct progress *p, const struct bus_msg *m)
{
	int i = 0;

	while (i < p->n && p->end[i].partition != m->partition)
		i++;
	if (i == PARTITIONS_MOST)
		return -1;
	if (i == p->n)
		p->end[p->n++] = (struct bus_place){ m->partition, m->offset };
	return i;
}

/* Keep those that were there before we began: what comes back is left for another day, and so is
 * what lies behind it, for a topic is shortened from its beginning only. */
static int
keep_older(struct bus_msg *m, int n, int64_t ms, struct progress *p)
{
	int kept = 0;

	*p = (struct progress){ .n = 0 };
	for (int i = 0; i < n; i++) {
		int at = progress_of(p, &m[i]);

		if (at < 0 || p->is_over[at])
			continue;
		p->is_over[at] = m[i].timestamp_ms >= ms;
		if (p->is_over[at])
			continue;
		p->end[at].offset = m[i].offset + 1;
		m[kept++] = m[i];
	}
	return kept;
}

/* The next of the oldest letters; taken out once Kafka has them in their topic. */
static enum err
replay_some(struct tool *t, struct arena *a, int64_t began_ms, int *n_r, int *said_r)
{
	struct bus_conf conf = dead_letters(t);
	struct progress p;
	struct bus_msg *m;
	bool more;
	enum err e = bus_look(&conf, a, &BEGINNING, AT_ONCE, WAIT_MS, &m, n_r, &more);

	*said_r = 0;
	*n_r = e == OK ? keep_older(m, *n_r, began_ms, &p) : 0;
	if (*n_r == 0 || (e = send_again(t, a, m, *n_r, said_r)) != OK)
		return e;
	return bus_forget(&conf, p.end, p.n, WAIT_MS);
}

static int
replay_all(struct tool *t)
{
	struct arena *a = arena_new(64 * 1024);
	int n, said, total = 0;
	int64_t began_ms;
	enum err e;

	clock_tick();
	began_ms = clock_wall_us() / 1000;
	do {
		e = replay_some(t, a, began_ms, &n, &said);
		total += said;
		arena_reset(a);
	} while (e == OK && n > 0);
	arena_free(&a);
	printf("%d sent again\n", total);
	return e == OK ? DONE : fail_kafka("dlq replay", e);
}

int
ctl_dlq_replay(struct tool *t)
{
	struct bus_msg m;
	int said, status;
	enum err e;

	if (ctl_flag(t, "--all"))
		return replay_all(t);
	if ((status = letter_at(t, "dlq replay", &m)) != DONE)
		return status;
	if (is_left_out(&m))
		return ctl_fail("dlq replay", LEFT_OUT);
	e = send_again(t, t->arena, &m, 1, &said);
	if (e != OK)
		return fail_kafka("dlq replay", e);
	printf("%d sent again\n", said);
	return DONE;
}
