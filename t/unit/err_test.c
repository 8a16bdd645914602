/* err: every row is complete, and no public word stands for two outcomes. */
#include "err.h"

#include "arena.h"
#include "tap.h"
#include "text.h"

static bool
is_word(const char *code)
{
	return *code != '\0' && strspn(code, "abcdefghijklmnopqrstuvwxyz_") == strlen(code);
}

static bool
is_korean(const char *text)
{
	return text_is_utf8(text, strlen(text)) && text_count(text) < strlen(text);
}

static void
test_row(enum err e)
{
	const struct err_row *r = err_row(e);

	ok(r->name != NULL && r->code != NULL && r->en != NULL && r->ko != NULL,
	   "row %d is filled in", (int)e);
	ok(is_word(r->code), "%s: its code is a word", r->name);
	ok(r->http >= 400 && r->http <= 599, "%s: %d is a status of an error", r->name, r->http);
	ok((r->fault == OURS) == (r->http >= 500), "%s: the status says whose fault it is",
	   r->name);
	ok(!r->again || r->http == 429 || r->http == 503, "%s: only what passes may be tried again",
	   r->name);
	ok(*r->en != '\0' && text_count(r->en) == strlen(r->en), "%s: an English sentence",
	   r->name);
	ok(is_korean(r->ko), "%s: a Korean sentence", r->name);
	for (enum err other = OK + 1; other < e; other++)
		ok(strcmp(r->code, err_row(other)->code) != 0, "%s and %s have codes of their own",
		   r->name, err_row(other)->name);
}

int
main(void)
{
	is_int(OK, 0, "OK is zero");
	for (enum err e = OK + 1; e < ERR_COUNT; e++)
		test_row(e);
	ok(!err_row(E_UNCERTAIN)->again, "what may have happened is not blindly tried again");
	ok(err_row(E_BUSY)->again && err_row(E_UNAVAILABLE)->again, "what did not happen may be");
	return tap_end();
}
