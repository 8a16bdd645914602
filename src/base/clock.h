/*
 * clock: time, read once per unit of work.
 *
 * Timeouts and rates go by the monotonic clock, dates by the wall clock, so that a
 * stepped wall clock ends no session early and lets no timeout run for ever.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

/* Read both clocks; the calls below answer with this reading until the next tick. */
void clock_tick(void);

int64_t clock_mono_us(void); /* microseconds since some fixed point, as of the tick */
int64_t clock_wall_s(void);  /* seconds since 1970 UTC, as of the tick */
int64_t clock_wall_us(void);

/* The monotonic clock read now, not at the tick: for measuring and for deadlines. */
int64_t clock_read_us(void);

/* RFC 3339 in UTC with microseconds and Z; `out` holds 28 bytes. */
void clock_print(int64_t wall_us, char out[28]);

#endif
