/* settings: the table, and the checks that a row can't make alone. */
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "kv.h"
#include "text.h"

#include "rules.h"

enum { RATE_COUNT_MOST = 10000, RATE_SECONDS_MOST = 86400 };

#ifndef DENYLIST_FILE
#define DENYLIST_FILE "src/share/common-passwords.txt"
#endif

#ifndef MIGRATIONS_DIR
#define MIGRATIONS_DIR "sql/migrations"
#endif

static enum msg
rule_database(struct arena *a, const char *text, const char **out_r)
{
	*out_r = arena_text(a, text);
	return db_url_is_good(text) ? MSG_OK : MSG_SETTING;
}

/* What Kafka takes as a topic's name. */
static enum msg
rule_topic(struct arena *a, const char *text, const char **out_r)
{
	static const char LEGAL[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	*out_r = arena_text(a, text);
	return strspn(text, LEGAL) == strlen(text) && strcmp(text, ".") != 0 &&
			       strcmp(text, "..") != 0
		       ? MSG_OK
		       : MSG_SETTING;
}

static enum msg
rule_redis(struct arena *a, const char *text, const char **out_r)
{
	*out_r = arena_text(a, text);
	return kv_url_is_good(text) ? MSG_OK : MSG_SETTING;
}

/* smtp://[user:pw@]host[:port]: there is a host, and nothing that could end a line. */
static enum msg
rule_smtp(struct arena *a, const char *text, const char **out_r)
{
	size_t scheme = strncmp(text, "smtp://", 7) == 0    ? 7
			: strncmp(text, "smtps://", 8) == 0 ? 8
							    : 0;
	const char *at = strrchr(text, '@'), *host = at == NULL ? text + scheme : at + 1;

	*out_r = arena_text(a, text);
	if (scheme == 0 || text_has_control(text) || text_has_blank(text))
		return MSG_SETTING;
	return strcspn(host, ":/") > 0 ? MSG_OK : MSG_SETTING;
}

static bool
number_within(const char *text, size_t len, int64_t most, int64_t *out_r)
{
	char digits[8] = "";

	if (len >= sizeof(digits))
		return false;
	memcpy(digits, text, len);
	return text_to_int(digits, out_r) && *out_r >= 1 && *out_r <= most;
}

/* host:port, or host alone where the port may be left out; an IPv6 address is in brackets. */
static bool
is_place(const char *text, size_t len, bool wants_port)
{
	size_t host = *text == '[' ? strspn(text + 1, "0123456789abcdefABCDEF:.") + 2
				   : strcspn(text, "/?#@,:[]* \t\r\n");
	int64_t port;

	if (host == 0 || host > len || (*text == '[' && text[host - 1] != ']'))
		return false;
	if (host == len)
		return !wants_port;
	return text[host] == ':' && number_within(text + host + 1, len - host - 1, 65535, &port);
}

/* How long "word://" is at the beginning; 0: it is not there. */
static size_t
scheme_length(const char *text)
{
	size_t n =
		strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-._");

	return n > 0 && strncmp(text + n, "://", 3) == 0 ? n + 3 : 0;
}

/* As librdkafka takes them: [PROTOCOL://]host:port, separated by commas. */
static enum msg
rule_kafka(struct arena *a, const char *text, const char **out_r)
{
	*out_r = arena_text(a, text);
	for (;;) {
		size_t n;

		text += strspn(text, " ");
		text += scheme_length(text);
		n = strcspn(text, ", ");
		if (!is_place(text, n, true))
			return MSG_SETTING;
		text += n + strspn(text + n, " ");
		if (*text != ',')
			return *text == '\0' ? MSG_OK : MSG_SETTING;
		text++;
	}
}

/* `*`, or origins as browsers write them: a scheme, a host, a port, and no path. */
static enum msg
rule_origins(struct arena *a, const char *text, const char **out_r)
{
	*out_r = arena_text(a, text);
	if (strcmp(text, "*") == 0)
		return MSG_OK;
	for (text += strspn(text, ", "); *text != '\0'; text += strspn(text, ", ")) {
		size_t scheme = scheme_length(text), n = strcspn(text, ", ");

		if (scheme == 0 || scheme >= n || !is_place(text + scheme, n - scheme, false))
			return MSG_SETTING;
		text += n;
	}
	return MSG_OK;
}

/* What links in mails begin with. */
static enum msg
rule_web(struct arena *a, const char *text, const char **out_r)
{
	size_t scheme = strncmp(text, "https://", 8) == 0  ? 8
			: strncmp(text, "http://", 7) == 0 ? 7
							   : 0;

	*out_r = arena_text(a, text);
	if (scheme == 0 || text_has_control(text) || text_has_blank(text) ||
	    strpbrk(text, "#?") != NULL)
		return MSG_SETTING;
	text += scheme;
	return is_place(text, strcspn(text, "/"), false) ? MSG_OK : MSG_SETTING;
}

/* A key that somebody else knows is no key: examples from manuals are refused whatever
 * they are padded with, and so is a text of a few different letters. */
static enum msg
rule_secret(struct arena *a, const char *text, const char **out_r)
{
	static const char *const KNOWN[] = { "your-secret-key", "your-256-bit-secret",
					     "changethis",	"change-me",
					     "changeme",	"secret-key",
					     "example" };
	bool seen[256] = { false };
	int different = 0;

	for (size_t i = 0; i < NELEM(KNOWN); i++) {
		if (strstr(text, KNOWN[i]) != NULL)
			return MSG_SETTING;
	}
	for (const char *p = text; *p != '\0'; p++) {
		different += !seen[(unsigned char)*p];
		seen[(unsigned char)*p] = true;
	}
	*out_r = arena_text(a, text);
	return strlen(text) >= 32 && different >= 8 ? MSG_OK : MSG_SETTING;
}

bool
settings_rate(const char *text, int64_t *count_r, int64_t *seconds_r)
{
	size_t len = strcspn(text, "/");

	*count_r = *seconds_r = 0;
	if (strcmp(text, "0") == 0)
		return true;
	return text[len] == '/' && number_within(text, len, RATE_COUNT_MOST, count_r) &&
	       number_within(text + len + 1, strlen(text + len + 1), RATE_SECONDS_MOST, seconds_r);
}

static enum msg
rule_rate(struct arena *a, const char *text, const char **out_r)
{
	int64_t count, seconds;

	*out_r = arena_text(a, text);
	return settings_rate(text, &count, &seconds) ? MSG_OK : MSG_SETTING;
}

/* clang-format off */
#define RATE_FORM "COUNT/SECONDS, 1 to 10000 in 1 to 86400; `0`: any"
#define ROW(member, NAME) \
	.name = NAME, .off = offsetof(struct settings, member), .kind = F_KIND(struct settings, member), \
	.use = 1

const struct shape SETTINGS = SHAPE(struct settings,
	{ ROW(database_url, "DATABASE_URL"), .need = NEED_DATABASE, .secret = true,
	  .rule = rule_database,
	  .help = "PostgreSQL, a libpq URI (`postgresql://…`); a driver suffix such as `+asyncpg` is dropped; several hosts allowed" },
	{ ROW(database_sync_url, "DATABASE_SYNC_URL"), .secret = true, .rule = rule_database,
	  .help = "the owner's connection, for `usherctl migrate` (a libpq URI); `DATABASE_URL` where not set" },
	{ ROW(profile_database_url, "PROFILE_DATABASE_URL"), .secret = true, .rule = rule_database,
	  .help = "the second database, for profiles (a libpq URI); without it those calls answer 503" },
	{ ROW(profile_database_sync_url, "PROFILE_DATABASE_SYNC_URL"), .secret = true, .rule = rule_database,
	  .help = "its owner's connection, for `usherctl migrate`; `PROFILE_DATABASE_URL` where not set" },
	{ ROW(redis_url, "REDIS_URL"), .def = "redis://localhost:6379", .secret = true,
	  .rule = rule_redis, .help = "`redis://[:pw@]host:port/db` or `unix://path`" },
	{ ROW(kafka_bootstrap_servers, "KAFKA_BOOTSTRAP_SERVERS"), .def = "localhost:9092",
	  .rule = rule_kafka, .help = "Kafka, host:port, several with commas" },
	{ ROW(kafka_topic, "KAFKA_TOPIC"), .def = "user_events", .min = 1, .max = 240,
	  .rule = rule_topic, .help = "the topic of the events: letters, digits, `.`, `_` and `-`; with `.dlq` behind it that of the dead letters" },
	{ ROW(kafka_group_id, "KAFKA_GROUP_ID"), .def = "user_event_processors", .min = 1, .max = 249,
	  .help = "the consumer group" },
	{ ROW(jwt_secret_key, "JWT_SECRET_KEY"), .secret = true, .rule = rule_secret,
	  .help = "signs access tokens, and must be set, where the algorithm is HS256, HS384 or HS512: 32 bytes at least, random, no example from a manual; `openssl rand -hex 32` makes one" },
	{ ROW(jwt_algorithm, "JWT_ALGORITHM"), .def = "HS256", 
	  .choices = "HS256 HS384 HS512 RS256 ES256", .help = "how access tokens are signed" },
	{ ROW(jwt_private_key_file, "JWT_PRIVATE_KEY_FILE"), .min = 1, .max = 4000,
	  .help = "the private key for RS256 or ES256, PEM; `usherctl key new` makes one" },
	{ ROW(jwt_keys_dir, "JWT_KEYS_DIR"), .min = 1, .max = 4000,
	  .help = "a folder of public keys (`*.pem`, `*.pub`) whose tokens are good besides: those that signed before, and those that will" },
	{ ROW(jwt_secret_key_old, "JWT_SECRET_KEY_OLD"), .secret = true, .min = 1, .max = 4000,
	  .help = "secrets that signed before, separated by blanks: their tokens stay good" },
	{ ROW(jwt_expire_minutes, "JWT_EXPIRE_MINUTES"), .def = "30", .min = 1, .max = 1440,
	  .help = "life of an access token, minutes" },
	{ ROW(refresh_expire_days, "REFRESH_EXPIRE_DAYS"), .def = "30", .min = 1, .max = 365,
	  .help = "life of a session without use, days" },
	{ ROW(password_min, "PASSWORD_MIN"), .def = "8", .min = 8, .max = 64,
	  .help = "shortest password, characters" },
	{ ROW(password_denylist_file, "PASSWORD_DENYLIST_FILE"), .def = DENYLIST_FILE, .min = 1,
	  .max = 4000,
	  .help = "a file of passwords that are refused in whatever case, one a line, in the order of `LC_ALL=C sort -u`; `/dev/null`: none" },
	{ ROW(bcrypt_cost, "BCRYPT_COST"), .def = "12", .min = 4, .max = 15,
	  .help = "cost of a password's hash; below 10 only with `USHER_ENV=test`" },
	{ ROW(rate_login_account, "RATE_LOGIN_ACCOUNT"), .def = "10/60", .rule = rule_rate,
	  .help = "logins tried for one address of mail, " RATE_FORM },
	{ ROW(rate_login_ip, "RATE_LOGIN_IP"), .def = "60/60", .rule = rule_rate,
	  .help = "logins tried by one client (an IPv4 address, an IPv6 /64), " RATE_FORM },
	{ ROW(rate_signup_ip, "RATE_SIGNUP_IP"), .def = "20/3600", .rule = rule_rate,
	  .help = "sign-ups tried by one client, " RATE_FORM },
	{ ROW(rate_forgot_account, "RATE_FORGOT_ACCOUNT"), .def = "5/3600", .rule = rule_rate,
	  .help = "mails asked for to reset one account's password, " RATE_FORM },
	{ ROW(rate_email_account, "RATE_EMAIL_ACCOUNT"), .def = "5/3600", .rule = rule_rate,
	  .help = "changes of address tried by one user who is no admin, " RATE_FORM },
	{ ROW(cache_ttl_seconds, "CACHE_TTL_SECONDS"), .def = "3600", .min = 1, .max = 86400,
	  .help = "how long Redis may answer for a user, seconds, spread by 10 %" },
	{ ROW(cache_write_strategy, "CACHE_WRITE_STRATEGY"), .def = "write_through",
	  .choices = "write_through invalidate",
	  .help = "what a change does to the cached user: put the new one, or mark the old one stale" },
	{ ROW(flush_interval_ms, "FLUSH_INTERVAL_MS"), .def = "1000", .min = 20, .max = 60000,
	  .help = "the longest that a change written behind waits in Redis, ms" },
	{ ROW(flush_batch, "FLUSH_BATCH"), .def = "500", .min = 1, .max = 5000,
	  .help = "users written to PostgreSQL in one statement" },
	{ ROW(flush_backlog, "FLUSH_BACKLOG"), .def = "100000", .min = 0, .max = 10000000,
	  .help = "users whose changes may wait in Redis; beyond that changes are made at once; 0: nothing is written behind" },
	{ ROW(cors_allow_origins, "CORS_ALLOW_ORIGINS"), .def = "*", .rule = rule_origins,
	  .help = "origins that browsers may call from, separated by commas; `*`: any, without credentials" },
	{ ROW(smtp_url, "SMTP_URL"), .secret = true, .rule = rule_smtp,
	  .help = "the mail server, `smtp://[user:pw@]host[:port]` or `smtps://…`; without one mails are logged and kept" },
	{ ROW(smtp_starttls, "SMTP_STARTTLS"), .def = "required", .choices = "required if_offered",
	  .help = "of `smtp://`: whether mail may go in plain to a server that offers no TLS; a login never does" },
	{ ROW(smtp_ca_file, "SMTP_CA_FILE"), .min = 1, .max = 4000,
	  .help = "certificates (PEM) that the mail server's must lead to, in place of the system's" },
	{ ROW(smtp_timeout_seconds, "SMTP_TIMEOUT_SECONDS"), .def = "30", .min = 1, .max = 300,
	  .help = "how long handing over one mail may take, seconds" },
	{ ROW(mail_from, "MAIL_FROM"), .rule = rule_email,
	  .help = "the sender's address; must be set where `SMTP_URL` is" },
	{ ROW(public_url, "PUBLIC_URL"), .def = "http://localhost:8080", .rule = rule_web,
	  .help = "where the front end's pages are that links in mails lead to" },
	{ ROW(mail_retry_seconds, "MAIL_RETRY_SECONDS"), .def = "30", .min = 1, .max = 3600,
	  .help = "wait before a mail is tried a second time, seconds; doubled each time, to an hour" },
	{ ROW(mail_give_up_hours, "MAIL_GIVE_UP_HOURS"), .def = "48", .min = 1, .max = 720,
	  .help = "a mail that has waited so long fails with its next refusal, hours" },
	{ ROW(mail_keep_days, "MAIL_KEEP_DAYS"), .def = "30", .min = 1, .max = 3650,
	  .help = "how long mails that are over stay in `mail_outbox`, days" },
	{ ROW(processed_keep_days, "PROCESSED_KEEP_DAYS"), .def = "30", .min = 1, .max = 3650,
	  .help = "how long consumers know an event again, days; longer than Kafka keeps it" },
	{ ROW(sweep_seconds, "SWEEP_SECONDS"), .def = "60", .min = 1, .max = 86400,
	  .help = "wait between two looks for rows whose time is over, seconds" },
	{ ROW(log_level, "LOG_LEVEL"), .def = "info", .choices = "debug info warn error DEBUG INFO WARN ERROR",
	  .help = "the least that is logged" },
	{ ROW(log_format, "LOG_FORMAT"), .def = "json", .choices = "json text", .help = "the form of a line" },
	{ ROW(log_sql, "LOG_SQL"), .def = "0", .help = "log each statement's name and time, never its values" },
	{ ROW(slow_ms, "SLOW_MS"), .def = "200", .min = 0, .max = 60000,
	  .help = "statements and requests slower than this, without the hashing of passwords, are logged as warnings, ms; 0: none" },
	{ ROW(default_language, "DEFAULT_LANGUAGE"), .def = "en", .choices = "en ko",
	  .help = "of messages, where the caller names none" },
	{ ROW(usher_env, "USHER_ENV"), .def = "production", .choices = "production dev test",
	  .help = "`test` allows a low `BCRYPT_COST`" },
	{ ROW(metrics_file, "METRICS_FILE"), .def = "/dev/shm/usher.metrics", .min = 1, .max = 4000,
	  .help = "memory that all workers of one host share for their counters" },
	{ ROW(migrations_dir, "MIGRATIONS_DIR"), .def = MIGRATIONS_DIR, .min = 1, .max = 4000,
	  .help = "where `usherctl migrate` finds the migrations" });
/* clang-format on */

static void
end_with(const char *program, const char *why)
{
	fprintf(stderr, "%s: setting %s\n", program, why);
	exit(2);
}

static const struct field *
row(const char *name)
{
	return field_find(&SETTINGS, 1, name);
}

/* Rules that need two rows. */
static void
check_together(struct arena *a, const char *program, unsigned need, const struct settings *s)
{
	bool by_secret = strncmp(s->jwt_algorithm, "HS", 2) == 0;

	if ((need & NEED_TOKENS) != 0 && by_secret && s->jwt_secret_key == NULL)
		end_with(program, conf_complaint(a, row("JWT_SECRET_KEY"), NULL));
	if ((need & NEED_TOKENS) != 0 && !by_secret && s->jwt_private_key_file == NULL)
		end_with(program, conf_complaint(a, row("JWT_PRIVATE_KEY_FILE"), NULL));
	if (s->bcrypt_cost < 10 && strcmp(s->usher_env, "test") != 0)
		end_with(program,
			 conf_complaint(a, row("BCRYPT_COST"),
					arena_printf(a, "%lld", (long long)s->bcrypt_cost)));
	if (s->smtp_url != NULL && s->mail_from == NULL)
		end_with(program, conf_complaint(a, row("MAIL_FROM"), NULL));
}

void
settings_load(struct arena *a, const char *program, const char *env_file, unsigned need,
	      struct settings *out_r, struct conf_origin *origin_r)
{
	struct conf_origin origin;
	const char *why;

	if (conf_load(a, &SETTINGS, need, env_file, out_r, &origin, &why) != OK)
		end_with(program, why);
	check_together(a, program, need, out_r);
	if (origin.strangers != NULL)
		fprintf(stderr, "%s: %s: there is no setting %s; usherctl config lists them\n",
			program, env_file, origin.strangers);
	if (origin_r != NULL)
		*origin_r = origin;
}
