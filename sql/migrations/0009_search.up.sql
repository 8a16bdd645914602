-- Finding users by name, nickname and address, in any language's letters.
--
-- What is searched is a key: lower case, without accents, composed (NFC). Keys of names lie in
-- a table of their own, so that a change of anything else touches none of these indexes.
CREATE EXTENSION pg_trgm;

CREATE FUNCTION search_key(x text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN btrim(normalize(regexp_replace(normalize(lower(x), NFD), '[\u0300-\u036f]+', '', 'g'), NFC));

-- Every letter and every two neighbours: what finds a Hangul syllable or two, where three letters
-- are a whole name and a trigram index has nothing to go by.
CREATE FUNCTION search_grams(key text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(SELECT DISTINCT substr(key, at, n)
             FROM generate_series(1, char_length(key)) at, generate_series(1, 2) n);

CREATE TABLE user_names (
  user_id       bigint NOT NULL REFERENCES users ON DELETE CASCADE,
  field         text NOT NULL CHECK (field IN ('name', 'nickname')),
  key           text COLLATE "C" NOT NULL,
  PRIMARY KEY (user_id, field)
) WITH (fillfactor = 80);

CREATE FUNCTION users_keep_names() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO user_names (user_id, field, key)
  SELECT NEW.id, field, search_key(value)
  FROM (VALUES ('name', NEW.name), ('nickname', NEW.nickname)) x (field, value) WHERE value IS NOT NULL
  ON CONFLICT (user_id, field) DO UPDATE SET key = EXCLUDED.key WHERE user_names.key <> EXCLUDED.key;
  IF NEW.nickname IS NULL THEN
    DELETE FROM user_names WHERE user_id = NEW.id AND field = 'nickname';
  END IF;
  RETURN NULL;
END $$;

INSERT INTO user_names (user_id, field, key)
SELECT id, field, search_key(value)
FROM users, LATERAL (VALUES ('name', name), ('nickname', nickname)) x (field, value) WHERE value IS NOT NULL;

CREATE TRIGGER users_keep_names_new AFTER INSERT ON users
  FOR EACH ROW EXECUTE FUNCTION users_keep_names();
CREATE TRIGGER users_keep_names AFTER UPDATE OF name, nickname ON users
  FOR EACH ROW WHEN (NEW.name <> OLD.name OR NEW.nickname IS DISTINCT FROM OLD.nickname)
  EXECUTE FUNCTION users_keep_names();

-- New entries wait in a short list: a change is cheap, and a search does not wade through much.
CREATE INDEX user_names_key ON user_names (key, user_id);
CREATE INDEX user_names_trigrams ON user_names USING gin (key gin_trgm_ops)
  WITH (gin_pending_list_limit = 512);
CREATE INDEX user_names_grams ON user_names USING gin (search_grams(key))
  WITH (gin_pending_list_limit = 512);
CREATE INDEX users_email_trigrams ON users USING gin (lower(email COLLATE "C") gin_trgm_ops)
  WITH (gin_pending_list_limit = 512);
