/* limit: who is one client, and which texts are a rate. */
#include "limit.h"

#include "settings.h"

#include "tap.h"

static const struct {
	const char *peer, *client;
} CLIENTS[] = {
	{ "192.0.2.1", "192.0.2.1" },
	{ "::ffff:192.0.2.1", "192.0.2.1" },
	{ "::ffff:c000:201", "192.0.2.1" },
	{ "2001:db8:1:2:3:4:5:6", "2001:db8:1:2" },
	{ "2001:db8:1:2::", "2001:db8:1:2" },
	{ "2001:0DB8:0001:0002::ffff", "2001:db8:1:2" },
	{ "2001:db8:1:3::", "2001:db8:1:3" },
	{ "::1", "0:0:0:0" },
	{ "unix:", "unknown" },
	{ "192.0.2.1:80", "unknown" },
	{ "192.0.2", "unknown" },
	{ "", "unknown" },
	{ NULL, "unknown" },
};

static const struct {
	const char *text;
	bool good;
	int64_t count, seconds;
} RATES[] = {
	{ "10/60", true, 10, 60 },
	{ "0", true, 0, 0 },
	{ "1/1", true, 1, 1 },
	{ "10000/86400", true, 10000, 86400 },
	{ "", false, 0, 0 },
	{ "10", false, 0, 0 },
	{ "10/", false, 0, 0 },
	{ "/60", false, 0, 0 },
	{ "0/60", false, 0, 0 },
	{ "10/0", false, 0, 0 },
	{ "10001/60", false, 0, 0 },
	{ "10/86401", false, 0, 0 },
	{ "-1/60", false, 0, 0 },
	{ "10/60/60", false, 0, 0 },
	{ "10 / 60", false, 0, 0 },
	{ "1e1/60", false, 0, 0 },
	{ "99999999999999999999/60", false, 0, 0 },
};

int
main(void)
{
	struct arena *a = arena_new(1024);

	for (size_t i = 0; i < NELEM(CLIENTS); i++) {
		const char *peer = CLIENTS[i].peer, *client = limit_client(a, peer);

		if (!ok(strcmp(client, CLIENTS[i].client) == 0, "%s counts as %s",
			peer == NULL ? "nobody" : peer, CLIENTS[i].client))
			printf("#   got %s\n", client);
	}
	for (size_t i = 0; i < NELEM(RATES); i++) {
		int64_t count, seconds;
		bool good = settings_rate(RATES[i].text, &count, &seconds);

		ok(good == RATES[i].good &&
			   (!good || (count == RATES[i].count && seconds == RATES[i].seconds)),
		   "\"%s\" is %s", RATES[i].text, RATES[i].good ? "a rate" : "no rate");
	}
	arena_free(&a);
	return tap_end();
}
