-- Times are milliseconds since the epoch, UTC. Records that are only ever read whole are kept as JSON beside what is searched.
CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE INDEX sessions_by_account ON sessions (account_id);

CREATE TABLE session_tokens (
    hash TEXT PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    replaced_at INTEGER
) STRICT;
CREATE INDEX session_tokens_by_session ON session_tokens (session_id, place);

CREATE TABLE chats (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    title TEXT NOT NULL,
    model TEXT NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0,
    archived INTEGER NOT NULL DEFAULT 0,
    folder_id TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE INDEX chats_by_owner ON chats (owner, updated_at DESC, id DESC) WHERE deleted_at IS NULL;

CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    chat_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    generation_id TEXT,
    role TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX messages_by_chat ON messages (chat_id, id);
CREATE INDEX messages_by_generation ON messages (generation_id) WHERE generation_id IS NOT NULL;

CREATE TABLE models (
    name TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT;

CREATE TABLE backend_health (
    name TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT;

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT;
