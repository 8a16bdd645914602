/*
 * usher-broker: a small Kafka broker in memory, for a first look on a machine without Java.
 *
 * It is librdkafka's mock cluster (rdkafka_mock.h), kept running in the foreground. The mock
 * chooses its port itself, so the address goes to a file, which appears once the topics are there
 * and is removed at the end. Nothing outlives the program; the tests use the real Kafka.
 *
 *     usher-broker --file ADDRESS-FILE [--topics TOPIC:PARTITIONS,...]
 */

/* System */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Libraries */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

/* Platform */
#include "service.h"

static int
complain(const char *what, const char *why)
{
	fprintf(stderr, "usher-broker: %s: %s\n", what, why);
	return EXIT_FAILURE;
}

/* "name:partitions", or a name alone for one partition. */
static rd_kafka_resp_err_t
topic_make(rd_kafka_mock_cluster_t *cluster, const char *spec)
{
	const char *colon = strrchr(spec, ':');
	size_t len = colon != NULL ? (size_t)(colon - spec) : strlen(spec);
	long partitions = colon != NULL ? strtol(colon + 1, NULL, 10) : 1;
	char name[250];

	if (len == 0 || len >= sizeof(name) || partitions < 1 || partitions > 1000)
		return RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
	memcpy(name, spec, len);
	name[len] = '\0';
	return rd_kafka_mock_topic_create(cluster, name, (int)partitions, 1);
}

/* Under another name first: whoever finds the file finds it whole. */
static int
address_write(const char *path, const char *address)
{
	char new[4096];
	FILE *f;

	if (snprintf(new, sizeof(new), "%s.new", path) >= (int)sizeof(new))
		return -1;
	if ((f = fopen(new, "w")) == NULL)
		return -1;
	if (fprintf(f, "%s\n", address) < 0 || fclose(f) != 0)
		return -1;
	return rename(new, path);
}

static const char *file, *topics = "";

static const struct option_row OPTIONS[] = {
	{ "--file", "FILE", "where the address goes", &file },
	{ "--topics", "LIST", "topics to make, NAME:PARTITIONS, separated by commas", &topics },
	{ 0 },
};

static const struct program PROGRAM = { "usher-broker",
					"a Kafka broker in memory, for a first look", OPTIONS };

static int
make_topics(rd_kafka_mock_cluster_t *cluster)
{
	char list[1024], *rest = NULL;
	rd_kafka_resp_err_t err;

	snprintf(list, sizeof(list), "%s", topics);
	for (char *t = strtok_r(list, ",", &rest); t != NULL; t = strtok_r(NULL, ",", &rest)) {
		if ((err = topic_make(cluster, t)) != RD_KAFKA_RESP_ERR_NO_ERROR)
			return complain(t, rd_kafka_err2str(err));
	}
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	rd_kafka_mock_cluster_t *cluster;
	rd_kafka_t *rk;
	char why[512];
	sigset_t ends;
	int sig;

	service_options(&PROGRAM, argc, argv);
	if (file == NULL)
		return complain("--file", "is needed; see --help");
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL); /* before there are threads: none of them gets one */

	rk = rd_kafka_new(RD_KAFKA_PRODUCER, NULL, why, sizeof(why));
	if (rk == NULL)
		return complain("librdkafka", why);
	if ((cluster = rd_kafka_mock_cluster_new(rk, 1)) == NULL)
		return complain("librdkafka", "no mock cluster");
	if (make_topics(cluster) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	if (address_write(file, rd_kafka_mock_cluster_bootstraps(cluster)) != 0)
		return complain(file, "can't be written");

	sigwait(&ends, &sig);
	unlink(file);
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(rk);
	return EXIT_SUCCESS;
}
