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
	const char *postgresql, *redis;
};

struct readiness {
	const char *status, *checks;
};

/* clang-format off */
const struct shape HEALTH = SHAPE(struct health,
	{ F(struct health, status), .use = SHOWN, .choices = "ok" });

static const struct shape CHECKS = SHAPE(struct checks,
	{ F(struct checks, postgresql), .use = SHOWN, .choices = "ok unavailable" },
	{ F(struct checks, redis), .use = SHOWN, .choices = "ok unavailable" });

const struct shape READINESS = SHAPE(struct readiness,
	{ F(struct readiness, status), .use = SHOWN, .choices = "ready degraded unavailable",
	  .help = "degraded: without Redis everything works, slower" },
	{ F_AS(struct readiness, checks, K_JSON), .use = SHOWN, .of = &CHECKS, .of_use = SHOWN });
/* clang-format on */

enum err
get_healthz(struct req *rq)
{
	return reply_doc(rq, 200, &HEALTH, &(struct health){ "ok" });
}

static const char *
state(bool there)
{
	return there ? "ok" : "unavailable";
}

/* Without Redis everything still works, slower; without PostgreSQL most does not. */
enum err
get_readyz(struct req *rq)
{
	bool database = ctx_database_ready(&rq->ctx) == OK, cache = ctx_cache_ready(&rq->ctx) == OK;
	const char *status = !database ? "unavailable" : cache ? "ready" : "degraded";
	struct buf b = buf_new(rq->arena, 128);

	doc_print(&b, &CHECKS, SHOWN, &(struct checks){ state(database), state(cache) });
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
