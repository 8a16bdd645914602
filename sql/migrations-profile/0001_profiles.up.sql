-- The second store: what users say of themselves, and the events of it on their way to the first.
--
-- usherctl sets usher.service_role to the role that the service connects as.
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC;
DO $$ BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', current_setting('usher.service_role'));
  EXECUTE format('ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I',
                 current_setting('usher.service_role'));
END $$;

CREATE TABLE profiles (
  user_id       bigint PRIMARY KEY,       -- of users, in the other database
  bio           text CHECK (char_length(bio) <= 1000),
  avatar_url    text,
  locale        text,
  timezone      text,
  links         jsonb NOT NULL DEFAULT '[]',
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now()
);

-- Written with the change, removed when the event store of the first database has it.
CREATE TABLE profile_outbox (
  seq           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id      uuid NOT NULL,
  event_type    text NOT NULL,
  user_id       bigint NOT NULL,
  data          jsonb NOT NULL,
  request_id    text,
  attempt_id    text,
  traceparent   text
);
