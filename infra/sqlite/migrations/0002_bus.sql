-- Messages waiting in queues of the embedded platform. `taken`: by a consumer of the running process.
CREATE TABLE bus_messages (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    envelope TEXT NOT NULL,
    body BLOB NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 0,
    taken INTEGER NOT NULL DEFAULT 0,
    expires_at INTEGER,
    why_dead TEXT
) STRICT;
CREATE INDEX bus_messages_by_queue ON bus_messages (queue, taken, place);
