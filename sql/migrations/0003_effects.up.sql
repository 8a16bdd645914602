-- What the consumers of events do, and what they have done already.

CREATE TABLE processed_events (
  consumer      text NOT NULL,
  event_id      uuid NOT NULL,
  processed_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer, event_id)
);
CREATE INDEX processed_events_age ON processed_events (processed_at);

CREATE TABLE user_settings (
  user_id       bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE,
  language      text NOT NULL DEFAULT 'en' CHECK (language IN ('en', 'ko')),
  created_at    timestamptz NOT NULL DEFAULT now()
);

-- One row a day and thing counted: new_user, login, login_failed, event.
CREATE TABLE stats_daily (
  day           date NOT NULL,
  what          text NOT NULL,
  n             bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (day, what)
);

-- Mail waits here until a server has taken it; event_id and kind make it one of its kind.
CREATE TABLE mail_outbox (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id      uuid NOT NULL,
  kind          text NOT NULL,
  user_id       bigint,
  recipient     text NOT NULL,
  language      text NOT NULL DEFAULT 'en',
  state         text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'kept', 'failed')),
  attempts      integer NOT NULL DEFAULT 0,
  next_try_at   timestamptz NOT NULL DEFAULT now(),
  last_error    text,
  created_at    timestamptz NOT NULL DEFAULT now(),
  sent_at       timestamptz,
  UNIQUE (event_id, kind)
);
CREATE INDEX mail_outbox_waiting ON mail_outbox (next_try_at) WHERE state = 'waiting';
