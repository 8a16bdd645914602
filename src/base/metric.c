/* metric: one struct in a mapped file, touched with relaxed atomic adds. */
#include "metric.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

typedef atomic_uint_least64_t cell;

struct requests {
	cell status; /* which status this column counts; 0 while it is free */
	cell count, sum_us, bucket[METRIC_BUCKETS];
};

static struct metric_memory {
	cell layout, routes; /* numbers that change with the names */
	cell counter[METRIC_COUNT];
	cell lag[METRIC_GROUPS][METRIC_PARTITIONS]; /* one more than it is; 0 is unknown */
	struct requests requests[METRIC_ROUTES][METRIC_STATUSES];
} own, *all = &own;

const int64_t METRIC_BOUNDS_US[METRIC_BUCKETS - 1] = {
	500,	1000,	2500,	5000,	 10000,	  25000,    50000,
	100000, 250000, 500000, 1000000, 2500000, 10000000,
};

#define ADD(c, n) atomic_fetch_add_explicit(&(c), (n), memory_order_relaxed)
#define GET(c) atomic_load_explicit(&(c), memory_order_relaxed)

/* A number that changes with the names and their order (FNV-1a). */
static uint64_t
hash_of(const char *names, uint64_t seed)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ seed;

	for (const char *p = names; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	return h | 1;
}

static uint64_t
layout_of_names(void)
{
	static const char NAMES[] =
#define X(id, name, help) name "\n"
		METRIC_LIST(X) GAUGE_LIST(X)
#undef X
		;

	return hash_of(NAMES, sizeof(struct metric_memory));
}

/* Make the file ours: right size, right layout, else begin again from zero. The lock
 * keeps two processes that start at once from zeroing each other's counts. */
static struct metric_memory *
map_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct metric_memory *m = MAP_FAILED;
	struct stat st;
	uint64_t layout = layout_of_names();

	if (fd < 0)
		return MAP_FAILED;
	/* It never shrinks: a worker of another version may have more of it mapped. */
	if (flock(fd, LOCK_EX) == 0 && fstat(fd, &st) == 0 &&
	    (st.st_size >= (off_t)sizeof(*m) || ftruncate(fd, sizeof(*m)) == 0))
		m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m != MAP_FAILED && GET(m->layout) != layout) {
		memset(m, 0, sizeof(*m));
		atomic_store(&m->layout, layout);
	}
	flock(fd, LOCK_UN); /* the mapping keeps the file open, and would keep the lock with it */
	close(fd);
	return m;
}

void
metric_init(const char *path)
{
	struct metric_memory *m;

	if (path == NULL)
		return;
	m = map_file(path);
	if (m == MAP_FAILED)
		log_warn(EV("metrics.not_shared"), KS("setting", "METRICS_FILE"), KS("file", path),
			 KS("why", strerror(errno)),
			 KS("mend", "name a file that all workers may write"));
	else
		all = m;
}

void
metric_add(enum metric m, uint64_t n)
{
	ADD(all->counter[m], n);
}

void
metric_set(enum metric m, uint64_t value)
{
	atomic_store_explicit(&all->counter[m], value, memory_order_relaxed);
}

uint64_t
metric_get(enum metric m)
{
	return GET(all->counter[m]);
}

void
metric_set_lag(enum metric_group g, int partition, int64_t lag)
{
	if (partition >= 0 && partition < METRIC_PARTITIONS)
		atomic_store_explicit(&all->lag[g][partition], (uint64_t)(lag + 1),
				      memory_order_relaxed);
}

int64_t
metric_lag(enum metric_group g, int partition)
{
	if (partition < 0 || partition >= METRIC_PARTITIONS)
		return -1;
	return (int64_t)GET(all->lag[g][partition]) - 1;
}

/* The column of this status, claimed by the first request that has it. */
static struct requests *
column(int route, int status)
{
	for (int i = 0; i < METRIC_STATUSES; i++) {
		struct requests *r = &all->requests[route][i];
		uint_least64_t free_one = 0;

		if (GET(r->status) == (uint64_t)status)
			return r;
		if (atomic_compare_exchange_strong(&r->status, &free_one, (uint64_t)status) ||
		    free_one == (uint64_t)status)
			return r;
	}
	return NULL;
}

