/* etag: a list, tag by tag; what is no tag counts as one that nobody has. */
#include "etag.h"

#include <string.h>

#include "text.h"

enum { DIGITS_MOST = 19 };

/* A number of at most DIGITS_MOST digits, from 1; 0 for anything else. */
static int64_t
number_in(const char *text, size_t len)
{
	char digits[DIGITS_MOST + 1];
	int64_t n = 0;

	if (len > DIGITS_MOST)
		return 0;
	memcpy(digits, text, len);
	digits[len] = '\0';
	return text_to_int(digits, &n) && n > 0 ? n : 0;
}

/* "7" or "7.2", between the quotes. */
static void
read_tag(const char *text, size_t len, struct etag *out_r)
{
	const char *dot = memchr(text, '.', len);
	size_t before = dot == NULL ? len : (size_t)(dot - text);

	out_r->version = number_in(text, before);
	if (dot == NULL)
		return;
	out_r->pending = number_in(dot + 1, len - before - 1);
	if (out_r->pending == 0)
		out_r->version = 0;
}

bool
etag_next(const char **list, struct etag *out_r)
{
	const char *p = *list + strspn(*list, " ,\t"), *quote;

	*out_r = (struct etag){ 0 };
	if (*p == '\0')
		return false;
	out_r->any = *p == '*';
	out_r->weak = strncmp(p, "W/", 2) == 0;
	p += out_r->weak ? 2 : 0;
	quote = *p == '"' ? strchr(p + 1, '"') : NULL;
	if (quote != NULL) {
		read_tag(p + 1, (size_t)(quote - p - 1), out_r);
		p = quote + 1;
	}
	*list = p + strcspn(p, ",");
	return true;
}
