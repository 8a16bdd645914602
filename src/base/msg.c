/* msg: the table of sentences, and the filling in of their places. */
#include "msg.h"

#include <assert.h>
#include <string.h>

#include "field.h"

static const struct {
	const char *type, *text[LANG_COUNT];
} ROWS[MSG_COUNT] = {
#define X(name, type, en, ko) [MSG_##name] = { type, { [EN] = en, [KO] = ko } },
	MSG_LIST(X)
#undef X
};

const char *
msg_lang(enum lang lang)
{
	return lang == KO ? "ko" : "en";
}

const char *
msg_type(enum msg m)
{
	assert(m > MSG_OK && m < MSG_COUNT);
	return ROWS[m].type;
}

static void
print_choices(struct buf *b, const char *choices)
{
	for (; *choices != '\0'; choices++) {
		if (*choices == ' ')
			buf_char(b, ',');
		buf_char(b, *choices);
	}
}

/* Print what stands for {place} and say how long the place is, or 0 for no place. */
static size_t
print_place(struct buf *b, const char *at, const struct field *f)
{
	if (f == NULL)
		return 0;
	if (strncmp(at, "{min}", 5) == 0)
		return buf_int(b, f->min), 5;
	if (strncmp(at, "{max}", 5) == 0)
		return buf_int(b, f->max), 5;
	if (strncmp(at, "{mins}", 6) == 0)
		return buf_text(b, f->min == 1 ? "" : "s"), 6;
	if (strncmp(at, "{maxs}", 6) == 0)
		return buf_text(b, f->max == 1 ? "" : "s"), 6;
	if (strncmp(at, "{choices}", 9) == 0 && f->choices != NULL)
		return print_choices(b, f->choices), 9;
	return 0;
}

void
msg_print(struct buf *b, enum msg m, enum lang lang, const struct field *f)
{
	const char *p;

	assert(m > MSG_OK && m < MSG_COUNT && lang < LANG_COUNT);
	for (p = ROWS[m].text[lang]; *p != '\0';) {
		size_t n = *p == '{' ? print_place(b, p, f) : 0;

		if (n == 0)
			buf_char(b, *p++);
		p += n;
	}
}
