/*
 * mime: one mail as it goes over the wire (RFC 5322; RFC 2045 and 2047 for what is not ASCII).
 *
 * Nothing that is handed in can add a header field or a line to the head: what would is
 * refused. The text is UTF-8; the server's dot-stuffing is the sender's business.
 */
#ifndef MIME_H
#define MIME_H

#include "buf.h"
#include "err.h"

struct mime {
	const char *from, *to;	/* addresses, without a name */
	const char *message_id; /* without < and > */
	const char *subject, *text;
	int64_t date_s; /* seconds since 1970 */
};

/* The whole message into `b`, lines ended by CRLF. E_INVALID, and nothing written, where an
 * address or the id has blanks, control characters or angle brackets. */
enum err mime_print(struct buf *b, const struct mime *m) MUST_CHECK;

#endif
