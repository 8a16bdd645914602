DROP TABLE profile_outbox;
DROP TABLE profiles;
DO $$ BEGIN
  EXECUTE format('ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM %I',
                 current_setting('usher.service_role'));
  EXECUTE format('REVOKE USAGE ON SCHEMA public FROM %I', current_setting('usher.service_role'));
END $$;
