-- How often in a row a mail was taken by a sender that then said nothing of it: one that ends its
-- sender must not come back for ever. Over is a mail since it was settled, not since it was made.
ALTER TABLE mail_outbox ADD COLUMN unsettled integer NOT NULL DEFAULT 0;

DROP INDEX mail_outbox_over;
CREATE INDEX mail_outbox_over ON mail_outbox (next_try_at) WHERE state <> 'waiting';
CREATE INDEX mail_outbox_unsent ON mail_outbox (id) WHERE state <> 'sent';
CREATE INDEX mail_outbox_resets ON mail_outbox (user_id) WHERE kind = 'reset_password' AND state <> 'sent';
