/*
 * store_sqlite_care: what an administrator does to the database: check it, copy it while it runs.
 */
#include "common/store/store_sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/store/db_file.h"

bool store_check(struct store *store, void (*line)(void *ctx, const char *text), void *ctx)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    char version[64];
    bool sound = true, seen = false;

    if (db == NULL) {
        line(ctx, db_status_name(status));
        return false;
    }
    stmt = db_prepare(db, "PRAGMA integrity_check");
    while (db_step(stmt)) {
        const char *finding = db_text(stmt, 0, NULL);

        seen = true;
        sound = sound && finding != NULL && strcmp(finding, "ok") == 0;
        line(ctx, finding != NULL ? finding : "?");
    }
    stmt = db_prepare(db, "PRAGMA foreign_key_check");
    while (db_step(stmt)) {
        sound = false;
        line(ctx, "a row refers to one that does not exist");
    }
    snprintf(version, sizeof version, "schema version %lld",
             (long long)db_exec_int(db, "PRAGMA user_version", -1));
    line(ctx, version);
    return db_readers_return(store->readers, db) == DB_OK && sound && seen;
}

enum result store_backup(struct store *store, const char *path, struct fault *fault)
{
    enum db_status status;
    struct db_stmt *stmt;
    struct db *db;
    int error;

    /* VACUUM INTO takes an empty file, and would make one that everybody may read. */
    error = db_file_create_new(path);
    if (error != 0)
        return fault_set(fault, RESULT_INVALID, "file_not_made", NULL, "%s: %s.",
                         error == EEXIST ? "A backup never overwrites a file"
                                         : "The file cannot be made",
                         error == EEXIST ? "this one exists already" : strerror(error));
    db = db_open(&store->write_options, &status); /* a reader may not VACUUM */
    if (db == NULL) {
        unlink(path);
        return store_sqlite_fault(fault, status);
    }
    stmt = db_prepare(db, "VACUUM INTO :path");
    db_bind_text(stmt, ":path", path);
    db_run(stmt);
    status = db_status(db);
    db_close(db);
    if (status == DB_OK)
        return RESULT_OK;
    unlink(path);
    return store_sqlite_fault(fault, status);
}
