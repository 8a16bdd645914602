/* h_ops: what an operator's probes ask. */
#include "handlers.h"

#include "doc.h"
#include "metric.h"

#include "openapi.h"
#include "reply.h"
#include "route.h"

struct health {
	const char *status;
};

struct checks {
	const char *postgresql, *redis, *profiles, *kafka;
};

struct readiness {
	const char *status, *checks;
};

/* clang-format off */
const struct shape HEALTH = SHAPE(struct health,
	{ F(struct health, status), .use = SHOWN, .choices = "ok" });

static const struct shape CHECKS = SHAPE(struct checks,
	{ F(struct checks, postgresql), .use = SHOWN, .choices = "ok unavailable" },
	{ F(struct checks, redis), .use = SHOWN, .choices = "ok unavailable" },
	{ F(struct checks, profiles), .use = SHOWN, .choices = "ok unavailable unknown",
	  .help = "the second database, as the daemon of this host last saw it" },
	{ F(struct checks, kafka), .use = SHOWN, .choices = "ok unavailable unknown",
	  .help = "likewise" });

const struct shape READINESS = SHAPE(struct readiness,
	{ F(struct readiness, status), .use = SHOWN, .choices = "ready degraded unavailable",
	  .help = "degraded: without Redis everything works, slower; without Kafka events wait; "
		  "without the second database there are no profiles" },
	{ F_AS(struct readiness, checks, K_JSON), .use = SHOWN, .of = &CHECKS, .of_use = SHOWN });
/* clang-format on */

enum err
get_healthz(struct req *rq)
{
	return reply_doc(rq, 200, &HEALTH, &(struct health){ "ok" });
}

static const char *
state(uint64_t known)
{
	return known == STATE_THERE ? "ok" : known == STATE_AWAY ? "unavailable" : "unknown";
}

static uint64_t
seen(enum err e)
{
	return e == OK ? STATE_THERE : STATE_AWAY;
}

/* A worker asks its own stores. Of the others it knows what the daemon has found. */
enum err
get_readyz(struct req *rq)
{
	uint64_t redis = seen(ctx_cache_ready(&rq->ctx)), kafka = metric_get(METRIC_KAFKA);
	uint64_t profiles = metric_get(METRIC_PROFILE_STORE);
	bool database = ctx_database_ready(&rq->ctx) == OK;
	bool all = redis != STATE_AWAY && kafka != STATE_AWAY && profiles != STATE_AWAY;
	const char *status = !database ? "unavailable" : all ? "ready" : "degraded";
	struct buf b = buf_new(rq->arena, 128);

	doc_print(&b, &CHECKS, SHOWN,
		  &(struct checks){ database ? "ok" : "unavailable", state(redis), state(profiles),
				    state(kafka) });
	return reply_doc(rq, database ? 200 : 503, &READINESS,
			 &(struct readiness){ status, b.text });
}

/* Printed anew each time: seldom asked for, and a worker's memory is dear. */
enum err
get_openapi(struct req *rq)
{
	struct buf b = buf_new(rq->arena, 96 * 1024);

	openapi_print(&b);
	return reply_json(rq, 200, b.text, b.len);
}

enum err
get_metrics(struct req *rq)
{
	struct buf b = buf_new(rq->arena, 64 * 1024);
	const struct metric_route *routes;
	int n;

	routes = route_names(&n);
	metric_print(&b, routes, n);
	return reply_text(rq, "text/plain; version=0.0.4; charset=utf-8", &b);
}
