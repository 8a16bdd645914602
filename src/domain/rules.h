/*
 * rules: what a value must be that its kind and length don't say.
 *
 * Each has the form that a row of a field table wants: it may rewrite the text, and
 * says MSG_OK or what is wrong.
 */
#ifndef RULES_H
#define RULES_H

#include "field.h"

/* Trimmed; no control characters. */
enum msg rule_line(struct arena *a, const char *text, const char **out_r);

/* An address as email-validator takes it without DNS (a dot-atom local part of at most 64
 * bytes, ASCII or UTF-8; a domain of at least two labels, none of the special-use names;
 * 255 bytes in all); trimmed, the domain in lower case, the rest as given. No IDNA: a
 * domain outside ASCII is taken as it is written and only its ASCII letters are folded. */
enum msg rule_email(struct arena *a, const char *text, const char **out_r);

/* A type that a caller may give to an event of its own: begins with a letter, then letters,
 * digits, _ . -; what begins as our own types do (user_, profile_) is reserved. */
enum msg rule_event_type(struct arena *a, const char *text, const char **out_r);

/* Trimmed; lines and tabs are allowed, no other control characters. */
enum msg rule_lines(struct arena *a, const char *text, const char **out_r);

/* http or https with a host, at most 500 characters, nothing that would have to be quoted. */
enum msg rule_url(struct arena *a, const char *text, const char **out_r);

/* A language tag in form (RFC 5646: letters and digits in parts of 1 to 8). */
enum msg rule_locale(struct arena *a, const char *text, const char **out_r);

/* A name of the IANA database in form: Asia/Seoul, UTC. */
enum msg rule_timezone(struct arena *a, const char *text, const char **out_r);

/* A place in the event store, as an answer of ours bore it: two numbers and a point between. */
enum msg rule_position(struct arena *a, const char *text, const char **out_r);

/* A time by its form (RFC 3339, with Z or an offset); whether there is such a day and hour PostgreSQL
 * knows. What is finer than a microsecond is cut off, as it would round it up. */
enum msg rule_time(struct arena *a, const char *text, const char **out_r);

/* Digits, blanks and + - ( ). */
enum msg rule_phone(struct arena *a, const char *text, const char **out_r);

#endif
