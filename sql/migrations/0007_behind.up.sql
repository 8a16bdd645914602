-- Write-behind: how many changes of a user that were first kept in Redis are in the row; and, by
-- field, when (ms since 1970) it was changed by somebody who could not ask Redis for such changes.
ALTER TABLE users
  ADD COLUMN behind bigint NOT NULL DEFAULT 0,
  ADD COLUMN blind  jsonb;
