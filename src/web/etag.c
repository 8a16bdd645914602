/* etag: a list, tag by tag; what is no tag counts as one that nobody has. */
#include "etag.h"

#include <string.h>

#include "text.h"

enum { DIGITS_MOST = 19 };

static int64_t
version_in(const char *text, size_t len)
{
	char digits[DIGITS_MOST + 1];
	int64_t n = 0;

	if (len > DIGITS_MOST)
		return 0;
	memcpy(digits, text, len);
	digits[len] = '\0';
	return text_to_int(digits, &n) && n > 0 ? n : 0;
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
		out_r->version = version_in(p + 1, (size_t)(quote - p - 1));
		p = quote + 1;
	}
	*list = p + strcspn(p, ",");
	return true;
}
