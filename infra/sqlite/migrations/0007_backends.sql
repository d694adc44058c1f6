-- The registry of model servers. `record` has no key in it; `api_key` is encrypted.
CREATE TABLE backends (
    name TEXT PRIMARY KEY,
    record TEXT NOT NULL,
    api_key TEXT
) STRICT;
