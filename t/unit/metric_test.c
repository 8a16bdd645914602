/* metric: counters that all processes share, and that begin anew when their layout changes. */
#include "metric.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "tap.h"

enum { WORKERS = 4, TIMES = 20000 };

static char path[64];

/* A worker of its own, which maps the file itself. */
static pid_t
worker(int times)
{
	pid_t child;

	fflush(stdout);
	if ((child = fork()) != 0)
		return child;
	metric_init(path);
	for (int i = 0; i < times; i++)
		metric_add(METRIC_LOGINS, 1);
	_exit(0);
}

static void
test_sharing(void)
{
	metric_add(METRIC_LOGINS, 5);
	is_int((long long)metric_get(METRIC_LOGINS), 5,
	       "without a file a process counts for itself");
	metric_init(NULL);
	is_int((long long)metric_get(METRIC_LOGINS), 5, "no path changes nothing");
	metric_init(path);
	is_int((long long)metric_get(METRIC_LOGINS), 0, "a new file begins at zero");
	metric_add(METRIC_SIGNUPS, 3);
	for (int i = 0; i < WORKERS; i++)
		worker(TIMES);
	for (int i = 0; i < WORKERS; i++)
		wait(NULL);
	is_int((long long)metric_get(METRIC_LOGINS), WORKERS * TIMES,
	       "nothing that workers count at once is lost");
	is_int((long long)metric_get(METRIC_SIGNUPS), 3, "and a counter beside it is not touched");
	metric_init(path);
	is_int((long long)metric_get(METRIC_LOGINS), WORKERS * TIMES,
	       "a file that is there is gone on with");
}

static void
damage(off_t at, const char *bytes, size_t len)
{
	int fd = open(path, O_RDWR);

	if (fd < 0 || pwrite(fd, bytes, len, at) != (ssize_t)len)
		abort();
	close(fd);
}

static void
test_layout(void)
{
	metric_add(METRIC_LOGINS, 1);
	damage(0, "\1\2\3\4\5\6\7\10", 8);
	metric_init(path);
	is_int((long long)metric_get(METRIC_LOGINS), 0, "a file of another layout begins anew");
	metric_add(METRIC_LOGINS, 1);
	if (truncate(path, 10) != 0)
		abort();
	metric_init(path);
	is_int((long long)metric_get(METRIC_LOGINS), 0, "a file cut off begins anew");
	metric_add(METRIC_LOGINS, 2);
	is_int((long long)metric_get(METRIC_LOGINS), 2, "and counts");
}

static void
test_requests(void)
{
	for (int status = 200; status < 200 + 2 * METRIC_STATUSES; status++)
		metric_request(0, status, 1);
	metric_request(-1, 200, 1);
	metric_request(METRIC_ROUTES, 200, 1);
	metric_request(METRIC_ROUTES - 1, 200, 0);
	metric_request(METRIC_ROUTES - 1, 200, INT64_MAX);
	is_int((long long)metric_get(METRIC_LOGINS), 2,
	       "requests of any route and status touch no counter");
	for (int i = 1; i < METRIC_BUCKETS - 1; i++)
		ok(METRIC_BOUNDS_US[i] > METRIC_BOUNDS_US[i - 1],
		   "bucket %d ends behind the one before", i);
}

static bool
prints(struct arena *a, const char *line)
{
	static const struct metric_route ROUTES[] = { { "GET", "/things/{id}" } };
	struct buf b = buf_new(a, 1024);

	metric_print(&b, ROUTES, NELEM(ROUTES));
	return strstr(b.text, line) != NULL;
}

#define OF_THINGS                                                                 \
	"{http_request_method=\"GET\",http_route=\"/things/{id}\",http_response_" \
	"status_code=\"200\""

static void
test_printing(void)
{
	struct arena *a = arena_new(64 * 1024);

	metric_routes("GET /things/{id}\n");
	metric_request(0, 200, 700);
	metric_request(0, 200, 2000000);
	metric_request(METRIC_NO_ROUTE, 404, 1);
	metric_routes("GET /things/{id}\n");
	ok(prints(a, "# TYPE usher_logins_total counter\nusher_logins_total 2\n"), "a counter");
	ok(prints(a, "_bucket" OF_THINGS ",le=\"0.0005\"} 0\n"), "a bucket below all");
	ok(prints(a, "_bucket" OF_THINGS ",le=\"0.001\"} 1\n"), "a bucket above one");
	ok(prints(a, "_bucket" OF_THINGS ",le=\"+Inf\"} 2\n"), "the bucket of all");
	ok(prints(a, "_sum" OF_THINGS "} 2.000700\n"), "their time");
	ok(prints(a, "_count" OF_THINGS "} 2\n"), "their number");
	ok(prints(a,
		  "_count{http_request_method=\"_OTHER\",http_response_status_code=\"404\"} 1\n"),
	   "what had no route");
	metric_routes("GET /others/{id}\n");
	ok(!prints(a, "le="), "another table's routes have no counts");
	arena_free(&a);
}

static void
test_gauges(void)
{
	metric_set(METRIC_OUTBOX_DEPTH, 7);
	metric_set(METRIC_OUTBOX_DEPTH, 2);
	is_int((long long)metric_get(METRIC_OUTBOX_DEPTH), 2, "a gauge is what it was set to last");
	is_int(metric_lag(METRIC_CACHE, 3), -1, "the lag of a partition is unknown at first");
	metric_set_lag(METRIC_CACHE, 3, 0);
	metric_set_lag(METRIC_EFFECTS, METRIC_PARTITIONS - 1, 12);
	is_int(metric_lag(METRIC_CACHE, 3), 0, "and may be none");
	is_int(metric_lag(METRIC_EFFECTS, 3), -1, "each group has its own");
	is_int(metric_lag(METRIC_EFFECTS, METRIC_PARTITIONS - 1), 12, "up to the last partition");
	metric_set_lag(METRIC_CACHE, 3, -1);
	is_int(metric_lag(METRIC_CACHE, 3), -1, "who knows no more says so");
	metric_set_lag(METRIC_CACHE, METRIC_PARTITIONS, 1);
	metric_set_lag(METRIC_CACHE, -1, 1);
	is_int(metric_lag(METRIC_CACHE, METRIC_PARTITIONS), -1, "beyond it nothing is kept");
}

static void
test_absence(void)
{
	static const char *const PATHS[] = { "/nonexistent/metrics", ".", "" };
	char link[80], target[80];

	for (size_t i = 0; i < NELEM(PATHS); i++) {
		metric_init(PATHS[i]);
		metric_add(METRIC_LOGINS, 1);
		is_int((long long)metric_get(METRIC_LOGINS), 3 + (long long)i,
		       "a file that can't be had stops nothing");
	}
	snprintf(link, sizeof(link), "%s.link", path);
	snprintf(target, sizeof(target), "%s.target", path);
	if (symlink(target, link) != 0)
		abort();
	metric_init(link);
	is_int((long long)metric_get(METRIC_LOGINS), 5,
	       "a link is not followed, what was mapped stays");
	ok(access(target, F_OK) != 0, "and nothing is made where it points");
	unlink(target);
	unlink(link);
}

int
main(void)
{
	log_init("metric_test", "text", "error");
	snprintf(path, sizeof(path), "metric_test.%d", (int)getpid());
	unlink(path);
	test_sharing();
	test_layout();
	test_requests();
	test_printing();
	test_gauges();
	test_absence();
	unlink(path);
	return tap_end();
}
