/* err: the table of outcomes, laid out for look-up. */
#include "err.h"

#include <assert.h>

#define X(name, http, code, fault, again, en, ko) \
	[E_##name] = { #name, http, code, fault, again, en, ko },
static const struct err_row ROWS[ERR_COUNT] = { ERR_LIST(X) };
#undef X

const struct err_row *
err_row(enum err e)
{
	assert(e > OK && e < ERR_COUNT);
	return &ROWS[e];
}
