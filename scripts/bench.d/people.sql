-- Adds people with names of several languages until there are :people users. Read by psql as the
-- superuser. Indexes of words are made anew after it, which takes a tenth of the time.
BEGIN;
CREATE TEMP TABLE word_index ON COMMIT DROP AS
SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE '% USING gin %';
SELECT format('DROP INDEX public.%I', indexname) FROM word_index \gexec
ALTER TABLE users DISABLE TRIGGER users_keep_names_new;
SELECT setseed(0.5);
INSERT INTO users (name, nickname, email, password_hash)
SELECT CASE n % 4
    WHEN 0 THEN (ARRAY['José', 'Maria', 'John', 'Anna', 'Zoë', 'François', 'Björn', 'Müller'])[1 + n / 4 % 8] || ' ' || substr(md5(n::text), 1, 6)
    ELSE substr('김이박최정강조윤장임한오서신권황안송류홍', 1 + (random() * random() * 19.9)::int, 1)
      || substr('민서지우도윤하은준호예성현시연재수아영길동진혁태', 1 + (random() * 23.9)::int, 1)
      || substr('민서지우도윤하은준호예성현시연재수아영길동진혁태', 1 + (random() * 23.9)::int, 1) END,
  CASE n % 3 WHEN 0 THEN '길동' WHEN 1 THEN substr(md5((n * 7)::text), 1, 8) END,
  'person' || n || '@people.example', 'x'
FROM generate_series(1, :people - (SELECT count(*) FROM users)) n;
INSERT INTO user_names (user_id, field, key)
SELECT id, field, search_key(value)
FROM users, LATERAL (VALUES ('name', name), ('nickname', nickname)) x (field, value)
WHERE value IS NOT NULL ON CONFLICT DO NOTHING;
ALTER TABLE users ENABLE TRIGGER users_keep_names_new;
SELECT indexdef FROM word_index \gexec
COMMIT;
VACUUM ANALYZE users, user_names;
