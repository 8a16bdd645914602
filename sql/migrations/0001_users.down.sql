DROP TABLE outbox;
DROP TABLE events;
DROP FUNCTION events_are_kept();
DROP TABLE sessions;
DROP TABLE user_activities;
DROP TABLE users;
DROP FUNCTION users_count_version();
DO $$ BEGIN
  EXECUTE format('ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM %I',
                 current_setting('usher.service_role'));
  EXECUTE format('REVOKE USAGE ON SCHEMA public FROM %I', current_setting('usher.service_role'));
END $$;
