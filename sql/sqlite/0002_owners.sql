-- Who asks: visitors, API keys; who did what: the audit log; who does the upkeep: leases.
-- Rows point to owners by (owner_kind, owner_id) without foreign keys: a login has no row anywhere.

CREATE TABLE visitors (
    id         TEXT PRIMARY KEY,          -- vis_...; the cookie carries it, signed
    created_ms INTEGER NOT NULL,
    seen_ms    INTEGER NOT NULL           -- updated at most once a day
) STRICT, WITHOUT ROWID;

CREATE INDEX visitors_seen ON visitors (seen_ms);

-- An owner's conversations, newest first; and all of them by age, for RETENTION_DAYS.
CREATE INDEX conversations_owner ON conversations (owner_kind, owner_id, updated_ms);
CREATE INDEX conversations_age ON conversations (updated_ms);

CREATE TABLE api_keys (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,             -- the owner_id of what the key makes, so that keys can be exchanged
    prefix     TEXT NOT NULL,             -- the first characters, to tell keys apart in a list
    hash       TEXT NOT NULL UNIQUE,      -- the key itself is nowhere
    created_ms INTEGER NOT NULL,
    used_ms    INTEGER,                   -- updated at most once a minute
    revoked_ms INTEGER
) STRICT;

CREATE UNIQUE INDEX api_keys_name ON api_keys (name) WHERE revoked_ms IS NULL;

CREATE TABLE audit (
    id         INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    actor_kind TEXT NOT NULL,             -- none | visitor | key | login | admin | server
    actor_id   TEXT NOT NULL DEFAULT '',
    address    TEXT NOT NULL DEFAULT '',
    action     TEXT NOT NULL,
    subject    TEXT NOT NULL DEFAULT '',  -- a name or an id, never text of a message
    count      INTEGER NOT NULL DEFAULT 0 -- of conversations, where they are what it is about
) STRICT;

CREATE INDEX audit_action ON audit (action, at_ms);
CREATE INDEX audit_age ON audit (at_ms);

-- A job that one process at a time does, and not again before until_ms.
CREATE TABLE leases (
    name     TEXT PRIMARY KEY,
    holder   TEXT NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
