/* prefer: a list of words, each with parameters that we pass over. */
#include "prefer.h"

#include <string.h>
#include <strings.h>

bool
prefer_async(const char *prefer)
{
	static const char WORD[] = "respond-async";

	for (;;) {
		prefer += strspn(prefer, " \t,");
		if (*prefer == '\0')
			return false;
		if (strncasecmp(prefer, WORD, sizeof(WORD) - 1) == 0 &&
		    strchr(" \t,;", prefer[sizeof(WORD) - 1]) != NULL)
			return true;
		prefer += strcspn(prefer, ",");
	}
}
