/*
 * migrate: see migrate.h.
 *
 * The lock is SQLite's own: whoever gets BEGIN IMMEDIATE looks at the schema version again, and the others
 * then find the work done. The backup is made meanwhile by a second handle, which reads what was there
 * before; VACUUM cannot run inside a transaction.
 *
 * Runs at start, on one thread per process.
 */
#include "common/store/migrate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/store/db_file.h"

#define APPLICATION_ID 1349676153 /* "Prly", set by the first migration */
#define PATH_SIZE      4096
/* Another worker may be copying a large database: that takes longer than an ordinary lock. */
#define LOCK_MS (120 * 1000)

static enum result cannot_open(struct fault *fault, enum db_status status)
{
    static const char *const sentences[DB_STATUS_COUNT] = {
        [DB_BUSY] = "The database is locked by another program; it was waited for in vain.",
        [DB_FULL] = "The disk of the database is full.",
        [DB_READONLY] =
            "The database cannot be written: its file, its directory and the files beside it "
            "must belong to the user that Parley runs as.",
        [DB_BROKEN] = "The database cannot be read: it is damaged, or no SQLite database at all.",
    };
    const char *sentence = sentences[status];

    return fault_set(fault, RESULT_STORE_DOWN, "store_unusable", NULL, "%s",
                     sentence != NULL ? sentence
                                      : "The database cannot be used; the log says why.");
}

static enum result cannot_create(struct fault *fault, const char *path, int error)
{
    log_error("store_create", LOG_STR("path", path), LOG_STR("error", strerror(error)));
    return fault_set(fault, RESULT_STORE_DOWN, "store_unusable", NULL,
                     "The database that DATABASE_URL names cannot be created: %s.",
                     strerror(error));
}

/* Is this a database that we may migrate, and is there something to do? */
static enum result check_version(struct db *db, int newest, int *version, struct fault *fault)
{
    int64_t tables, application;

    /* One snapshot: another worker may be migrating right now. */
    db_exec(db, "SAVEPOINT look");
    *version = (int)db_exec_int(db, "PRAGMA user_version", -1);
    application = db_exec_int(db, "PRAGMA application_id", 0);
    tables = db_exec_int(db, "SELECT count(*) FROM sqlite_schema", 0);
    db_exec(db, "RELEASE look");
    if (db_status(db) != DB_OK)
        return cannot_open(fault, db_status(db));
    if (tables > 0 && application != APPLICATION_ID)
        return fault_set(fault, RESULT_STORE_DOWN, "store_foreign", NULL,
                         "The file that DATABASE_URL names is the database of another program.");
    if (*version > newest)
        return fault_set(
            fault, RESULT_STORE_DOWN, "store_newer", NULL,
            "The database has schema version %d, this program knows only up to %d: start "
            "the newer Parley, or restore the backup made before the upgrade.",
            *version, newest);
    return RESULT_OK;
}

/* Copy what the database holds now. DB_OK or why not; then no file is left. */
static enum db_status back_up(const struct db_options *options, int version)
{
    enum db_status status = DB_FAILED;
    struct db_options reading = *options;
    struct db_stmt *stmt;
    struct db *db = NULL;
    char path[PATH_SIZE], when[CLOCK_RFC3339_SIZE], compact[CLOCK_RFC3339_SIZE];
    size_t len = 0;
    int error;

    clock_rfc3339(clock_wall_ms(), when);
    for (const char *at = when; *at != '\0'; at++)
        if (strchr("-:", *at) == NULL)
            compact[len++] = *at;
    compact[len] = '\0';
    if ((size_t)snprintf(path, sizeof path, "%s.backup-%d-%s", options->path, version, compact) >=
        sizeof path)
        return DB_FAILED;
    /* VACUUM INTO takes an empty file, and would make one that everybody may read. */
    error = db_file_create_new(path);
    if (error != 0) {
        log_error("store_backup", LOG_STR("path", path), LOG_STR("error", strerror(error)));
        return error == ENOSPC || error == EDQUOT ? DB_FULL : DB_READONLY;
    }
    db = db_open(&reading, &status);
    if (db != NULL) {
        stmt = db_prepare(db, "VACUUM INTO :path");
        db_bind_text(stmt, ":path", path);
        db_run(stmt);
        status = db_status(db);
    }
    db_close(db);
    if (status == DB_OK)
        log_info("store_backup", LOG_STR("path", path), LOG_INT("schema", version));
    else
        unlink(path);
    return status;
}

static bool apply(struct db *db, const struct migration *migration)
{
    char sql[64];

    if (!db_exec(db, migration->sql))
        return false;
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", migration->version);
    if (!db_exec(db, sql))
        return false;
    log_info("store_migrated", LOG_INT("schema", migration->version),
             LOG_STR("name", migration->name));
    return true;
}

static bool references_hold(struct db *db)
{
    struct db_stmt *stmt = db_prepare(db, "PRAGMA foreign_key_check");
    bool dangling = db_step(stmt);

    db_reset(stmt);
    if (dangling)
        log_error("store_migration", LOG_STR("error", "a row refers to one that is gone"));
    return !dangling && db_status(db) == DB_OK;
}

/* With the write lock held. */
static enum result upgrade(struct db *db, const struct db_options *options,
                           const struct migration *list, size_t count, struct fault *fault)
{
    enum db_status copied;
    int version;
    enum result result = check_version(db, (int)count, &version, fault);

    if (result != RESULT_OK || version == (int)count)
        return result;
    copied = version > 0 ? back_up(options, version) : DB_OK;
    if (copied != DB_OK)
        return fault_set(fault, RESULT_STORE_DOWN, "store_backup", NULL,
                         "The database must be migrated, but the backup before that failed: %s.",
                         copied == DB_FULL ? "the disk is full" : "the log says why");
    for (size_t i = (size_t)version; i < count; i++)
        if (!apply(db, &list[i]))
            return cannot_open(fault, db_status(db));
    if (!references_hold(db))
        return cannot_open(fault, DB_FAILED);
    return db_commit(db) ? RESULT_OK : cannot_open(fault, db_status(db));
}

enum result migrate_run(const struct db_options *options, const struct migration *list,
                        size_t count, struct fault *fault)
{
    struct db_options patient = *options;
    struct db *db = NULL;
    enum db_status status;
    enum result result;
    int version, error;

    error = db_file_create(options->path);
    if (error != 0)
        return cannot_create(fault, options->path, error);
    patient.busy_ms = LOCK_MS;
    patient.no_references = true;
    db = db_open(&patient, &status);
    if (db == NULL)
        return cannot_open(fault, status);
    result = check_version(db, (int)count, &version, fault);
    if (result != RESULT_OK || (version == (int)count && db_is_wal(db)))
        goto out;
    status = db_use_wal(db);
    if (status != DB_OK || !db_begin(db)) {
        result = cannot_open(fault, status != DB_OK ? status : db_status(db));
        goto out;
    }
    result = upgrade(db, options, list, count, fault);
    db_rollback(db);
out:
    db_close(db);
    return result;
}
