/* rules: names, addresses, telephone numbers. */
#include "rules.h"

#include <string.h>
#include <strings.h>

#include "text.h"

enum { EMAIL_MOST = 255, LOCAL_MOST = 64, LABEL_MOST = 63, URL_MOST = 500 };
enum { MICRO = sizeof(".123456") - 1 };

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool
ascii_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
ascii_digit(char c)
{
	return c >= '0' && c <= '9';
}

enum msg
rule_line(struct arena *a, const char *text, const char **out_r)
{
	*out_r = text_trim(a, text);
	return text_has_control(*out_r) ? MSG_CONTROL : MSG_OK;
}

enum msg
rule_phone(struct arena *a, const char *text, const char **out_r)
{
	*out_r = text_trim(a, text);
	return strspn(*out_r, "0123456789 +-()") == strlen(*out_r) ? MSG_OK : MSG_PHONE;
}

enum msg
rule_event_type(struct arena *a, const char *text, const char **out_r)
{
	static const char *const RESERVED[] = { "user_", "profile_" };

	*out_r = arena_text(a, text);
	if (!ascii_letter(*text) || strspn(text, LETTERS DIGITS "_.-") != strlen(text))
		return MSG_EVENT_TYPE;
	for (size_t i = 0; i < NELEM(RESERVED); i++) {
		if (strncasecmp(text, RESERVED[i], strlen(RESERVED[i])) == 0)
			return MSG_RESERVED;
	}
	return MSG_OK;
}

enum msg
rule_position(struct arena *a, const char *text, const char **out_r)
{
	size_t len = strspn(text, DIGITS);
	int64_t n;

	*out_r = arena_text(a, text);
	return text[len] == '.' && text_to_int(arena_textn(a, text, len), &n) &&
			       text[len + 1] != '-' && text_to_int(text + len + 1, &n)
		       ? MSG_OK
		       : MSG_POSITION;
}

/* The text after what has the form of `form`, where d stands for any digit; NULL: it has not. */
static const char *
after_form(const char *text, const char *form)
{
	for (; *form != '\0'; text++, form++) {
		if (*form == 'd' ? !ascii_digit(*text) : *form != *text)
			return NULL;
	}
	return text;
}

static bool
is_zone(const char *text)
{
	bool sign = *text == '+' || *text == '-';
	const char *end = sign ? after_form(text + 1, "dd:dd") : NULL;

	return text_among(text, "Z z") || (end != NULL && *end == '\0');
}

enum msg
rule_time(struct arena *a, const char *text, const char **out_r)
{
	const char *day_over = after_form(text, "dddd-dd-dd"), *second_over = NULL;
	size_t fine = 0, kept;

	if (day_over != NULL && (*day_over == 'T' || *day_over == 't'))
		second_over = after_form(day_over + 1, "dd:dd:dd");
	if (second_over == NULL)
		return MSG_TIME;
	if (*second_over == '.' && (fine = strspn(second_over + 1, DIGITS)) == 0)
		return MSG_TIME;
	fine += fine > 0; /* the point */
	if (!is_zone(second_over + fine))
		return MSG_TIME;
	kept = (size_t)(second_over - text) + (fine > MICRO ? MICRO : fine);
	*out_r = arena_printf(a, "%.*s%s", (int)kept, text, second_over + fine);
	return MSG_OK;
}

/* Beyond ASCII everything that is no control character may stand in an address (RFC 6531). */
static bool
beyond_ascii(char c)
{
	return (unsigned char)c >= 0x80;
}

/* RFC 5322's dot-atom, extended by RFC 6531. */
static bool
good_local(const char *local, size_t len)
{
	if (len == 0 || len > LOCAL_MOST || local[0] == '.' || local[len - 1] == '.')
		return false;
	for (size_t i = 0; i < len; i++) {
		bool atom = ascii_letter(local[i]) || ascii_digit(local[i]) ||
			    beyond_ascii(local[i]) ||
			    strchr("_!#$%&'*+-/=?^`{|}~", local[i]) != NULL;

		if (!atom && (local[i] != '.' || local[i - 1] == '.'))
			return false;
	}
	return true;
}

