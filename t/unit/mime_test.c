/*
 * mime: what goes over the wire is plain where it can be, encoded where it must be, and
 * nothing that is handed in can add a line to the head.
 */
#include "mime.h"

#include <string.h>

#include "tap.h"

static struct arena *arena;

static const struct mime GOOD = {
	.from = "no-reply@example.com",
	.to = "kim@example.com",
	.message_id = "0190-1.welcome@example.com",
	.subject = "Hello",
	.text = "one\ntwo\n",
	.date_s = 1767225600,
};

static const char *
printed(const struct mime *m)
{
	struct buf b = buf_new(arena, 64);

	return mime_print(&b, m) == OK ? b.text : NULL;
}

static void
test_plain(void)
{
	const char *text = printed(&GOOD);

	is_text(text,
		"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nFrom: <no-reply@example.com>\r\n"
		"To: <kim@example.com>\r\nMessage-ID: <0190-1.welcome@example.com>\r\nSubject: Hello\r\n"
		"Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
		"one\r\ntwo\r\n",
		"plain text goes as it is");
}

/* No line longer than 76 in head or body, and every line whole in itself. */
static void
test_korean(void)
{
	struct mime m = GOOD;
	const char *text;
	size_t longest = 0;

	m.subject = "가입을 환영합니다. 이메일 주소를 확인해 주세요";
	m.text = "이 이메일 주소로 계정이 만들어졌습니다. 본인의 주소가 맞는지 확인해 주세요.\n";
	text = printed(&m);
	ok(strstr(text,
		  "Subject: =?UTF-8?B?6rCA7J6F7J2EIO2ZmOyYge2VqeuLiOuLpC4g7J2066mU7J28IA==?=\r\n"
		  " =?UTF-8?B?7KO8") != NULL,
	   "a subject is split into encoded words between characters");
	ok(strstr(text, "Content-Transfer-Encoding: base64\r\n\r\n7J20IOydtOuplOydvCDso7zs") !=
		   NULL,
	   "the body is base64");
	for (const char *p = text; *p != '\0'; p += strcspn(p, "\r") + 2) {
		size_t len = strcspn(p, "\r");

		longest = len > longest ? len : longest;
	}
	ok(longest <= 76, "no line is longer than 76");
	for (const char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p > '~')
			longest = 0;
	}
	ok(longest > 0, "all of it is ASCII");
}

static void
test_long_line(void)
{
	struct mime m = GOOD;
	char text[1200];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	m.text = text;
	ok(strstr(printed(&m), "Encoding: base64") != NULL, "a line too long for SMTP is encoded");
}

static void
test_injection(void)
{
	static const char *const BAD[] = {
		"a@b.example\r\nBcc: c@d.example",
		"a@b.example\nBcc: c",
		"a@b.example> <c@d.example",
		"a b@c.example",
		"",
		"a@\x01.example",
		"a@\xff.example",
	};
	struct mime m;

	for (size_t i = 0; i < NELEM(BAD); i++) {
		m = GOOD;
		m.to = BAD[i];
		ok(printed(&m) == NULL, "recipient %zu is refused", i);
		m = GOOD;
		m.from = BAD[i];
		ok(printed(&m) == NULL, "and as a sender");
		m = GOOD;
		m.message_id = BAD[i];
		ok(printed(&m) == NULL, "and as an id");
	}
	m = GOOD;
	m.subject = "Hello\r\nBcc: c@d.example";
	ok(strstr(printed(&m), "Bcc") == NULL, "a subject's line ends are encoded with it");
}

int
main(void)
{
	arena = arena_new(16 * 1024);
	test_plain();
	test_korean();
	test_long_line();
	test_injection();
	arena_free(&arena);
	return tap_end();
}
