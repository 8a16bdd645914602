/* ctl_mail: what the operator sees of mails, and puts back. */
#include <stdio.h>
#include <string.h>

#include "text.h"

#include "mail.h"

#include "ctl.h"

enum { MAILS_LISTED = 200 };

#define STATES "waiting sent kept failed dropped"

int
ctl_mail_list(struct tool *t)
{
	struct mail_seen *m;
	const char *state = ctl_option(t, "--state");
	int n;

	if (state != NULL && !text_among(state, STATES))
		return ctl_fail("mail list", "--state is one of " STATES), WRONG_CALL;
	ctl_open_stores(t);
	if (mail_list(&t->c, state, MAILS_LISTED, &m, &n) != OK)
		return ctl_fail("mail list", db_complaint(t->c.db));
	for (int i = 0; i < n; i++)
		printf("%lld  %-8s %-16s %s  user %lld  %s  %s  %s\n", (long long)m[i].id,
		       m[i].state, m[i].kind, m[i].created_at, (long long)m[i].user_id,
		       m[i].recipient, ctl_count(t, m[i].attempts, "try", "tries"),
		       m[i].last_error == NULL ? "" : m[i].last_error);
	if (n == 0)
		printf("no mails%s%s\n", state == NULL ? " but sent ones" : " of state ",
		       state == NULL ? "" : state);
	return DONE;
}

/* It was not put back: is it on its way, or over, or is there no such mail? */
static int
say_why_not(struct tool *t, int64_t id)
{
	struct mail_seen m;
	enum err e = mail_find(&t->c, id, &m);

	if (e == E_NOT_FOUND)
		return ctl_fail("mail retry", "there is no such mail");
	if (e != OK)
		return ctl_fail("mail retry", db_complaint(t->c.db));
	if (strcmp(m.state, "waiting") != 0)
		return ctl_fail("mail retry",
				arena_printf(t->arena,
					     "only failed and kept mails are sent again;"
					     " this one is %s",
					     m.state));
	printf("mail %lld waits to be sent already\n", (long long)id);
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
	if (n == 0 && id != NO_INT)
		return say_why_not(t, id);
	if (n == 0)
		puts("there are no failed or kept mails");
	else
		printf("%s to be sent\n", ctl_count(t, n, "mail waits", "mails wait"));
	return DONE;
}
