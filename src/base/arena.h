/*
 * arena: memory for one unit of work (a request, an event, a batch).
 *
 * Everything a unit of work needs is taken from its arena and given back at once,
 * wiped, when it ends; nobody frees single pieces. Allocation never fails: without
 * memory the process ends, and its supervisor starts it anew.
 */
#ifndef ARENA_H
#define ARENA_H

#include <stddef.h>

struct arena;

/* A new arena whose first chunk holds `first` bytes and is kept between resets. */
struct arena *arena_new(size_t first);

/* `size` zeroed bytes, aligned for any type; they live until the next reset. */
void *arena_get(struct arena *a, size_t size) __attribute__((malloc, returns_nonnull));

/* A copy of the text, or of its first `len` bytes, ended by NUL. */
char *arena_text(struct arena *a, const char *text) __attribute__((returns_nonnull));
char *arena_textn(struct arena *a, const char *text, size_t len) __attribute__((returns_nonnull));

/* printf into the arena. */
char *arena_printf(struct arena *a, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull));

/* The bytes that are in use now; for tests and for the curious. */
size_t arena_used(const struct arena *a);

/* Wipe all that was handed out and begin again; large chunks go back to libc. */
void arena_reset(struct arena *a);

/* Reset, then free the arena itself and clear the caller's pointer. */
void arena_free(struct arena **a);

/* malloc that ends the process instead of failing; for what lives as long as it. */
void *must_alloc(size_t size) __attribute__((malloc, returns_nonnull));

#define NELEM(array) (sizeof(array) / sizeof((array)[0]))

#endif
