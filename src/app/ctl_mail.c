/* ctl_mail: what the operator sees of mails, and puts back. */
#include <stdio.h>
#include <string.h>

#include "text.h"

#include "mail.h"

#include "ctl.h"

enum { MAILS_LISTED = 200 };

int
ctl_mail_list(struct tool *t)
{
	struct mail_seen *m;
	const char *state = ctl_option(t, "--state");
	int n;

	ctl_open_stores(t);
	if (mail_list(&t->c, state, MAILS_LISTED, &m, &n) != OK)
		return ctl_fail("mail list", db_complaint(t->c.db));
	for (int i = 0; i < n; i++)
		printf("%lld  %-8s %-16s %s  user %lld  %s  %lld tries  %s\n", (long long)m[i].id,
		       m[i].state, m[i].kind, m[i].created_at, (long long)m[i].user_id,
		       m[i].recipient, (long long)m[i].attempts,
		       m[i].last_error == NULL ? "" : m[i].last_error);
	return DONE;
}

int
ctl_mail_retry(struct tool *t)
{
	int64_t id = NO_INT, n;

	if (t->argc == 0 || (strcmp(t->argv[0], "all") != 0 && !text_to_int(t->argv[0], &id)))
		return ctl_fail("mail retry", "wants the number of a mail, or all"), WRONG_CALL;
	ctl_open_stores(t);
	if (mail_retry(&t->c, id, &n) != OK)
		return ctl_fail("mail retry", db_complaint(t->c.db));
	printf("%lld mails wait to be sent\n", (long long)n);
	return n > 0 || id == NO_INT ? DONE : FAILED;
}
