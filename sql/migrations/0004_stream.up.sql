-- The event store is read in the order of transactions, whole, by type and by user.
CREATE INDEX events_in_order ON events (txid, position);
CREATE INDEX events_of_type ON events (event_type, txid, position);
CREATE INDEX events_of_user_in_order ON events (user_id, txid, position);
