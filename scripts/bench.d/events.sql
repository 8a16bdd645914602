-- :events committed events of the users 1 to :users, and their rows in the outbox, in one go: a tenth
-- are logins, the rest changes. Read by psql as the superuser.
WITH e AS (
  INSERT INTO events (event_id, event_type, user_id, data)
  SELECT gen_random_uuid(), CASE n % 10 WHEN 0 THEN 'user_login' ELSE 'user_updated' END, n % :users + 1,
    '{"name": "Kim", "age": 30, "phone": "+82 10-1234-5678"}'
  FROM generate_series(1, :events) n
  RETURNING *)
INSERT INTO outbox (id, aggregateid, type, payload, request_id)
SELECT event_id, user_id::text, event_type, json_build_object('event_id', event_id, 'event_type', event_type,
  'user_id', user_id, 'version', version, 'data', data,
  'timestamp', to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')), '0123456789abcdef'
FROM e;