static bool
good_label(const char *label, size_t len)
{
	bool punycode = len >= 4 && strncmp(label, "xn--", 4) == 0;

	if (len == 0 || len > LABEL_MOST || label[0] == '-' || label[len - 1] == '-')
		return false;
	if (len >= 4 && label[2] == '-' && label[3] == '-' && !punycode)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!ascii_letter(label[i]) && !ascii_digit(label[i]) && label[i] != '-' &&
		    !beyond_ascii(label[i]))
			return false;
	}
	return true;
}

/* Names that can't be anybody's mail domain (RFC 6761, RFC 6762, RFC 7686). */
static bool
special_use(const char *last_label)
{
	return text_among(last_label, "arpa invalid local localhost onion test");
}

/* The domain is in lower case already. */
static bool
good_domain(const char *domain)
{
	const char *label = domain, *last = strrchr(domain, '.');
	char end = domain[strlen(domain) - 1];

	if (last == NULL || special_use(last + 1) || !(ascii_letter(end) || beyond_ascii(end)))
		return false;
	for (;; label++) {
		size_t len = strcspn(label, ".");

		if (!good_label(label, len))
			return false;
		label += len;
		if (*label == '\0')
			return true;
	}
}

enum msg
rule_email(struct arena *a, const char *text, const char **out_r)
{
	char *kept = arena_text(a, text_trim(a, text)), *at = strrchr(kept, '@');

	*out_r = kept;
	if (at == NULL || at[1] == '\0' || strlen(kept) > EMAIL_MOST || text_has_control(kept) ||
	    text_has_blank(kept))
		return MSG_EMAIL;
	for (char *p = at; *p != '\0'; p++)
		*p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 'a' - 'A') : *p;
	return good_local(kept, (size_t)(at - kept)) && good_domain(at + 1) ? MSG_OK : MSG_EMAIL;
}

enum msg
rule_lines(struct arena *a, const char *text, const char **out_r)
{
	char *plain;

	*out_r = text_trim(a, text);
	plain = arena_text(a, *out_r);
	for (char *p = plain; *p != '\0'; p++) {
		if (strchr("\n\r\t", *p) != NULL)
			*p = ' ';
	}
	return text_has_control(plain) ? MSG_CONTROL : MSG_OK;
}

enum msg
rule_url(struct arena *a, const char *text, const char **out_r)
{
	size_t scheme;

	*out_r = text_trim(a, text);
	scheme = strncasecmp(*out_r, "https://", 8) == 0  ? 8
		 : strncasecmp(*out_r, "http://", 7) == 0 ? 7
							  : 0;
	if (scheme == 0 || strcspn(*out_r + scheme, "/?#:@") == 0 || text_count(*out_r) > URL_MOST)
		return MSG_URL;
	if (text_has_control(*out_r) || text_has_blank(*out_r) || strpbrk(*out_r, "\"<>\\^`{|}"))
		return MSG_URL;
	return MSG_OK;
}

/* Parts of `letters`, 1 to `most` of them each, with `between` between. */
static bool
is_parts(const char *text, const char *letters, size_t most, char between)
{
	for (;; text++) {
		size_t n = strspn(text, letters);

		if (n == 0 || n > most)
			return false;
		text += n;
		if (*text != between)
			return *text == '\0';
	}
}

enum msg
rule_locale(struct arena *a, const char *text, const char **out_r)
{
	*out_r = text_trim(a, text);
	return ascii_letter(**out_r) && is_parts(*out_r, LETTERS DIGITS, 8, '-') ? MSG_OK
										 : MSG_LOCALE;
}

enum msg
rule_timezone(struct arena *a, const char *text, const char **out_r)
{
	*out_r = text_trim(a, text);
	return ascii_letter(**out_r) && is_parts(*out_r, LETTERS DIGITS "_+-", 30, '/')
		       ? MSG_OK
		       : MSG_TIMEZONE;
}
