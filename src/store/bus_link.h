/*
 * bus_link: what both kinds of client of the bus are made of; for the bus's own files only.
 *
 * librdkafka works in threads of its own and tells us everything, logs and errors too,
 * through queues that we read when we wait anyway: no callback, and our log is only
 * ever written by our own thread.
 */
#ifndef BUS_LINK_H
#define BUS_LINK_H

#include <librdkafka/rdkafka.h>

#include "bus.h"

enum { COMPLAINTS = 32 }; /* distinct ones remembered; what comes after is not said */

struct setting {
	const char *name, *value;
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

/* Deadlines: microseconds of clock_read_us; what is left of one in ms, 0 when it is over. */
int64_t bus_from_now(int wait_ms);
int bus_left_ms(int64_t until_us);

/* What it means when Kafka, or the library for it, says so; E_UNAVAILABLE for what will pass. */
enum err bus_verdict_on(rd_kafka_resp_err_t code);

/* Make the client with our settings for its side and those of the caller, each list ended by a row
 * without name. OK, or logged: E_BUG for settings that the library does not take, E_UNAVAILABLE. */
enum err link_open(struct link *l, rd_kafka_type_t type, const struct setting *ours,
		   const struct setting *given) MUST_CHECK;

/* End the client, whatever it takes; link_open makes another. */
void link_shut(struct link *l);

/* Take one event of what both kinds of client hear; take all that is there. */
void link_take(struct link *l, rd_kafka_event_t *ev);
void link_hear_news(struct link *l);

/* Ask for the topic's metadata, or where it is NULL for anything at all. */
rd_kafka_resp_err_t link_ask(struct link *l, rd_kafka_topic_t *topic, int wait_ms);

/* A message that was heard, its texts in the arena. */
void bus_copy_message(struct arena *a, const rd_kafka_message_t *m, struct bus_msg *to);

/* Log: a complaint, each once; that Kafka was found or lost (a gauge says it too); that the client died. */
void link_complain(struct link *l, const char *facility, const char *text);
void link_saw(struct link *l, bool is_there);
void link_died(struct link *l, rd_kafka_resp_err_t code);

#endif
