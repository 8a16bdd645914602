/* h_event: the event store over HTTP, and what was counted from it. */
#include "handlers.h"

#include "doc.h"

#include "stats.h"
#include "stream.h"

#include "reply.h"

struct stats_page {
	const char *days, *totals;
};

/* clang-format off */
const struct shape STATS_PAGE = SHAPE(struct stats_page,
	{ F_AS(struct stats_page, days, K_JSON), .use = SHOWN, .of = &STATS, .of_use = STATS_OF_DAY,
	  .many = true, .help = "oldest first" },
	{ F_AS(struct stats_page, totals, K_JSON), .use = SHOWN, .of = &STATS, .of_use = STATS_TOTALS,
	  .help = "ever" });
/* clang-format on */

enum err
post_event(struct req *rq)
{
	struct receipt receipt;
	enum err e = stream_post(&rq->ctx, rq->in, &receipt);

	return e != OK ? e : reply_doc(rq, 202, &RECEIPT, &receipt);
}

static enum err
reply_stream(struct req *rq, const struct stream_page *p)
{
	struct list_links links = { .next = { "after", p->last }, .total = NO_INT };

	return reply_list(rq, &p->body, &links);
}

enum err
get_events(struct req *rq)
{
	struct stream_page page;
	enum err e = stream_read(&rq->ctx, rq->query, &page);

	return e != OK ? e : reply_stream(rq, &page);
}

enum err
get_user_events(struct req *rq)
{
	struct stream_page page;
	enum err e = stream_of_user(&rq->ctx, rq->id, rq->query, &page);

	return e != OK ? e : reply_stream(rq, &page);
}

enum err
get_stats(struct req *rq)
{
	const struct stats_query *q = rq->query;
	struct buf all = buf_new(rq->arena, 1024), sum = buf_new(rq->arena, 128);
	struct stats *days, totals;
	enum err e = stats_read(&rq->ctx, q->days, &days, &totals);

	if (e != OK)
		return e;
	doc_print_rows(&all, &STATS, STATS_OF_DAY, days, (int)q->days);
	doc_print(&sum, &STATS, STATS_TOTALS, &totals);
	return reply_doc(rq, 200, &STATS_PAGE, &(struct stats_page){ all.text, sum.text });
}
