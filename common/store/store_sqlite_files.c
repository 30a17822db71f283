/*
 * store_sqlite_files: pictures by their names. One that a question shows lives as long as the last such question
 * (a trigger of the migration sees to it) and counts for nothing; what was only put is bounded by number
 * and age, so that nobody fills the disk with what he never asks about.
 *
 * Runs on request threads.
 */
#include "common/store/store_files.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/id.h"
#include "common/base/text.h"
#include "common/store/store_sqlite.h"

#define UNUSED "NOT EXISTS (SELECT 1 FROM pictures AS p WHERE p.file_id = files.id)"

void store_sqlite_file_insert(struct db *db, const struct owner *owner,
                              const struct chat_image *image, int64_t now_ms, char id[CAP_ID])
{
    struct db_stmt *stmt = db_prepare(
        db, "INSERT INTO files (public_id, owner_kind, owner_id, mime, created_ms, base64)"
            " VALUES (:public, :kind, :owner, :mime, :now, :base64)");

    id_make(id, "file_");
    db_bind_text(stmt, ":public", id);
    store_sqlite_bind_owner(stmt, owner);
    db_bind_text(stmt, ":mime", image->mime);
    db_bind_int(stmt, ":now", now_ms);
    db_bind_text_len(stmt, ":base64", image->base64, image->base64_len);
    db_run(stmt);
}

/* ---- putting ---- */

struct put_job {
    const struct owner *owner;
    const struct chat_image *image;
    const struct store_limits *limits;
    int64_t now_ms;
    char *id;
    struct fault *fault;
};

static enum result put_file(struct db *db, void *arg)
{
    const struct put_job *job = arg;
    enum result result = store_sqlite_charge(db, job->limits, job->now_ms, job->fault);
    struct db_stmt *stmt;

    if (result != RESULT_OK)
        return result;
    store_sqlite_owner_seen(db, job->owner, job->now_ms);
    store_sqlite_file_insert(db, job->owner, job->image, job->now_ms, job->id);
    stmt = db_prepare(db, "DELETE FROM files WHERE id IN (SELECT id FROM files"
                          " WHERE owner_kind = :kind AND owner_id = :owner AND " UNUSED
                          " ORDER BY id DESC LIMIT -1 OFFSET :most)");
    store_sqlite_bind_owner(stmt, job->owner);
    db_bind_int(stmt, ":most", STORE_FILES_MOST);
    return db_run(stmt) ? RESULT_OK : RESULT_STORE_DOWN;
}

enum result store_file_put(struct store *store, const struct owner *owner,
                           const struct chat_image *image, const struct store_limits *limits,
                           int64_t now_ms, char id[CAP_ID], struct fault *fault)
{
    struct put_job job = { owner, image, limits, now_ms, id, fault };

    return store_sqlite_write(store, put_file, &job, fault);
}

/* ---- getting ---- */

static bool copy_file(struct db_stmt *stmt, struct store_file *out)
{
    const char *base64 = db_text(stmt, 1, &out->base64_len);

    text_copy(out->mime, sizeof out->mime, db_text(stmt, 0, NULL));
    out->base64 = malloc(out->base64_len + 1);
    if (out->base64 == NULL)
        return false;
    memcpy(out->base64, base64, out->base64_len);
    out->base64[out->base64_len] = '\0';
    return true;
}

static struct db_stmt *get_statement(struct db *db, const struct owner *owner, bool own)
{
    struct db_stmt *stmt;

    if (own) {
        stmt = db_prepare(db, "SELECT mime, base64 FROM files WHERE public_id = :public"
                              " AND owner_kind = :kind AND owner_id = :owner");
        store_sqlite_bind_owner(stmt, owner);
        return stmt;
    }
    stmt = db_prepare(db, "SELECT f.mime, f.base64 FROM files AS f WHERE f.public_id = :public"
                          " AND ((f.owner_kind = :kind AND f.owner_id = :owner) OR EXISTS"
                          " (SELECT 1 FROM pictures AS p JOIN messages AS m ON m.id = p.message_id"
                          " JOIN conversations AS c ON c.id = m.conversation_id"
                          " WHERE p.file_id = f.id AND (c.user_id IS NULL OR :any"
                          " OR (c.owner_kind = :kind AND c.owner_id = :owner))))");
    store_sqlite_bind_rule(stmt, owner);
    return stmt;
}

enum result store_file_get(struct store *store, const struct owner *owner, const char *id, bool own,
                           struct store_file *out, struct fault *fault)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    bool found, copied = true;

    *out = (struct store_file){ .base64 = NULL };
    if (db == NULL)
        return store_sqlite_fault(fault, status);
    stmt = get_statement(db, owner, own);
    db_bind_text(stmt, ":public", id);
    found = db_step(stmt);
    if (found)
        copied = copy_file(stmt, out);
    db_reset(stmt);
    status = db_readers_return(store->readers, db);
    if (status == DB_OK && found && copied)
        return RESULT_OK;
    free(out->base64);
    out->base64 = NULL;
    if (status != DB_OK)
        return store_sqlite_fault(fault, status);
    if (!copied)
        return fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
    return fault_set(fault, RESULT_NOT_FOUND, "unknown_file", "file_id",
                     "This file does not exist.");
}

/* ---- what piles up ---- */

static enum result sweep(struct db *db, void *arg)
{
    struct db_stmt *stmt =
        db_prepare(db, "DELETE FROM files WHERE created_ms < :before AND " UNUSED);

    db_bind_int(stmt, ":before", *(int64_t *)arg);
    return db_run(stmt) ? RESULT_OK : RESULT_STORE_DOWN;
}

enum result store_files_sweep(struct store *store, int64_t now_ms)
{
    int64_t before_ms = now_ms - STORE_FILES_UNUSED_MS;

    return store_sqlite_write(store, sweep, &before_ms, NULL);
}
