/* msg: every sentence in every language, its places filled from the field's row. */
#include "msg.h"

#include "field.h"
#include "tap.h"
#include "text.h"

static const struct field ROW = { .name = "x", .min = 3, .max = 150, .choices = "red green blue" };

static const char *
said(struct arena *a, enum msg m, enum lang lang, const struct field *f)
{
	struct buf b = buf_new(a, 16);

	msg_print(&b, m, lang, f);
	return b.text;
}

static const struct {
	enum msg msg;
	enum lang lang;
	const char *sentence;
} SENTENCES[] = {
	{ MSG_RANGE, EN, "Must be between 3 and 150" },
	{ MSG_RANGE, KO, "3-150 사이여야 합니다" },
	{ MSG_TOO_LONG, EN, "Must have at most 150 characters" },
	{ MSG_CHOICE, EN, "Must be one of: red, green, blue" },
	{ MSG_PASSWORD_SHORT, KO, "비밀번호는 3자 이상이어야 합니다" },
	{ MSG_AGE_RANGE, KO, "나이는 3-150 사이여야 합니다" },
};

static void
test_row(struct arena *a, enum msg m)
{
	const char *en = said(a, m, EN, &ROW), *ko = said(a, m, KO, &ROW), *type = msg_type(m);

	ok(*type != '\0' && strspn(type, "abcdefghijklmnopqrstuvwxyz_") == strlen(type),
	   "%s is a word", type);
	ok(*en != '\0' && text_count(en) == strlen(en), "%s in English: %s", type, en);
	ok(text_is_utf8(ko, strlen(ko)) && text_count(ko) < strlen(ko), "%s in Korean: %s", type,
	   ko);
	ok(strpbrk(en, "{}") == NULL && strpbrk(ko, "{}") == NULL, "%s has no place left open",
	   type);
	ok(*said(a, m, EN, NULL) != '\0' && *said(a, m, KO, NULL) != '\0',
	   "%s can be said without a row", type);
}

int
main(void)
{
	struct arena *a = arena_new(4096);

	for (enum msg m = MSG_OK + 1; m < MSG_COUNT; m++)
		test_row(a, m);
	for (size_t i = 0; i < NELEM(SENTENCES); i++)
		is_text(said(a, SENTENCES[i].msg, SENTENCES[i].lang, &ROW), SENTENCES[i].sentence,
			"a sentence with its limits");
	arena_free(&a);
	return tap_end();
}
