/* ctl_key: keys for access tokens. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "keyring.h"

#include "ctl.h"

int
ctl_key_new(struct tool *t)
{
	const char *algorithm = ctl_option(t, "--algorithm"), *path = NULL, *kid;
	enum err e;

	for (int i = 0; i < t->argc; i++) {
		if (strcmp(t->argv[i], "--algorithm") == 0)
			i++;
		else
			path = t->argv[i];
	}
	if (path == NULL)
		return ctl_fail("key new", "wants a FILE"), WRONG_CALL;
	algorithm = algorithm == NULL ? "ES256" : algorithm;
	e = keyring_make(t->arena, algorithm, path, &kid);
	if (e == E_INVALID)
		return ctl_fail("key new", "--algorithm is ES256 or RS256"), WRONG_CALL;
	if (e != OK)
		return ctl_fail(path, strerror(errno));
	printf("%s: a private key for %s, kid %s\n%s.pub: its public half, for JWT_KEYS_DIR\n",
	       path, algorithm, kid, path);
	return DONE;
}
