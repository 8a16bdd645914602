/*
 * usherctl: the operator's tool. One row a command; what it prints is for a person, and
 * its exit status for a script: 0 done, 1 failed, 2 called wrongly.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "arena.h"
#include "doc.h"
#include "log.h"
#include "rnd.h"
#include "service.h"
#include "text.h"

#include "kv.h"
#include "migrate.h"

#include "lockout.h"
#include "passwd.h"
#include "stats.h"
#include "user.h"

#include "calls.h"
#include "openapi.h"

#include "ctl.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

struct command {
	const char *words, *args, *help;
	const char *options; /* that it knows; those with '=' take a value */
	int most;	     /* words that may follow besides */
	unsigned need;	     /* settings without which it can't work */
	int (*run)(struct tool *t);
};

static void
say(const char *line)
{
	puts(line);
}

int
ctl_fail(const char *what, const char *why)
{
	size_t len = strlen(why);

	while (len > 0 && strchr(" \t\n", why[len - 1]) != NULL)
		len--; /* as libpq ends its complaints */
	log_drop();
	fprintf(stderr, "usherctl: %s%s%.*s\n", what, len == 0 ? "" : ": ", (int)len, why);
	return FAILED;
}

const char *
ctl_count(struct tool *t, int64_t n, const char *one, const char *many)
{
	return arena_printf(t->arena, "%" PRId64 " %s", n, n == 1 ? one : many);
}

void
ctl_open_stores(struct tool *t)
{
	char *id = arena_get(t->arena, UUID_SIZE);

	rnd_uuid7(id);
	t->db = (struct db_conf){ .url = t->s.database_url,
				  .program = "usherctl",
				  .sets = TOOL_STATEMENTS,
				  .log_sql = t->s.log_sql };
	t->c = (struct ctx){ .arena = t->arena,
			     .conf = &t->s,
			     .role = ROLE_ADMIN,
			     .lang = strcmp(t->s.default_language, "ko") == 0 ? KO : EN,
			     .request_id = id,
			     .db = db_open(&t->db),
			     .kv = kv_open(t->s.redis_url, 1000, 0) };
}

static void
close_stores(struct tool *t)
{
	if (t->c.kv != NULL)
		ctx_settle(&t->c);
	kv_close(&t->c.kv);
	db_close(&t->c.db);
}

const char *
ctl_option(const struct tool *t, const char *name)
{
	for (int i = 0; i + 1 < t->argc; i++) {
		if (strcmp(t->argv[i], name) == 0)
			return t->argv[i + 1];
	}
	return NULL;
}

bool
ctl_flag(const struct tool *t, const char *name)
{
	for (int i = 0; i < t->argc; i++) {
		if (strcmp(t->argv[i], name) == 0)
			return true;
	}
	return false;
}

/*
 * migrate
 */

static struct migrate
migration(struct tool *t)
{
	const char *url =
		t->s.database_sync_url != NULL ? t->s.database_sync_url : t->s.database_url;
	const char *role = db_url_user(t->arena, t->s.database_url);

	return (struct migrate){ t->arena, url, t->s.migrations_dir, role == NULL ? "usher" : role,
				 say };
}

static void
say_profile(const char *line)
{
	printf("profile: %s\n", line);
}

/* The same of the second database, where there is one and its folder is there. */
static bool
profile_migration(struct tool *t, struct migrate *m_r)
{
	const char *url = t->s.profile_database_sync_url != NULL ? t->s.profile_database_sync_url
								 : t->s.profile_database_url;
	const char *role;

	*m_r = (struct migrate){ t->arena, url,
				 arena_printf(t->arena, "%s-profile", t->s.migrations_dir), "usher",
				 say_profile };
	if (t->s.profile_database_url == NULL || access(m_r->dir, R_OK) != 0)
		return false;
	role = db_url_user(t->arena, t->s.profile_database_url);
	if (role != NULL)
		m_r->service_role = role;
	return true;
}

/* By a line of migrate's own. */
static int
was_told(void)
{
	log_drop();
	return FAILED;
}

static int
run_migrate_up(struct tool *t)
{
	struct migrate m = migration(t), second;

	if (migrate_up(&m) != OK)
		return was_told();
	return !profile_migration(t, &second) || migrate_up(&second) == OK ? DONE : was_told();
}

