/*
 * letter: what each kind of mail says, in every language we speak.
 *
 * Nothing that somebody typed stands in a mail, a name least of all: who signs up with
 * another's address could otherwise make us write to it. A link's token stands behind a '#',
 * so that no server on the way logs it, and the page hands it to the API.
 */
#ifndef LETTER_H
#define LETTER_H

#include "mail.h"

/* The whole message for `m`, head and body, in the arena; where its kind has a link, with a
 * fresh one-time token. E_NOT_FOUND, with *why_r: nobody waits for it (the user is gone,
 * inactive, has another address or a new password, or asked too long ago). E_INVALID, with *why_r:
 * it can't be written (no such kind, or an address that can't stand in a head). */
enum err letter_write(struct ctx *c, const struct mail *m, struct buf *out,
		      const char **why_r) MUST_CHECK;

#endif
