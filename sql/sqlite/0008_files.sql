-- Pictures get names, so that one can be put once and used in many questions; and who came without a cookie.

-- A picture, by whoever put it. One that no question shows is an upload; one that a question shows stays
-- as long as the question. base64 is the last column, so that reading the others walks no overflow pages.
CREATE TABLE files (
    id         INTEGER PRIMARY KEY,
    public_id  TEXT NOT NULL UNIQUE,      -- file_...
    owner_kind TEXT NOT NULL,
    owner_id   TEXT NOT NULL DEFAULT '',
    mime       TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    base64     TEXT NOT NULL
) STRICT;

CREATE INDEX files_owner ON files (owner_kind, owner_id);
CREATE INDEX files_age ON files (created_ms);

INSERT INTO files (id, public_id, owner_kind, owner_id, mime, created_ms, base64)
SELECT p.id, 'file_' || lower(hex(randomblob(16))), c.owner_kind, c.owner_id, p.mime, m.created_ms, p.base64
FROM pictures AS p JOIN messages AS m ON m.id = p.message_id JOIN conversations AS c ON c.id = m.conversation_id;

CREATE TABLE shown (
    id         INTEGER PRIMARY KEY,       -- their order within a message
    message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    file_id    INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE
) STRICT;

INSERT INTO shown (id, message_id, file_id) SELECT id, message_id, id FROM pictures;
DROP TABLE pictures;
ALTER TABLE shown RENAME TO pictures;
CREATE INDEX pictures_message ON pictures (message_id);
CREATE INDEX pictures_file ON pictures (file_id);

-- A picture goes with the last question that shows it.
CREATE TRIGGER pictures_files AFTER DELETE ON pictures BEGIN
    DELETE FROM files WHERE id = old.file_id
        AND NOT EXISTS (SELECT 1 FROM pictures WHERE file_id = old.file_id);
END;

-- 1: made by a question that came without a cookie, whose reply may have been lost with the cookie in it.
ALTER TABLE visitors ADD COLUMN newcomer INTEGER NOT NULL DEFAULT 0;
