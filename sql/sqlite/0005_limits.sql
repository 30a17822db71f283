-- How much somebody may still ask: questions per window of time, tokens per day.
-- bucket says who is counted: visitor:ID, login:ID, key:NAME, stranger:NETWORK, address:NETWORK; in
-- token_days also all.

-- A window begins with its first question and lasts window_ms. What has ended is only in the way, and is
-- removed as new windows begin.
CREATE TABLE rate_windows (
    id        INTEGER PRIMARY KEY,
    bucket    TEXT NOT NULL,
    window_ms INTEGER NOT NULL,
    ends_ms   INTEGER NOT NULL,
    used      INTEGER NOT NULL,
    UNIQUE (bucket, window_ms)
) STRICT;

CREATE INDEX rate_windows_ends ON rate_windows (ends_ms);

-- tokens: spent, and reserved by answers that have not ended. Days count from 1970, UTC.
CREATE TABLE token_days (
    day    INTEGER NOT NULL,
    bucket TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    PRIMARY KEY (day, bucket)
) STRICT, WITHOUT ROWID;

-- What an answer has reserved of which budget. Its end replaces that by what it has spent. If the writer dies,
-- nobody knows what the provider did, and the reservation stays in token_days as spent.
CREATE TABLE token_reservations (
    message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    bucket     TEXT NOT NULL,
    day        INTEGER NOT NULL,
    tokens     INTEGER NOT NULL,
    PRIMARY KEY (message_id, bucket)
) STRICT, WITHOUT ROWID;

CREATE INDEX token_reservations_bucket ON token_reservations (bucket, day);
