-- Flows over more than one store: how far each has come, so that whoever finds it can go on with it.
CREATE TABLE sagas (
  id            uuid PRIMARY KEY,
  kind          text NOT NULL,
  state         text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'undoing', 'done', 'undone')),
  step          integer NOT NULL,         -- how many of its steps are done
  steps         jsonb NOT NULL,           -- what is told of each: name, state, at, tries, error
  user_id       bigint NOT NULL,          -- whom it made, and who may be gone
  data          jsonb,                    -- what the steps ahead need; null when it is over
  claim         bigint NOT NULL DEFAULT 1, -- goes up with who has it: only the last may move it
  tries         integer NOT NULL DEFAULT 1, -- of this step, or of undoing
  due_at        timestamptz NOT NULL,     -- from then on anybody may take it
  request_id    text,
  traceparent   text,
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sagas_due ON sagas (due_at) WHERE state IN ('running', 'undoing');
CREATE INDEX sagas_running_of_user ON sagas (user_id) WHERE state = 'running';
CREATE INDEX sagas_over ON sagas (updated_at) WHERE state IN ('done', 'undone');

-- What was answered for a saga is taken back when the saga is undone.
CREATE INDEX idempotency_keys_of_user ON idempotency_keys (user_id) WHERE user_id IS NOT NULL;
