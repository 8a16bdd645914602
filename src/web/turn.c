/* turn: epoll, the parked connections, the drain. */
#include "turn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "metric.h"
#include "service.h"

enum {
	ACCEPTS = 8,	    /* a turn: the other workers want their share of a burst */
	STALL_S = 2,	    /* longest wait for the rest of a record that has begun */
	FIRST_BYTE_MS = 20, /* nginx sends right after connecting */
	DRAIN_S = 30,
};

static struct {
	int listener, epoll, batch, parked;
	bool draining;
	int64_t drain_until_us;
	struct req *slot[BATCH_MOST];
} t;

static bool
park(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP, .data.fd = fd };
	struct timeval stall = { .tv_sec = STALL_S };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &stall, sizeof(stall));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof(stall));
	if (epoll_ctl(t.epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
		close(fd);
		return false;
	}
	t.parked++;
	metric_add(METRIC_CONNECTIONS, 1);
	return true;
}

/* Nothing to accept, or a client that left already, is no news; out of descriptors is, and
 * goes away when connections do. */
static bool
accept_one(void)
{
	int fd = accept4(t.listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		return park(fd);
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		log_error(EV("accept.failed"), KS("why", strerror(errno)),
			  KI("connections", t.parked));
		poll(NULL, 0, 10);
		return false;
	}
	return errno == EINTR || errno == ECONNABORTED;
}

static void
accept_some(int most)
{
	while (most-- > 0 && accept_one())
		;
}

/* One connection, and a short wait for its first byte: it is served next, not another. */
static void
accept_for_slow_work(void)
{
	int before = t.parked;
	struct pollfd p = { .fd = t.epoll, .events = POLLIN };

	accept_some(1);
	if (t.parked > before)
		poll(&p, 1, FIRST_BYTE_MS);
}

/* Let go of the listening socket, after taking what the kernel has queued on it: the
 * socket's path may belong to our successors by now, the queue is still ours. */
static void
begin_drain(void)
{
	log_info(EV("worker.draining"), KI("connections", t.parked));
	accept_some(4096);
	epoll_ctl(t.epoll, EPOLL_CTL_DEL, t.listener, NULL);
	close(t.listener);
	t.draining = true;
	t.drain_until_us = clock_read_us() + DRAIN_S * INT64_C(1000000);
}

static bool
drained(void)
{
	if (t.parked > 0 && clock_read_us() < t.drain_until_us)
		return false;
	if (t.parked > 0)
		log_warn(EV("worker.drain_cut_short"), KI("connections", t.parked));
	return true;
}

/* Read the requests that are ready into slots; how many there are. */
static int
read_ready(const struct epoll_event *ev, int n)
{
	int got = 0;

	for (int i = 0; i < n; i++) {
		int fd = ev[i].data.fd;

		if (fd == t.listener && !t.draining)
			continue;
		if (got == t.batch)
			break; /* still readable: the next wait brings it first */
		if (http_read(t.slot[got], fd))
			got++;
		else
			t.parked--; /* closed; epoll forgets it by itself */
	}
	return got;
}

static void
end_turn(int n)
{
	for (int i = 0; i < n; i++) {
		assert(t.slot[i]->status != 0);
		if (http_parked(t.slot[i]) < 0)
			t.parked--;
		arena_reset(t.slot[i]->arena);
	}
	log_in(NULL);
	log_flush();
}

static bool
listener_ready(const struct epoll_event *ev, int n)
{
	for (int i = 0; i < n; i++) {
		if (ev[i].data.fd == t.listener)
			return !t.draining;
	}
	return false;
}

static void
one_turn(const struct epoll_event *ev, int n, void (*serve)(struct req *const *rq, int n))
{
	int got;

	clock_tick();
	got = read_ready(ev, n);
	if (got > 0) {
		metric_add(METRIC_TURNS, 1);
		serve(t.slot, got);
		end_turn(got);
	}
	if (!listener_ready(ev, n))
		return;
	if (t.batch > 1)
		accept_some(ACCEPTS);
	else if (got == 0)
		accept_for_slow_work();
}

static bool
set_up(int fd, int batch, const struct ctx *shared)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = fd };
	int flags = fcntl(fd, F_GETFL), listening = 0;
	socklen_t size = sizeof(listening);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || !listening) {
		log_fail(
			E_BUG, EV("worker.no_socket"),
			KS("mend",
			   "start it with a listening socket on descriptor 0, as spawn-fcgi does"));
		return false;
	}
	t.listener = fd;
	t.batch = batch;
	t.epoll = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < batch; i++)
		t.slot[i] = http_slot(shared);
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && t.epoll >= 0 &&
	       epoll_ctl(t.epoll, EPOLL_CTL_ADD, fd, &ev) == 0;
}

int
turn_run(int fd, int batch, const struct ctx *shared, void (*serve)(struct req *const *rq, int n))
{
	struct epoll_event ev[BATCH_MOST + 1];

	assert(batch >= 1 && batch <= BATCH_MOST);
	if (!set_up(fd, batch, shared))
		return 1;
	while (!t.draining || !drained()) {
		int n = epoll_pwait(t.epoll, ev, batch + 1, t.draining ? 100 : -1, service_mask());

		if (n < 0 && errno != EINTR)
			return log_fail(E_BUG, EV("worker.epoll_failed"),
					KS("why", strerror(errno))),
			       1;
		if (n > 0)
			one_turn(ev, n, serve);
		if (service_stopping() && !t.draining)
			begin_drain();
	}
	log_info(EV("worker.ended"));
	log_flush();
	return 0;
}
