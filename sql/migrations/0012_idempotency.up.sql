-- The first answer to a request that bore an Idempotency-Key, written with the change.
CREATE TABLE idempotency_keys (
  caller        text NOT NULL,            -- a user, or an address for who is nobody yet
  key           text NOT NULL,            -- the SHA-256 of it
  request_hash  text NOT NULL,            -- of the key itself, method, path and body
  status        integer,
  user_id       bigint,                   -- whom the answer made, if anybody
  version       bigint,
  body          text,
  created_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
