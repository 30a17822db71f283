-- What is remembered about people, and what the site knows.
-- Both are found by FTS5, whose rows the program writes beside theirs: triggers may not, because the handles run with
-- trusted_schema off. Their vectors, where a provider makes them, stand in tables of their own, so that
-- the facts themselves stay on few pages.

CREATE TABLE memories (
    id         INTEGER PRIMARY KEY,
    public_id  TEXT NOT NULL UNIQUE,      -- mem_...
    scope      TEXT NOT NULL,             -- one word for whom it is about: user_id, or the owner himself
    owner_kind TEXT NOT NULL,             -- none | visitor | key | login
    owner_id   TEXT NOT NULL DEFAULT '',
    user_id    TEXT NOT NULL DEFAULT '',  -- '' = about the owner himself
    fact       TEXT NOT NULL,
    plain      TEXT NOT NULL,             -- its words alone, to find duplicates
    importance INTEGER NOT NULL,          -- 0 to 100
    origin     TEXT NOT NULL,             -- client | model
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX memories_scope ON memories (scope, importance, updated_ms);
CREATE INDEX memories_owner ON memories (owner_kind, owner_id);
CREATE INDEX memories_user ON memories (user_id) WHERE user_id <> '';

-- What a fact said before it was replaced.
CREATE TABLE memory_history (
    id          INTEGER PRIMARY KEY,
    memory_id   INTEGER NOT NULL REFERENCES memories (id) ON DELETE CASCADE,
    fact        TEXT NOT NULL,
    replaced_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX memory_history_memory ON memory_history (memory_id);

CREATE TABLE memory_vectors (
    memory_id INTEGER PRIMARY KEY REFERENCES memories (id) ON DELETE CASCADE,
    model     TEXT NOT NULL,
    vector    BLOB NOT NULL               -- float32, of length 1
) STRICT;

CREATE VIRTUAL TABLE memories_fts USING fts5(scope, fact,
    tokenize = 'porter unicode61 remove_diacritics 2');

-- The site's own documents.
CREATE TABLE documents (
    id         INTEGER PRIMARY KEY,
    source     TEXT NOT NULL UNIQUE,      -- path or address that it was read from
    url        TEXT NOT NULL DEFAULT '',  -- link that visitors are shown, '' = none
    title      TEXT NOT NULL,
    hash       TEXT NOT NULL,             -- of the bytes that were read
    added_ms   INTEGER NOT NULL,
    checked_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE passages (
    id          INTEGER PRIMARY KEY,
    document_id INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    title       TEXT NOT NULL,            -- the document's
    heading     TEXT NOT NULL,            -- the headings above it
    body        TEXT NOT NULL
) STRICT;

CREATE INDEX passages_document ON passages (document_id);

CREATE TABLE passage_vectors (
    passage_id INTEGER PRIMARY KEY REFERENCES passages (id) ON DELETE CASCADE,
    model      TEXT NOT NULL,
    signs      BLOB NOT NULL,             -- a bit per number: is it more than 0
    vector     BLOB NOT NULL
) STRICT;

-- The signs of all stand close together here; the vectors fill a page each.
CREATE INDEX passage_vectors_signs ON passage_vectors (model, signs);

CREATE VIRTUAL TABLE passages_fts USING fts5(title, heading, body,
    tokenize = 'porter unicode61 remove_diacritics 2');

-- In how many passages a word is.
CREATE VIRTUAL TABLE passages_vocab USING fts5vocab(passages_fts, row);

-- The passages that an answer was given, as its readers are told: [{title, url}].
CREATE TABLE message_sources (
    message_id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    sources    TEXT NOT NULL
) STRICT;
