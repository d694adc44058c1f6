-- A title that a person gave stays; otherwise the chat's earliest question titles it, whichever is recorded first.
ALTER TABLE chats ADD COLUMN renamed INTEGER NOT NULL DEFAULT 0;
