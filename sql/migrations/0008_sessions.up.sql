-- Refresh tokens know their family, and copies of sessions in Redis the time that they are of.

ALTER TABLE sessions
  ADD COLUMN family_hash   bytea UNIQUE,  -- SHA-256 of what all refresh tokens of the session begin with
  ADD COLUMN successor     bytea,         -- the current token, sealed with its predecessor
  ADD COLUMN ended_attempt text;          -- nginx's id of the request that ended it

-- One row. A copy in Redis bears the epoch in which it was written and is worth nothing in
-- another. A new one begins when Redis begins a new life, and when a change could not be told to it.
CREATE TABLE session_epoch (
  only_one      boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  epoch         bigint NOT NULL DEFAULT 1,
  redis_life    text NOT NULL DEFAULT ''
);
INSERT INTO session_epoch DEFAULT VALUES;

-- Whether an active admin is left is asked at each change of an admin.
CREATE INDEX users_admins ON users (id) WHERE role = 'admin' AND status = 'active';
