-- What answers cost, answers that can be given again, and the pictures of questions.

-- The first answer to a question, under a hash of all that it depends on. The text stays in the message, so
-- that erasing the conversation erases it here too.
CREATE TABLE response_cache (
    key        TEXT PRIMARY KEY,
    message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX response_cache_message ON response_cache (message_id);
CREATE INDEX response_cache_expires ON response_cache (expires_ms);

-- Costs are in billionths of the currency that the prices of the configuration are in.
CREATE TABLE usage_by_day (
    day               TEXT NOT NULL,      -- 2026-01-02, UTC
    provider          TEXT NOT NULL,      -- that really answered
    model             TEXT NOT NULL,
    answers           INTEGER NOT NULL,
    cached_answers    INTEGER NOT NULL,   -- of these, from response_cache
    estimated_answers INTEGER NOT NULL,   -- of these, with tokens that we had to estimate
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    reasoning_tokens  INTEGER NOT NULL,
    cost_nano         INTEGER NOT NULL,
    PRIMARY KEY (day, provider, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_by_conversation (
    conversation_id   INTEGER PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
    answers           INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_nano         INTEGER NOT NULL
) STRICT;

CREATE TABLE pictures (
    id         INTEGER PRIMARY KEY,       -- their order within a message
    message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    mime       TEXT NOT NULL,
    base64     TEXT NOT NULL
) STRICT;

CREATE INDEX pictures_message ON pictures (message_id);

-- What a provider said when it was asked for its models.
CREATE TABLE discovered_models (
    provider   TEXT PRIMARY KEY,
    models     TEXT NOT NULL DEFAULT '',   -- separated by line breaks
    checked_ms INTEGER NOT NULL            -- when somebody last began to ask
) STRICT, WITHOUT ROWID;
