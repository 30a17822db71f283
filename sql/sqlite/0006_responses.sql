-- The Responses app: the items of its turns, and the Google accounts that browsers have connected.

-- What went in and came out of a turn, as the JSON that it was. Belongs to the question or the answer.
CREATE TABLE items (
    id              INTEGER PRIMARY KEY,
    message_id      INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    item_id         TEXT,                -- as the model's side named it; NULL where it has none
    json            TEXT NOT NULL
) STRICT;

CREATE INDEX items_message ON items (message_id);
CREATE INDEX items_conversation ON items (conversation_id);
-- A front end sends the whole history back: the ids in it tell which conversation goes on.
CREATE INDEX items_item ON items (item_id) WHERE item_id IS NOT NULL;

-- Tokens are sealed with a key that is not in here; the session's id is kept as a hash.
CREATE TABLE oauth_sessions (
    session_hash TEXT PRIMARY KEY,
    owner_kind   TEXT NOT NULL,
    owner_id     TEXT NOT NULL DEFAULT '',
    sealed       TEXT NOT NULL,
    updated_ms   INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX oauth_sessions_owner ON oauth_sessions (owner_kind, owner_id);
CREATE INDEX oauth_sessions_age ON oauth_sessions (expires_ms);

-- Whoever erases himself, or is forgotten, takes his tokens along.
CREATE TRIGGER visitors_oauth AFTER DELETE ON visitors BEGIN
    DELETE FROM oauth_sessions WHERE owner_kind = 'visitor' AND owner_id = old.id;
END;
