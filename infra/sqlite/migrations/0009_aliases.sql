-- Second names of models, which administrators give.
CREATE TABLE aliases (
    name TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT;
