/* mime: the head, and a body as plain as its text allows. */
#include "mime.h"

#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "text.h"

enum {
	LINE_MOST = 998, /* RFC 5322, 2.1.1 */
	WORD_BYTES =
		39, /* of text in an encoded word: 52 of base64, 73 with "Subject: " (RFC 2047, 2: 76) */
	BODY_BYTES = 57, /* of text in a line of base64: 76 (RFC 2045, 6.8) */
	BASE64_LINE = 80,
};

/* Can it stand in a header field between angle brackets? */
static bool
is_safe(const char *text)
{
	return *text != '\0' && text_is_utf8(text, strlen(text)) && !text_has_control(text) &&
	       !text_has_blank(text) && strpbrk(text, "<>") == NULL;
}

/* Printable ASCII, and where `lines` may be, no line too long? */
static bool
is_plain(const char *text, bool lines)
{
	size_t column = 0;

	for (; *text != '\0'; text++) {
		bool line_feed = lines && *text == '\n';

		column = line_feed ? 0 : column + 1;
		if (column > LINE_MOST || ((*text < ' ' || *text > '~') && !line_feed))
			return false;
	}
	return true;
}

static void
put_base64(struct buf *b, const char *bytes, size_t len)
{
	unsigned char out[BASE64_LINE];
	int n = EVP_EncodeBlock(out, (const unsigned char *)bytes, (int)len);

	buf_put(b, (const char *)out, (size_t)n);
}

/* As many bytes, at most `most`, as end with a whole character. */
static size_t
whole_characters(const char *text, size_t most)
{
	size_t len = strlen(text);

	if (len <= most)
		return len;
	for (len = most; len > 1 && ((unsigned char)text[len] & 0xC0) == 0x80;)
		len--;
	return len;
}

/* Encoded words, each whole in itself, folded (RFC 2047, 2 and 5). */
static void
put_subject(struct buf *b, const char *subject)
{
	size_t len;

	buf_lit(b, "Subject: ");
	if (is_plain(subject, false)) {
		buf_text(b, subject);
		buf_lit(b, "\r\n");
		return;
	}
	for (const char *p = subject; *p != '\0'; p += len) {
		len = whole_characters(p, WORD_BYTES);
		if (p != subject)
			buf_lit(b, "\r\n ");
		buf_lit(b, "=?UTF-8?B?");
		put_base64(b, p, len);
		buf_lit(b, "?=");
	}
	buf_lit(b, "\r\n");
}

static void
put_date(struct buf *b, int64_t date_s)
{
	time_t t = (time_t)date_s;
	struct tm utc;
	char text[48];

	gmtime_r(&t, &utc);
	strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", &utc);
	buf_printf(b, "Date: %s\r\n", text);
}

/* The text with CRLF for LF. */
static void
put_lines(struct buf *b, const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		buf_put(b, text, len);
		buf_lit(b, "\r\n");
		text += len + (text[len] == '\n');
	}
}

static void
put_body(struct buf *b, const char *text)
{
	struct buf lines = buf_new(b->arena, strlen(text) + 256);
	bool plain = is_plain(text, true);

	buf_printf(
		b,
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n",
		plain ? "7bit" : "base64");
	put_lines(&lines, text);
	if (plain) {
		buf_put(b, lines.text, lines.len);
		return;
	}
	for (size_t at = 0; at < lines.len; at += BODY_BYTES) {
		size_t left = lines.len - at;

		put_base64(b, lines.text + at, left < BODY_BYTES ? left : BODY_BYTES);
		buf_lit(b, "\r\n");
	}
}

enum err
mime_print(struct buf *b, const struct mime *m)
{
	if (!is_safe(m->from) || !is_safe(m->to) || !is_safe(m->message_id))
		return E_INVALID;
	put_date(b, m->date_s);
	buf_printf(b, "From: <%s>\r\nTo: <%s>\r\nMessage-ID: <%s>\r\n", m->from, m->to,
		   m->message_id);
	put_subject(b, m->subject);
	/* no vacation notes, no bounces of bounces (RFC 3834, 5) */
	buf_lit(b, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n");
	put_body(b, m->text);
	return OK;
}
