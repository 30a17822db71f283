/*
 * store_sqlite_oauth: sealed tokens of connected accounts, by the hash of a browser's session. Runs on request threads.
 */
#include "common/store/store_oauth.h"

#include "common/store/store_sqlite.h"

static bool is_there(struct db *db, const char *session_hash)
{
    struct db_stmt *stmt =
        db_prepare(db, "SELECT 1 FROM oauth_sessions WHERE session_hash = :session");
    bool found;

    db_bind_text(stmt, ":session", session_hash);
    found = db_step(stmt);
    db_reset(stmt);
    return found;
}

static enum result put(struct db *db, void *arg)
{
    const struct store_oauth *row = arg;
    struct db_stmt *stmt = db_prepare(db, "DELETE FROM oauth_sessions WHERE expires_ms < :now");

    db_bind_int(stmt, ":now", row->now_ms);
    db_run(stmt);
    if (row->again && !is_there(db, row->session_hash))
        return RESULT_NOT_FOUND;
    stmt = db_prepare(
        db, "INSERT OR REPLACE INTO oauth_sessions (session_hash, owner_kind, owner_id, sealed,"
            " updated_ms, expires_ms) VALUES (:session, :kind, :owner, :sealed, :now, :expires)");
    db_bind_text(stmt, ":session", row->session_hash);
    store_sqlite_bind_owner(stmt, row->owner);
    db_bind_text(stmt, ":sealed", row->sealed);
    db_bind_int(stmt, ":now", row->now_ms);
    db_bind_int(stmt, ":expires", row->expires_ms);
    if (!db_run(stmt))
        return RESULT_STORE_DOWN;
    store_sqlite_owner_seen(db, row->owner, row->now_ms);
    return RESULT_OK;
}

enum result store_oauth_put(struct store *store, const struct store_oauth *row)
{
    return store_sqlite_write(store, put, (void *)row, NULL);
}

enum result store_oauth_get(struct store *store, const char *session_hash, int64_t now_ms,
                            struct buf *sealed)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    const char *text;
    size_t len;
    bool found;

    if (db == NULL)
        return RESULT_STORE_DOWN;
    stmt = db_prepare(db, "SELECT sealed FROM oauth_sessions WHERE session_hash = :session"
                          " AND expires_ms >= :now");
    db_bind_text(stmt, ":session", session_hash);
    db_bind_int(stmt, ":now", now_ms);
    found = db_step(stmt);
    if (found) {
        text = db_text(stmt, 0, &len);
        buf_put(sealed, text, len);
    }
    db_reset(stmt);
    if (db_readers_return(store->readers, db) != DB_OK)
        return RESULT_STORE_DOWN;
    return found ? RESULT_OK : RESULT_NOT_FOUND;
}

static enum result remove_row(struct db *db, void *arg)
{
    struct db_stmt *stmt =
        db_prepare(db, "DELETE FROM oauth_sessions WHERE session_hash = :session");

    db_bind_text(stmt, ":session", arg);
    return db_run(stmt) ? RESULT_OK : RESULT_STORE_DOWN;
}

enum result store_oauth_remove(struct store *store, const char *session_hash)
{
    return store_sqlite_write(store, remove_row, (void *)(uintptr_t)session_hash, NULL);
}
