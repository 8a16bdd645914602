DROP INDEX users_admins;
DROP TABLE session_epoch;
ALTER TABLE sessions DROP COLUMN ended_attempt, DROP COLUMN successor, DROP COLUMN family_hash;
