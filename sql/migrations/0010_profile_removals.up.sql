-- Users that are gone, whose profiles the other database may still hold: noted with the deletion,
-- forgotten when the profile is gone too.
CREATE TABLE profile_removals (
  user_id       bigint PRIMARY KEY,
  created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION users_note_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO profile_removals (user_id) VALUES (OLD.id) ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER users_note_removal AFTER DELETE ON users
  FOR EACH ROW EXECUTE FUNCTION users_note_removal();
