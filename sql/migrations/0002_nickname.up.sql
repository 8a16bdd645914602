-- The guide's exercise: one more field of the user.
ALTER TABLE users ADD COLUMN nickname text CHECK (char_length(nickname) <= 50);
