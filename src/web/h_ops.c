/* h_ops: what an operator's probes ask. */
#include "handlers.h"

#include "buf.h"

#include "reply.h"

enum err
get_healthz(struct req *rq)
{
	static const char ALIVE[] = "{\"status\":\"ok\"}";

	return reply_json(rq, 200, ALIVE, sizeof(ALIVE) - 1);
}

/* Without Redis everything still works, slower; without PostgreSQL most does not. */
enum err
get_readyz(struct req *rq)
{
	bool database = ctx_database_ready(&rq->ctx) == OK, cache = ctx_cache_ready(&rq->ctx) == OK;
	struct buf b = buf_new(rq->arena, 128);

	buf_printf(&b, "{\"status\":\"%s\",\"checks\":{\"postgresql\":\"%s\",\"redis\":\"%s\"}}",
		   !database ? "unavailable"
		   : cache   ? "ready"
			     : "degraded",
		   database ? "ok" : "unavailable", cache ? "ok" : "unavailable");
	return reply_json(rq, database ? 200 : 503, b.text, b.len);
}
