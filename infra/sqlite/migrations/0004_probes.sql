-- Whether a model on a back-end goes on from an answer that was begun, as it was found out.
CREATE TABLE probes (
    backend TEXT NOT NULL,
    model TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (backend, model)
) STRICT;
