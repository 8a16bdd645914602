-- Users 1 to :users, each with one session of the same number. Read by psql as the superuser, with
-- users and hash (of the one password that all have) set.
BEGIN;
INSERT INTO users (id, name, email, password_hash, age, phone, nickname) OVERRIDING SYSTEM VALUE
SELECT n, 'User ' || n, 'user' || n || '@bench.example', :'hash', n % 100, '+82 10-1234-5678', 'none'
FROM generate_series(1, :users) n;
INSERT INTO sessions (id, user_id, refresh_hash, expires_at) OVERRIDING SYSTEM VALUE
SELECT n, n, sha256(n::text::bytea), now() + interval '30 days' FROM generate_series(1, :users) n;
SELECT setval(pg_get_serial_sequence('users', 'id'), :users),
       setval(pg_get_serial_sequence('sessions', 'id'), :users);
COMMIT;
VACUUM ANALYZE users;
VACUUM ANALYZE sessions;
