/* dialect: the two there are. */
#include "dialect.h"

#include <string.h>
#include <strings.h>

#include "doc.h"

#include "oauth.h"
#include "query.h"
#include "reply.h"

const struct dialect JSON = {
	.types = (const char *const[]){ "application/json", "application/merge-patch+json", NULL },
	.unsaid = true, /* its form will tell */
	.read = doc_read,
	.refuse = reply_problem,
};

const struct dialect OAUTH = {
	.types = (const char *const[]){ "application/x-www-form-urlencoded", NULL },
	.read = form_read,
	.refuse = oauth_refuse,
	.refusal = &OAUTH_ERROR,
	.statuses = (const int[]){ 400, 429, 500, 503, 0 },
};

const struct dialect *
dialect_of(const struct route *r)
{
	return r == NULL || r->speaks == NULL ? &JSON : r->speaks;
}

bool
dialect_takes(const struct dialect *d, const char *content_type)
{
	for (const char *const *type = d->types; *type != NULL; type++) {
		size_t len = strlen(*type);

		if (strncasecmp(content_type, *type, len) == 0 &&
		    strchr("; \t", content_type[len]) != NULL)
			return true;
	}
	return *content_type == '\0' && d->unsaid;
}
