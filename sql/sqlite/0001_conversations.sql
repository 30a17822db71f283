-- Conversations and their messages. Owners, limits and the rest of the tables come with later files.
-- Words such as role, status and contract have no CHECK: the program owns those vocabularies, and a new
-- word must not need a rebuilt table.

-- "Prly": this file is ours.
PRAGMA application_id = 1349676153;

CREATE TABLE conversations (
    id           INTEGER PRIMARY KEY,
    public_id    TEXT NOT NULL UNIQUE,  -- conv_... or session_...; knowing it is the right to it
    contract     TEXT NOT NULL,         -- the dialect that began it
    owner_kind   TEXT NOT NULL,         -- none | visitor | key | login
    owner_id     TEXT NOT NULL DEFAULT '',
    user_id      TEXT,                  -- picked by a client; belongs to this row's owner
    title        TEXT,
    user_context TEXT,                  -- JSON
    created_ms   INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL       -- the newest question; a session's time to live counts from here
) STRICT;

-- A user_id is one conversation, whoever its owner is.
CREATE UNIQUE INDEX conversations_user ON conversations (user_id) WHERE user_id IS NOT NULL;

-- content is the last column, so that reading the others never walks a long answer's overflow pages.
CREATE TABLE messages (
    id                INTEGER PRIMARY KEY,
    public_id         TEXT NOT NULL UNIQUE,
    conversation_id   INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    role              TEXT NOT NULL,               -- user | assistant
    status            TEXT NOT NULL,               -- streaming | complete | stopped | interrupted | failed
    reply_to          INTEGER,                     -- an answer's question; no foreign key: both die together
    client_message_id TEXT,                        -- of a question; makes a send idempotent
    writer            TEXT,                        -- the worker that writes this answer
    lease_until_ms    INTEGER,                     -- NULL once the writer itself ended it
    stop_requested    INTEGER NOT NULL DEFAULT 0,
    provider          TEXT,
    model             TEXT,
    finish            TEXT,
    error_code        TEXT,
    prompt_tokens     INTEGER,                     -- all NULL: the provider said nothing
    completion_tokens INTEGER,
    total_tokens      INTEGER,
    cached_tokens     INTEGER,
    reasoning_tokens  INTEGER,
    tokens_estimated  INTEGER NOT NULL DEFAULT 0,
    created_ms        INTEGER NOT NULL,
    updated_ms        INTEGER NOT NULL,
    content           TEXT NOT NULL
) STRICT;

-- History in order: the row id follows in every index entry by itself.
CREATE INDEX messages_history ON messages (conversation_id);

CREATE UNIQUE INDEX messages_client ON messages (client_message_id, conversation_id)
    WHERE client_message_id IS NOT NULL;

-- Small however long the history grows: running answers, and those that somebody asked to stop.
CREATE INDEX messages_running ON messages (lease_until_ms) WHERE status = 'streaming';
CREATE INDEX messages_stopping ON messages (writer) WHERE stop_requested = 1 AND status = 'streaming';

-- One row that the health check writes, so that a full disk or a read-only file system shows.
CREATE TABLE health (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    token      INTEGER NOT NULL,
    written_ms INTEGER NOT NULL
) STRICT;
