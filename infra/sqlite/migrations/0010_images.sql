-- Images that people ask with, each its owner's: two people may have the same one. Which messages refer to which stands beside the
-- messages, and goes with them.
CREATE TABLE images (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    size INTEGER NOT NULL,
    kept_until INTEGER NOT NULL,
    record TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (owner, id)
) STRICT;
CREATE INDEX images_by_owner ON images (owner, kept_until, size);

CREATE TABLE message_images (
    owner TEXT NOT NULL,
    image_id TEXT NOT NULL,
    message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    PRIMARY KEY (owner, image_id, message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_images_by_message ON message_images (message_id);
