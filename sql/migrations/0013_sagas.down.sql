DROP INDEX idempotency_keys_of_user;
DROP TABLE sagas;
