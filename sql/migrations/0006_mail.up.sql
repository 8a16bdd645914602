-- Mail that is claimed, sent and given up; one-time tokens; which addresses are proven.

-- A token is known by its hash only, and good for one purpose and one address.
CREATE TABLE one_time_tokens (
  hash          bytea PRIMARY KEY,        -- SHA-256 of the token
  purpose       text NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
  user_id       bigint NOT NULL REFERENCES users ON DELETE CASCADE,
  address       text NOT NULL,            -- it was sent there, and dies when the user leaves it
  created_at    timestamptz NOT NULL DEFAULT now(),
  expires_at    timestamptz NOT NULL,
  used_at       timestamptz
);
CREATE INDEX one_time_tokens_of_user ON one_time_tokens (user_id, purpose);
CREATE INDEX one_time_tokens_expiring ON one_time_tokens (expires_at);

ALTER TABLE users ADD COLUMN email_verified_at timestamptz;

-- dropped: no longer wanted, its user is gone or has another address. Given up are mails that
-- have waited too long since waiting_since.
ALTER TABLE mail_outbox ADD COLUMN waiting_since timestamptz NOT NULL DEFAULT now();
ALTER TABLE mail_outbox DROP CONSTRAINT mail_outbox_state_check;
ALTER TABLE mail_outbox ADD CONSTRAINT mail_outbox_state_check
  CHECK (state IN ('waiting', 'sent', 'kept', 'failed', 'dropped'));
CREATE INDEX mail_outbox_over ON mail_outbox (created_at) WHERE state <> 'waiting';

CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
