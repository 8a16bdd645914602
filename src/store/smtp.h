/*
 * smtp: handing mail to a server (RFC 5321); the only file to know libcurl.
 *
 * One connection, kept while there is more to send. A certificate is always checked; a
 * login is never sent without TLS. What the server said is passed on as its codes only,
 * since its words may hold an address.
 */
#ifndef SMTP_H
#define SMTP_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

struct smtp;

struct smtp_conf {
	const char *url;       /* smtp://[user:pw@]host[:port], smtps://… */
	const char *ca_file;   /* whom to trust; NULL: the system's list */
	bool tls_required;     /* refuse a server without STARTTLS, without a login too */
	int wait_ms;	       /* for a whole mail */
	bool (*give_up)(void); /* asked about every second; true ends the wait */
};

/* The handle; connects at first use. Never NULL. `conf` is kept. */
struct smtp *smtp_open(const struct smtp_conf *conf);

/* Close, free, and clear the caller's pointer. */
void smtp_close(struct smtp **s);

/* Hand over one message, head and body. OK once the server has taken it. E_INVALID: it will
 * never take this mail (5xx). E_BUSY: not now (4xx). E_UNAVAILABLE: no server, or none that we
 * may talk to (TLS, login), or it fell silent: the next mail would fare no better. *why_r, in
 * static memory until the next call: "451 4.7.1", or libcurl's word for it. */
enum err smtp_send(struct smtp *s, const char *from, const char *to, const char *message,
		   size_t len, const char **why_r) MUST_CHECK;

#endif
