DROP INDEX users_email_trigrams;
DROP TRIGGER users_keep_names ON users;
DROP TRIGGER users_keep_names_new ON users;
DROP FUNCTION users_keep_names();
DROP TABLE user_names;
DROP FUNCTION search_grams(text);
DROP FUNCTION search_key(text);
DROP EXTENSION pg_trgm;
