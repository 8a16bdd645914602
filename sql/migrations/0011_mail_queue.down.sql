DROP INDEX mail_outbox_resets;
DROP INDEX mail_outbox_unsent;
DROP INDEX mail_outbox_over;
CREATE INDEX mail_outbox_over ON mail_outbox (created_at) WHERE state <> 'waiting';
ALTER TABLE mail_outbox DROP COLUMN unsettled;
