-- Wrong passwords in a row, apart from users: they make no new version of anybody.
CREATE TABLE login_failures (
  user_id       bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE,
  failed        integer NOT NULL,         -- since the last login, or since the last lock ended
  locked_until  timestamptz               -- no password is right before that
);
