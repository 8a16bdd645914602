/* clock: two readings, kept until the next tick. */
#include "clock.h"

#include <stdio.h>
#include <time.h>

static int64_t mono_us, wall_us;

static int64_t
read_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void
clock_tick(void)
{
	mono_us = read_us(CLOCK_MONOTONIC);
	wall_us = read_us(CLOCK_REALTIME);
}

int64_t
clock_mono_us(void)
{
	if (mono_us == 0)
		clock_tick();
	return mono_us;
}

int64_t
clock_wall_us(void)
{
	if (wall_us == 0)
		clock_tick();
	return wall_us;
}

int64_t
clock_wall_s(void)
{
	return clock_wall_us() / 1000000;
}

int64_t
clock_read_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

void
clock_print(int64_t at_us, char out[28])
{
	static time_t last = -1; /* the seconds change rarely, their text is kept */
	static char head[20];
	time_t s = (time_t)(at_us / 1000000);
	unsigned us = (unsigned)(at_us % 1000000) % 1000000;

	if (s != last) {
		struct tm tm;

		gmtime_r(&s, &tm);
		strftime(head, sizeof(head), "%Y-%m-%dT%H:%M:%S", &tm);
		last = s;
	}
	snprintf(out, 28, "%.19s.%06uZ", head, us);
}
