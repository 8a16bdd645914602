/* text: one decoder, and the questions asked of what it decodes. */
#include "text.h"

#include <string.h>

/* The code point at *p, which moves past it; -1 where it is not well-formed. */
static int32_t
next_point(const unsigned char **p, const unsigned char *end)
{
	static const int32_t LEAST[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *s = *p;
	int32_t c = *s++;
	int len = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;

	if (len == 0 || end - *p < len)
		return -1;
	if (len > 1)
		c &= 0x7f >> len;
	for (int i = 1; i < len; i++) {
		if ((*s & 0xc0) != 0x80)
			return -1;
		c = c << 6 | (*s++ & 0x3f);
	}
	if (c < LEAST[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return -1;
	*p = s;
	return c;
}

bool
text_is_utf8(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + len;

	while (p < end) {
		if (next_point(&p, end) <= 0)
			return false;
	}
	return true;
}

size_t
text_count(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

struct range {
	int32_t from, to;
};

/* Unicode's White_Space and the four separators that Python strips with it. */
static const struct range BLANKS[] = {
	{ 0x09, 0x0d },	    { 0x1c, 0x20 },	{ 0x85, 0x85 },	    { 0xa0, 0xa0 },
	{ 0x1680, 0x1680 }, { 0x2000, 0x200a }, { 0x2028, 0x2029 }, { 0x202f, 0x202f },
	{ 0x205f, 0x205f }, { 0x3000, 0x3000 },
};

static const struct range CONTROLS[] = {
	{ 0x00, 0x1f },	    { 0x7f, 0x9f },	{ 0x200b, 0x200b }, { 0x200e, 0x200f },
	{ 0x2028, 0x202e }, { 0x2066, 0x2069 }, { 0xfeff, 0xfeff },
};

static bool
within(int32_t c, const struct range *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (c >= r[i].from && c <= r[i].to)
			return true;
	}
	return false;
}

const char *
text_trim(struct arena *a, const char *text)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + strlen(text);
	const unsigned char *first = NULL, *last = p;

	while (p < end) {
		const unsigned char *at = p;
		int32_t c = next_point(&p, end);

		if (c < 0)
			p++; /* not UTF-8: no blank, and somebody else's finding */
		else if (within(c, BLANKS, NELEM(BLANKS)))
			continue;
		if (first == NULL)
			first = at;
		last = p;
	}
	if (first == NULL)
		return "";
	return arena_textn(a, (const char *)first, (size_t)(last - first));
}

/* Is any letter in these ranges, or no letter at all? */
static bool
has_any(const char *text, const struct range *r, size_t n)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + strlen(text);

	while (p < end) {
		int32_t c = next_point(&p, end);

		if (c < 0 || within(c, r, n))
			return true;
	}
	return false;
}

bool
text_has_blank(const char *text)
{
	return has_any(text, BLANKS, NELEM(BLANKS));
}

bool
text_has_control(const char *text)
{
	return has_any(text, CONTROLS, NELEM(CONTROLS));
}

bool
text_to_int(const char *text, int64_t *out_r)
{
	bool minus = *text == '-';
	uint64_t n = 0, most = minus ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
	const char *p = text + minus;

	if (*p == '\0' || (*p == '0' && (p[1] != '\0' || minus)))
		return false;
	for (; *p != '\0'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (*p < '0' || *p > '9' || n > (most - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*out_r = minus ? (int64_t)(0 - n) : (int64_t)n;
	return true;
}

bool
text_begins_like(const char *text, const char *form)
{
	for (; *form != '\0'; form++, text++) {
		const char *allowed = *form == 'h'   ? "0123456789abcdefABCDEF"
				      : *form == 'd' ? "0123456789"
						     : NULL;

		if (*text == '\0' ||
		    (allowed == NULL ? *text != *form : strchr(allowed, *text) == NULL))
			return false;
	}
	return true;
}

bool
text_is_uuid(const char *text)
{
	static const char FORM[] = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";

	return strlen(text) == sizeof(FORM) - 1 && text_begins_like(text, FORM);
}

bool
text_among(const char *word, const char *words)
{
	size_t len = strlen(word);

	while (*words != '\0') {
		size_t n = strcspn(words, " ");

		if (n == len && n > 0 && memcmp(word, words, n) == 0)
			return true;
		words += n + (words[n] == ' ');
	}
	return false;
}