static int
run_migrate_down(struct tool *t)
{
	struct migrate m = migration(t);
	int64_t steps = 1;
	bool second = ctl_flag(t, "--profile");
	const char *text = NULL;

	for (int i = 0; i < t->argc; i++) {
		if (strcmp(t->argv[i], "--profile") != 0)
			text = t->argv[i];
	}
	if (text != NULL && (!text_to_int(text, &steps) || steps < 1 || steps > 9999))
		return ctl_fail("migrate down", "N is a number from 1"), WRONG_CALL;
	if (second && !profile_migration(t, &m))
		return ctl_fail("migrate down", "there is no second database"), FAILED;
	return migrate_down(&m, (int)steps) == OK ? DONE : was_told();
}

static int
run_migrate_status(struct tool *t)
{
	struct migrate m = migration(t), second;

	if (migrate_status(&m) != OK)
		return was_told();
	return !profile_migration(t, &second) || migrate_status(&second) == OK ? DONE : was_told();
}

static int
run_migrate_new(struct tool *t)
{
	struct migrate m = { t->arena, NULL, t->s.migrations_dir, NULL, say };

	if (t->argc != 1)
		return ctl_fail("migrate new", "wants one NAME"), WRONG_CALL;
	return migrate_new(&m, t->argv[0]) == OK ? DONE : FAILED;
}

/*
 * admin create
 */

/* The next line of standard input; not echoed where a person types it, who is asked `what`. */
static bool
read_secret(struct arena *a, const char *what, const char **out_r)
{
	struct termios old, quiet;
	bool person = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &old) == 0;
	char line[1024];
	bool good;

	if (person) {
		quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		fputs(what, stderr);
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	good = fgets(line, sizeof(line), stdin) != NULL;
	if (person) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
		fputc('\n', stderr);
	}
	if (good)
		*out_r = arena_textn(a, line, strcspn(line, "\r\n"));
	explicit_bzero(line, sizeof(line));
	return good;
}

/* What nobody sees while it is typed is typed twice. NULL: all is well; else why not. */
static const char *
read_password(struct arena *a, const char **out_r)
{
	const char *again = NULL;

	if (!read_secret(a, "Password: ", out_r))
		return "no password on standard input";
	if (!isatty(STDIN_FILENO))
		return NULL;
	if (!read_secret(a, "Again: ", &again) || strcmp(*out_r, again) != 0)
		return "the two are not the same";
	return NULL;
}

static int
report_faults(const struct ctx *c)
{
	for (int i = 0; i < c->faults.n; i++) {
		struct buf b = buf_new(c->arena, 64);

		msg_print(&b, c->faults.at[i].msg, EN, c->faults.at[i].field);
		ctl_fail(c->faults.at[i].name == NULL ? "" : c->faults.at[i].name, b.text);
	}
	return FAILED;
}

static void
set_value(struct tool *t, struct user *u, const char *name, const char *text)
{
	const struct field *f = field_find(&USER, IN_CREATE, name);
	bool sound = text_is_utf8(text, strlen(text)); /* JSON could not carry it to a login */
	enum msg m = sound ? field_set_text(t->arena, f, u, text) : MSG_NOT_UTF8;

	if (m != MSG_OK)
		fault_add(&t->c.faults, "body", name, m, f);
	u->given.set |= UINT64_C(1) << (f - USER.field);
}

/* A new one's password, once it is known that there is none of the address. */
static int
take_password(struct tool *t, struct user *in)
{
	const char *password, *why = read_password(t->arena, &password);

	if (why != NULL)
		return ctl_fail("admin create", why);
	set_value(t, in, "password", password);
	if (t->c.faults.n > 0)
		return report_faults(&t->c);
	return passwd_init((int)t->s.bcrypt_cost, t->s.password_denylist_file) == OK ? DONE
										     : FAILED;
}

