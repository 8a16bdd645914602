-- Users, what they did, their sessions, the events and the queue to Kafka.
--
-- usherctl sets usher.service_role to the role that the service connects as; where the
-- service owns the tables itself it is the owner, who loses the same rights.

ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC;
DO $$ BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', current_setting('usher.service_role'));
  EXECUTE format('ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I',
                 current_setting('usher.service_role'));
END $$;

CREATE TABLE users (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name          text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
  email         text NOT NULL CHECK (octet_length(email) <= 255),
  password_hash text NOT NULL,
  age           integer CHECK (age BETWEEN 0 AND 150),
  phone         text CHECK (char_length(phone) <= 20),
  status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
  role          text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
  login_count   bigint NOT NULL DEFAULT 0,
  version       bigint NOT NULL DEFAULT 1,
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);

-- Only ASCII letters are folded, so that no locale makes two people one (Kelvin sign, dotted I).
CREATE UNIQUE INDEX users_email_key ON users (lower(email COLLATE "C"));

CREATE FUNCTION users_count_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.version := OLD.version + 1;
  NEW.updated_at := now();
  NEW.created_at := OLD.created_at;
  RETURN NEW;
END $$;

CREATE TRIGGER users_count_version BEFORE UPDATE ON users
  FOR EACH ROW EXECUTE FUNCTION users_count_version();

CREATE TABLE user_activities (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id       bigint NOT NULL REFERENCES users ON DELETE CASCADE,
  activity_type text NOT NULL CHECK (char_length(activity_type) BETWEEN 1 AND 100),
  description   text,
  data          jsonb,
  created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX user_activities_newest ON user_activities (user_id, id DESC);

CREATE TABLE sessions (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id       bigint NOT NULL REFERENCES users ON DELETE CASCADE,
  refresh_hash  bytea NOT NULL UNIQUE,    -- SHA-256 of the current refresh token
  parent_hash   bytea,                    -- of its direct predecessor
  rotated_at    timestamptz,
  ip            text,
  user_agent    text,
  created_at    timestamptz NOT NULL DEFAULT now(),
  last_used_at  timestamptz NOT NULL DEFAULT now(),
  expires_at    timestamptz NOT NULL,
  ended_at      timestamptz
);
CREATE INDEX sessions_of_user ON sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_expiring ON sessions (expires_at);

-- The truth for replay. Append-only: nobody changes what has happened. txid lets a reader
-- pass by what may still be followed by an earlier row that is not yet committed.
CREATE TABLE events (
  position      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  txid          xid8 NOT NULL DEFAULT pg_current_xact_id(),
  event_id      uuid NOT NULL UNIQUE,
  event_type    text NOT NULL,
  user_id       bigint,
  version       bigint,
  data          jsonb NOT NULL,
  request_id    text,
  attempt_id    text,                     -- nginx's own id of the request: one for both tries
  traceparent   text,
  created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX events_of_user ON events (user_id, version);

CREATE FUNCTION events_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'events are append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER events_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON events
  FOR EACH STATEMENT EXECUTE FUNCTION events_are_kept();

-- What still has to reach Kafka, oldest first; a row goes when Kafka has acknowledged it.
-- The columns bear the names that Debezium's outbox event router expects.
CREATE TABLE outbox (
  seq           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id            uuid NOT NULL,
  aggregatetype text NOT NULL DEFAULT 'user',
  aggregateid   text NOT NULL,            -- the message's key
  type          text NOT NULL,
  payload       json NOT NULL,            -- the message, fixed when it was written
  request_id    text,
  traceparent   text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

DO $$ BEGIN
  EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON events FROM %I',
                 current_setting('usher.service_role'));
END $$;
