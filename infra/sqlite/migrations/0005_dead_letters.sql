-- A dead letter on the bus keeps where, why and when it died. `deliveries` begins anew in the queue of the dead.
ALTER TABLE bus_messages ADD COLUMN died_in TEXT;
ALTER TABLE bus_messages ADD COLUMN died_of TEXT;
ALTER TABLE bus_messages ADD COLUMN died_at INTEGER;
ALTER TABLE bus_messages ADD COLUMN died_after INTEGER NOT NULL DEFAULT 0;
UPDATE bus_messages SET died_of = CASE why_dead WHEN 'expired' THEN 'expired' ELSE 'rejected' END,
    why_dead = nullif(why_dead, 'expired'), died_after = deliveries, deliveries = 0
    WHERE queue = 'history.dead-letters';
CREATE INDEX bus_messages_by_expiry ON bus_messages (expires_at) WHERE expires_at IS NOT NULL;

-- What nobody could handle, until an operator decides. The newest is the one that died last.
CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    died_at INTEGER NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX dead_letters_by_death ON dead_letters (died_at DESC, id DESC);
CREATE INDEX dead_letters_by_status ON dead_letters (status, died_at DESC, id DESC);