static int
run_admin_create(struct tool *t)
{
	static const char *const WORDS[] = {
		[MADE_NEW] = "is an admin now, newly created",
		[MADE_OF_USER] = "was there, and is an admin now; the password is unchanged",
		[WAS_ADMIN] = "was an admin already; nothing is changed, nor the password",
	};
	const char *email = ctl_option(t, "--email"), *name = ctl_option(t, "--name");
	struct user in, out;
	enum made made;
	enum err e;

	if (email == NULL || !ctl_flag(t, "--password-stdin"))
		return ctl_fail("admin create", "--email and --password-stdin are needed"),
		       WRONG_CALL;
	ctl_open_stores(t);
	shape_clear(&USER, &in);
	set_value(t, &in, "name", name == NULL ? "Administrator" : name);
	set_value(t, &in, "email", email);
	if (t->c.faults.n > 0)
		return report_faults(&t->c);
	e = user_by_email(&t->c, in.email, &out);
	if (e == E_NOT_FOUND) {
		if (take_password(t, &in) != DONE)
			return FAILED;
		e = OK;
	}
	if (e == OK)
		e = user_make_admin(&t->c, &in, &out, &made);
	if (e == E_INVALID)
		return report_faults(&t->c);
	if (e != OK)
		return ctl_fail(err_row(e)->en, db_complaint(t->c.db));
	printf("%s %s (user %lld)\n", in.email, WORDS[made], (long long)out.id);
	return DONE;
}

/*
 * user unlock
 */

/* An address, or a user's number. */
static enum err
user_named(struct tool *t, const char *who, int64_t *id_r)
{
	struct user u;
	enum err e;

	if (text_to_int(who, id_r))
		return *id_r >= 1 ? OK : E_NOT_FOUND;
	e = user_by_email(&t->c, who, &u);
	*id_r = e == OK ? u.id : 0;
	return e;
}

static int
run_user_unlock(struct tool *t)
{
	int64_t id;
	bool was;
	enum err e;

	if (t->argc != 1)
		return ctl_fail("user unlock", "wants one address or number"), WRONG_CALL;
	ctl_open_stores(t);
	if ((e = user_named(t, t->argv[0], &id)) == OK)
		e = lockout_release(&t->c, id, &was);
	if (e != OK)
		return ctl_fail(err_row(e)->en, db_complaint(t->c.db));
	printf("user %lld %s\n", (long long)id, was ? "is unlocked" : "was not locked");
	return DONE;
}

/*
 * The rest
 */

static int
run_config(struct tool *t)
{
	struct buf b = buf_new(t->arena, 4096);

	if (ctl_flag(t, "--markdown"))
		conf_manual(&b, &SETTINGS);
	else
		conf_print(&b, &SETTINGS, &t->s, &t->origin);
	fputs(b.text, stdout);
	return DONE;
}

static int
run_errors(struct tool *t)
{
	(void)t;
	puts("| code | status | what it says |\n|---|---|---|");
	for (enum err e = OK + 1; e < ERR_COUNT; e++)
		printf("| `%s` | %d | %s · %s |\n", err_row(e)->code, err_row(e)->http,
		       err_row(e)->en, err_row(e)->ko);
	return DONE;
}

static int
run_print(struct tool *t, void (*print)(struct buf *b), const char *end)
{
	struct buf b = buf_new(t->arena, 96 * 1024);

	print(&b);
	fputs(b.text, stdout);
	fputs(end, stdout);
	return DONE;
}

static int
run_openapi(struct tool *t)
{
	return run_print(t, openapi_print, "\n");
}

static int
run_calls(struct tool *t)
{
	return run_print(t, calls_print, "");
}

static int
run_stats(struct tool *t)
{
	const char *text = ctl_option(t, "--days");
	int64_t days = 7;
	struct stats *day, all;

	if (text != NULL && (!text_to_int(text, &days) || days < 1 || days > 366))
		return ctl_fail("stats", "--days is a number from 1 to 366"), WRONG_CALL;
	ctl_open_stores(t);
	if (stats_read(&t->c, days, &day, &all) != OK)
		return ctl_fail("stats", db_complaint(t->c.db));
	printf("%-10s  %10s %10s %13s %10s\n", "day", "new_users", "logins", "failed_logins",
	       "events");
	for (int i = 0; i < days; i++)
		printf("%-10s  %10" PRId64 " %10" PRId64 " %13" PRId64 " %10" PRId64 "\n",
		       day[i].day, day[i].new_users, day[i].logins, day[i].failed_logins,
		       day[i].events);
	printf("%-10s  %10" PRId64 " %10" PRId64 " %13" PRId64 " %10" PRId64 "\n", "ever",
	       all.new_users, all.logins, all.failed_logins, all.events);
	printf("users now: %" PRId64 "\n", all.users);
	return DONE;
}

