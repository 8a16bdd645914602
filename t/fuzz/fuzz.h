/*
 * fuzz: what the fuzzers share. Each takes bytes, hands them to code of ours that strangers
 * reach, and demands what must hold whatever the bytes are.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "buf.h"
#include "field.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* What must hold; the sanitizer then shows where. */
#define DEMAND(held) ((held) ? (void)0 : __builtin_trap())

/* The bytes as text, ended by NUL, in memory of just that size. */
static inline char *
fuzz_text(struct arena *a, const uint8_t *data, size_t size)
{
	return arena_textn(a, (const char *)data, size);
}

/* The next line of *text, which moves past it; "" when there is none. */
static inline const char *
fuzz_line(struct arena *a, const char **text)
{
	size_t len = strcspn(*text, "\n");
	const char *line = arena_textn(a, *text, len);

	*text += len + ((*text)[len] == '\n');
	return line;
}

/* Every fault can be said in every language, as well-formed text. */
static inline void
fuzz_faults(struct arena *a, const struct faults *fs)
{
	DEMAND(fs->n >= 0 && fs->n <= FAULTS_MOST);
	for (int i = 0; i < fs->n; i++) {
		const struct fault_at *f = &fs->at[i];

		DEMAND(f->name == NULL || text_is_utf8(f->name, strlen(f->name)));
		for (enum lang l = EN; l < LANG_COUNT; l++) {
			struct buf b = buf_new(a, 16);

			msg_print(&b, f->msg, l, f->field);
			DEMAND(b.len > 0 && text_is_utf8(b.text, b.len));
		}
	}
}

#endif
