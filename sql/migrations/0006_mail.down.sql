DROP INDEX sessions_ended;
DROP INDEX mail_outbox_over;
UPDATE mail_outbox SET state = 'failed' WHERE state = 'dropped';
ALTER TABLE mail_outbox DROP CONSTRAINT mail_outbox_state_check;
ALTER TABLE mail_outbox ADD CONSTRAINT mail_outbox_state_check
  CHECK (state IN ('waiting', 'sent', 'kept', 'failed'));
ALTER TABLE mail_outbox DROP COLUMN waiting_since;
ALTER TABLE users DROP COLUMN email_verified_at;
DROP TABLE one_time_tokens;
