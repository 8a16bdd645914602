-- One event after the other, each into an idle pipeline: how long from its commit until what follows
-- from it is committed too? Prints ms, a line each. Read by psql as the superuser, with times set.
SET client_min_messages = warning;
CREATE TABLE IF NOT EXISTS bench_latency (ms float8);
TRUNCATE bench_latency;
CREATE OR REPLACE PROCEDURE bench_latency(times int) LANGUAGE plpgsql AS $$
DECLARE
  id uuid;
  began timestamptz;
BEGIN
  FOR i IN 1..times LOOP
    id := gen_random_uuid();
    INSERT INTO events (event_id, event_type, user_id, data) VALUES (id, 'user_updated', i, '{"name": "Kim"}');
    INSERT INTO outbox (id, aggregateid, type, payload) VALUES (id, i::text, 'user_updated',
      json_build_object('event_id', id, 'event_type', 'user_updated', 'user_id', i, 'version', null,
        'data', '{}'::json, 'timestamp', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')));
    COMMIT;
    began := clock_timestamp();
    WHILE NOT EXISTS (SELECT FROM processed_events WHERE consumer = 'effects' AND event_id = id) LOOP
      PERFORM pg_sleep(0.0005);
      IF clock_timestamp() > began + interval '30 s' THEN RAISE 'event % was never done with', id; END IF;
    END LOOP;
    INSERT INTO bench_latency VALUES (extract(epoch FROM clock_timestamp() - began) * 1000);
    COMMIT;
    PERFORM pg_sleep(0.05 + random() * 0.1); -- idle again, for no fixed time
  END LOOP;
END $$;
CALL bench_latency(:times);
SELECT ms FROM bench_latency ORDER BY ms;
