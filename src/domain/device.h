/*
 * device: a User-Agent in a few words, so that a person knows which session is which. A guess
 * for the eye: nothing is decided by it.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include "arena.h"

/* "Firefox on Linux"; the name before the first '/' for what is no browser; "unknown". */
const char *device_of(struct arena *a, const char *user_agent);

#endif
