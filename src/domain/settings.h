/*
 * settings: every setting of every program, one row each.
 *
 * From the table come reading, checking, `usherctl config` and the README's list.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "conf.h"

struct settings {
	const char *database_url, *database_sync_url, *profile_database_url,
		*profile_database_sync_url;
	const char *redis_url;
	const char *kafka_bootstrap_servers, *kafka_topic, *kafka_group_id;
	const char *jwt_secret_key, *jwt_secret_key_old, *jwt_algorithm;
	const char *jwt_private_key_file, *jwt_keys_dir;
	int64_t jwt_expire_minutes, refresh_expire_days;
	int64_t password_min;
	const char *password_denylist_file;
	int64_t bcrypt_cost;
	const char *rate_login_account, *rate_login_ip, *rate_signup_ip, *rate_forgot_account,
		*rate_email_account;
	int64_t cache_ttl_seconds;
	const char *cache_write_strategy;
	int64_t flush_interval_ms, flush_batch, flush_backlog;
	const char *cors_allow_origins;
	const char *smtp_url, *smtp_ca_file, *smtp_starttls;
	int64_t smtp_timeout_seconds;
	const char *mail_from, *public_url;
	int64_t mail_retry_seconds, mail_give_up_hours, mail_keep_days;
	int64_t processed_keep_days, sweep_seconds;
	const char *log_level, *log_format;
	bool log_sql;
	int64_t slow_ms;
	const char *default_language;
	const char *usher_env, *metrics_file, *migrations_dir;
};

/* "10/60": ten in a minute; *count_r 0 for "0", which is off. False for anything else. */
bool settings_rate(const char *text, int64_t *count_r, int64_t *seconds_r);

/* Who needs a value where there is no default. */
enum { NEED_DATABASE = 1, NEED_TOKENS = 2 };

extern const struct shape SETTINGS;

/* Read them; a value that is missing or not allowed ends the program with one line on
 * standard error and status 2. The arena must outlive the result. `origin_r` may be NULL. */
void settings_load(struct arena *a, const char *program, const char *env_file, unsigned need,
		   struct settings *out_r, struct conf_origin *origin_r);

#endif