static int
run_version(struct tool *t)
{
	(void)t;
	puts("usherctl " PACKAGE_VERSION);
	return DONE;
}

/* clang-format off */
static const struct command COMMANDS[] = {
	/* words, args, help, options, words that may follow, settings needed, what it does */
	{ "migrate up", "",
	  "apply all migrations that are missing, of both databases",
	  "", 0, NEED_DATABASE, run_migrate_up },
	{ "migrate down", "[--profile] [N]",
	  "take back the newest, or the newest N; of the second database",
	  "--profile", 1, NEED_DATABASE, run_migrate_down },
	{ "migrate status", "",
	  "which are applied",
	  "", 0, NEED_DATABASE, run_migrate_status },
	{ "migrate new", "NAME",
	  "make the files of the next one",
	  "", 1, 0, run_migrate_new },
	{ "admin create", "--email E [--name N] --password-stdin",
	  "make an admin, or make an existing user one",
	  "--email= --name= --password-stdin", 0, NEED_DATABASE, run_admin_create },
	{ "user import", "FILE",
	  "create users with the hashes that another system has made: CSV with a header, or JSON lines",
	  "", 1, NEED_DATABASE, ctl_user_import },
	{ "user unlock", "EMAIL|ID",
	  "end the lock that too many wrong passwords have put on an account",
	  "", 1, NEED_DATABASE, run_user_unlock },
	{ "config", "[--markdown]",
	  "all settings and where each comes from; or their manual",
	  "--markdown", 0, 0, run_config },
	{ "errors", "",
	  "all codes that an answer may bear, as a table",
	  "", 0, 0, run_errors },
	{ "calls", "",
	  "all calls over HTTP, as a table, each with a curl",
	  "", 0, 0, run_calls },
	{ "openapi", "",
	  "the interface as OpenAPI 3.1, as GET /openapi.json answers it",
	  "", 0, 0, run_openapi },
	{ "stats", "[--days N]",
	  "what was counted, day by day in UTC, and ever",
	  "--days=", 0, NEED_DATABASE, run_stats },
	{ "cache stats", "",
	  "hits, misses and what else the workers of this host have counted; what waits in Redis",
	  "", 0, NEED_DATABASE, ctl_cache_stats },
	{ "cache get", "ID",
	  "what Redis has of a user",
	  "", 1, NEED_DATABASE, ctl_cache_get },
	{ "cache flush", "",
	  "drop all cached users from Redis",
	  "", 0, NEED_DATABASE, ctl_cache_flush },
	{ "events verify", "[--from ID]",
	  "compare every user, or those from ID on, with its events and with what Redis has of it",
	  "--from=", 0, NEED_DATABASE, ctl_events_verify },
	{ "events replay", "ID [--version N] [--at TIME]",
	  "a user as its events make it, now or then",
	  "--version= --at=", 1, NEED_DATABASE, ctl_events_replay },
	{ "outbox", "",
	  "how many events wait for Kafka, and which has waited longest",
	  "", 0, NEED_DATABASE, ctl_outbox },
	{ "dlq list", "",
	  "the dead letters: messages that could not be processed, and why",
	  "", 0, 0, ctl_dlq_list },
	{ "dlq show", "PARTITION:OFFSET",
	  "one of them, whole",
	  "", 1, 0, ctl_dlq_show },
	{ "dlq replay", "PARTITION:OFFSET | --all",
	  "send one to its topic again; or all, and take them out of the dead letters",
	  "--all", 1, 0, ctl_dlq_replay },
	{ "key new", "[--algorithm ES256|RS256] FILE",
	  "a private key for access tokens, and its public half as FILE.pub",
	  "--algorithm=", 1, 0, ctl_key_new },
	{ "mail list", "[--state waiting|sent|kept|failed|dropped]",
	  "the newest mails of a state, or all but the sent ones",
	  "--state=", 0, NEED_DATABASE, ctl_mail_list },
	{ "mail retry", "ID|all",
	  "send failed and kept mails once more",
	  "", 1, NEED_DATABASE, ctl_mail_retry },
	{ "version", "",
	  "the version",
	  "", 0, 0, run_version },
};
/* clang-format on */

/* How many arguments the command's words take up; 0 where it is not this command. */
static int
words_match(const char *words, int argc, char **argv)
{
	int used = 0;

	while (*words != '\0') {
		size_t len = strcspn(words, " ");

		if (used == argc || strlen(argv[used]) != len ||
		    strncmp(argv[used], words, len) != 0)
			return 0;
		used++;
		words += len + (words[len] == ' ');
	}
	return used;
}

