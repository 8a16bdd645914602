/* clock: a reading stays until the next tick, and prints as RFC 3339. */
#include "clock.h"

#include <time.h>

#include "arena.h"
#include "tap.h"

static const struct {
	int64_t us;
	const char *text;
} TIMES[] = {
	{ 0, "1970-01-01T00:00:00.000000Z" },
	{ 1, "1970-01-01T00:00:00.000001Z" },
	{ 999999, "1970-01-01T00:00:00.999999Z" },
	{ 1000000, "1970-01-01T00:00:01.000000Z" },
	{ 1, "1970-01-01T00:00:00.000001Z" }, /* back again: what is kept must not be stale */
	{ INT64_C(951782399500000), "2000-02-28T23:59:59.500000Z" },
	{ INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z" },
	{ INT64_C(2147483648000000), "2038-01-19T03:14:08.000000Z" },
	{ INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z" },
};

static void
pass_some_time(void)
{
	int64_t from = clock_read_us();

	while (clock_read_us() - from < 2000)
		;
}

int
main(void)
{
	int64_t mono, wall;

	for (size_t i = 0; i < NELEM(TIMES); i++) {
		char out[28];

		clock_print(TIMES[i].us, out);
		is_text(out, TIMES[i].text, "a time in RFC 3339");
	}
	ok(clock_wall_s() >= 1700000000 && clock_wall_s() - time(NULL) <= 1,
	   "there is a reading before the first tick");
	mono = clock_mono_us();
	wall = clock_wall_us();
	pass_some_time();
	ok(clock_mono_us() == mono && clock_wall_us() == wall, "between ticks time stands still");
	ok(clock_read_us() >= mono + 2000, "for measuring it does not");
	clock_tick();
	ok(clock_mono_us() >= mono + 2000 && clock_wall_us() > wall, "a tick reads both clocks");
	is_int(clock_wall_s(), clock_wall_us() / 1000000,
	       "seconds and microseconds are one reading");
	return tap_end();
}
