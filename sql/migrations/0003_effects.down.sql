DROP TABLE mail_outbox;
DROP TABLE stats_daily;
DROP TABLE user_settings;
DROP TABLE processed_events;