static void
put_help(const struct command *cmd)
{
	printf("  usherctl %s %s\n      %s\n", cmd->words, cmd->args, cmd->help);
}

/* Of all commands, or of those that begin with the words before --help. */
static int
help(int argc, char **argv)
{
	int named = 0;

	for (size_t i = 0; i < NELEM(COMMANDS) && argc > 0; i++) {
		size_t len = strlen(argv[0]);

		if (words_match(COMMANDS[i].words, argc, argv) == 0 &&
		    (argc > 1 || strncmp(COMMANDS[i].words, argv[0], len) != 0 ||
		     COMMANDS[i].words[len] != ' '))
			continue;
		put_help(&COMMANDS[i]);
		named++;
	}
	if (named > 0)
		return DONE;
	puts("usherctl: the operator's tool of usher\n");
	for (size_t i = 0; i < NELEM(COMMANDS); i++)
		put_help(&COMMANDS[i]);
	puts("\nSettings come from the environment and from .env in this folder.");
	return DONE;
}

/* Is `arg` an option of the command; does it take a value? */
static bool
knows(const struct command *cmd, const char *arg, bool *takes_r)
{
	char with[64];

	snprintf(with, sizeof(with), "%s=", arg);
	*takes_r = text_among(with, cmd->options);
	return *takes_r || text_among(arg, cmd->options);
}

/* The first argument that the command has no use for; NULL if it has for all. */
static const char *
useless_arg(const struct tool *t, const struct command *cmd)
{
	int words = 0;

	for (int i = 0; i < t->argc; i++) {
		bool takes = false;

		if (strncmp(t->argv[i], "--", 2) == 0 && !knows(cmd, t->argv[i], &takes))
			return t->argv[i];
		if (strncmp(t->argv[i], "--", 2) != 0 && ++words > cmd->most)
			return t->argv[i];
		i += takes;
	}
	return NULL;
}

static int
run(struct tool *t, const struct command *cmd)
{
	const char *useless = useless_arg(t, cmd);
	int status;

	if (useless != NULL)
		return ctl_fail(useless, "not known here; see usherctl --help"), WRONG_CALL;

	settings_load(t->arena, "usherctl", ".env", cmd->need, &t->s, &t->origin);
	log_init("usherctl", "text", "warn");
	log_hold(); /* a failure is told once, by the command; this is for what it does not tell */
	if (strcmp(t->s.usher_env, "test") != 0)
		service_keep_memory_private();
	doc_init();
	status = cmd->run(t);
	close_stores(t);
	log_flush();
	return status;
}

/* Some words are the beginning of several commands. */
static int
no_such_command(const char *word)
{
	size_t len = word == NULL ? 0 : strlen(word);

	for (size_t i = 0; i < NELEM(COMMANDS) && len > 0; i++) {
		if (strncmp(COMMANDS[i].words, word, len) == 0 && COMMANDS[i].words[len] == ' ')
			return fprintf(stderr,
				       "usherctl: %s what? see usherctl %s --help, or usherctl --help\n",
				       word, word),
			       WRONG_CALL;
	}
	return ctl_fail(word == NULL ? "no command" : word,
			word == NULL ? "see usherctl --help"
				     : "no such command; see usherctl --help"),
	       WRONG_CALL;
}

int
main(int argc, char **argv)
{
	static char version[] = "version";
	struct tool t = { 0 };
	int status;

	if (argc > 1 && strcmp(argv[1], "help") == 0)
		return help(argc - 2, argv + 2);
	if (argc > 1 && strcmp(argv[argc - 1], "--help") == 0)
		return help(argc - 2, argv + 1);
	if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0))
		argv[1] = version;
	for (size_t i = 0; i < NELEM(COMMANDS); i++) {
		int used = words_match(COMMANDS[i].words, argc - 1, argv + 1);

		if (used == 0)
			continue;
		t.arena = arena_new(64 * 1024);
		t.argc = argc - 1 - used;
		t.argv = argv + 1 + used;
		status = run(&t, &COMMANDS[i]);
		arena_free(&t.arena);
		return status;
	}
	return no_such_command(argc < 2 ? NULL : argv[1]);
}
