/*
 * tap: the Test Anything Protocol for unit programs, one file each.
 *
 *	ok(n == 3, "a batch of %d is heard whole", 3);
 *	return tap_end();
 * The plan comes at the end, so nobody counts tests.
 */
#ifndef TAP_H
#define TAP_H
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_run, tap_failed;

/* One test, told by a sentence about behaviour; returns whether it held. */
__attribute__((format(printf, 2, 3))) static inline bool
ok(bool held, const char *sentence, ...)
{
	va_list ap;

	tap_failed += !held;
	printf("%sok %d - ", held ? "" : "not ", ++tap_run);
	va_start(ap, sentence);
	vprintf(sentence, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	return held;
}

static inline bool
is_int(long long got, long long want, const char *sentence)
{
	if (!ok(got == want, "%s", sentence))
		printf("#   got %lld, want %lld\n", got, want);
	return got == want;
}

/* Either may be NULL. */
static inline bool
is_text(const char *got, const char *want, const char *sentence)
{
	bool same = got == want || (got != NULL && want != NULL && strcmp(got, want) == 0);

	if (!ok(same, "%s", sentence))
		printf("#   got  %s\n#   want %s\n", got ? got : "(null)", want ? want : "(null)");
	return same;
}

/* Print the plan; what main returns. */
static inline int
tap_end(void)
{
	printf("1..%d\n", tap_run);
	return tap_failed == 0 && tap_run > 0 ? 0 : 1;
}

#endif
