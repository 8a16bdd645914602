/* device: two tables, looked through from the top. */
#include "device.h"

#include <string.h>

struct sign {
	const char *in, *name;
};

/* Most browsers also bear the names of those below them here. */
static const struct sign PROGRAMS[] = {
	{ "Edg", "Edge" },
	{ "OPR/", "Opera" },
	{ "SamsungBrowser/", "Samsung Internet" },
	{ "Whale/", "Whale" },
	{ "Firefox/", "Firefox" },
	{ "FxiOS/", "Firefox" },
	{ "CriOS/", "Chrome" },
	{ "Chrome/", "Chrome" },
	{ "Safari/", "Safari" },
};

static const struct sign SYSTEMS[] = {
	{ "iPhone", "iPhone" },	  { "iPad", "iPad" },	  { "Android", "Android" },
	{ "Windows", "Windows" }, { "CrOS", "ChromeOS" }, { "Mac OS X", "macOS" },
	{ "Linux", "Linux" },
};

static const char *
look_up(const struct sign *signs, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++) {
		if (strstr(text, signs[i].in) != NULL)
			return signs[i].name;
	}
	return NULL;
}

const char *
device_of(struct arena *a, const char *user_agent)
{
	const char *program, *system;

	if (user_agent == NULL || *user_agent == '\0')
		return "unknown";
	program = look_up(PROGRAMS, NELEM(PROGRAMS), user_agent);
	system = look_up(SYSTEMS, NELEM(SYSTEMS), user_agent);
	if (program == NULL && strcspn(user_agent, "/ ") == 0)
		program = "unknown";
	if (program == NULL)
		program = arena_textn(a, user_agent, strcspn(user_agent, "/ "));
	return system == NULL ? program : arena_printf(a, "%s on %s", program, system);
}
