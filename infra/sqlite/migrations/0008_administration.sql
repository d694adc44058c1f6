-- What administrators order. The newest is the one that was asked for last.
CREATE TABLE commands (
    id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    model TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    ended_at INTEGER,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX commands_by_time ON commands (asked_at DESC, id DESC);
CREATE INDEX commands_by_status ON commands (status, asked_at DESC, id DESC);
CREATE INDEX commands_by_model ON commands (model, asked_at DESC, id DESC);
CREATE INDEX commands_by_end ON commands (ended_at) WHERE ended_at IS NOT NULL;

-- What is to be done. Held by `holder` until `until`, milliseconds since the epoch, UTC; 0: by nobody.
CREATE TABLE steps (
    key TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    wanted INTEGER NOT NULL,
    holder TEXT,
    until INTEGER NOT NULL DEFAULT 0,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX steps_by_age ON steps (created_at, key);
CREATE INDEX steps_by_model ON steps (model);

-- The last epoch that any step was taken under: a key that comes again never sees an old one.
CREATE TABLE step_epoch (last INTEGER NOT NULL) STRICT;
INSERT INTO step_epoch (last) VALUES (0);

-- Who did what.
CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (at DESC, id DESC);
CREATE INDEX audit_by_actor ON audit (actor, at DESC, id DESC);
CREATE INDEX audit_by_action ON audit (action, at DESC, id DESC);
CREATE INDEX audit_by_subject ON audit (subject, at DESC, id DESC);