void
metric_request(int route, int status, int64_t us)
{
	struct requests *r;
	int i = 0;

	if (route < 0 || route >= METRIC_ROUTES || (r = column(route, status)) == NULL)
		return;
	while (i < METRIC_BUCKETS - 1 && us > METRIC_BOUNDS_US[i])
		i++;
	ADD(r->count, 1);
	ADD(r->sum_us, (uint64_t)us);
	ADD(r->bucket[i], 1);
}

/* Whoever finds other routes' counts drops them; a worker of before may add a few more. */
void
metric_routes(const char *names)
{
	uint64_t hash = hash_of(names, 0);

	if (atomic_exchange(&all->routes, hash) != hash)
		memset(all->requests, 0, sizeof(all->requests));
}

/*
 * Printing
 */

static const struct {
	const char *name, *help;
} ROWS[METRIC_COUNT] = {
#define X(id, name, help) [METRIC_##id] = { name, help },
	METRIC_LIST(X) GAUGE_LIST(X)
#undef X
};

static void
print_head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
print_lags(struct buf *b)
{
	static const char *const GROUPS[] = {
		[METRIC_EFFECTS] = "effects", [METRIC_CACHE] = "cache"
	};

	print_head(b, "usher_consumer_lag", "gauge",
		   "events of a partition that a group has ahead");
	for (enum metric_group g = 0; g < METRIC_GROUPS; g++) {
		for (int p = 0; p < METRIC_PARTITIONS; p++) {
			if (metric_lag(g, p) >= 0)
				buf_printf(
					b,
					"usher_consumer_lag{group=\"%s\",partition=\"%d\"} %lld\n",
					GROUPS[g], p, (long long)metric_lag(g, p));
		}
	}
}

#define DURATION "http_server_request_duration_seconds"

/* One route and status: the buckets, each with all that are below it. */
static void
print_requests(struct buf *b, const struct requests *r, const char *labels)
{
	uint64_t below = 0;

	for (int i = 0; i < METRIC_BUCKETS; i++) {
		below += GET(r->bucket[i]);
		buf_printf(b, DURATION "_bucket{%s,le=\"", labels);
		if (i < METRIC_BUCKETS - 1)
			buf_printf(b, "%g", (double)METRIC_BOUNDS_US[i] / 1e6);
		else
			buf_lit(b, "+Inf");
		buf_printf(b, "\"} %llu\n", (unsigned long long)below);
	}
	buf_printf(b, DURATION "_sum{%s} %.6f\n", labels, (double)GET(r->sum_us) / 1e6);
	buf_printf(b, DURATION "_count{%s} %llu\n", labels, (unsigned long long)below);
}

/* Without a route it is no template, and may be any method: RFC 9110's are not all. */
static const char *
labels_of(struct arena *a, const struct metric_route *route, int status)
{
	if (route == NULL)
		return arena_printf(
			a, "http_request_method=\"_OTHER\",http_response_status_code=\"%d\"",
			status);
	return arena_printf(
		a, "http_request_method=\"%s\",http_route=\"%s\",http_response_status_code=\"%d\"",
		route->method, route->path, status);
}

static void
print_route(struct buf *b, int i, const struct metric_route *route)
{
	for (int k = 0; k < METRIC_STATUSES; k++) {
		const struct requests *r = &all->requests[i][k];

		if (GET(r->status) != 0)
			print_requests(b, r, labels_of(b->arena, route, (int)GET(r->status)));
	}
}

void
metric_print(struct buf *b, const struct metric_route *routes, int n)
{
	for (enum metric m = 0; m < METRIC_COUNT; m++) {
		print_head(b, ROWS[m].name, m < METRIC_GAUGES ? "counter" : "gauge", ROWS[m].help);
		buf_printf(b, "%s %llu\n", ROWS[m].name, (unsigned long long)metric_get(m));
	}
	print_lags(b);
	print_head(b, DURATION, "histogram", "how long requests took, by route and status");
	for (int i = 0; i < n; i++)
		print_route(b, i, &routes[i]);
	print_route(b, METRIC_NO_ROUTE, NULL);
}
