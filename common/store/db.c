/*
 * db: see db.h. Opening and settings, statements, transactions. Errors become enum db_status in one table.
 *
 * SQLite's own busy handler sleeps up to 100 ms at a time; ours starts at 50 us, because another process's
 * group commit is over in about that time.
 *
 * Runs on any thread; one thread per handle at a time.
 */
#include "common/store/db.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/store/db_file.h"

#define STATEMENTS_MAX 100  /* distinct statements of one handle; the store has about half */
#define WAL_PAGES      2000 /* checkpoint each time the log has grown by so many: 8 MB */
/*
 * In a log that did not begin anew by itself the writers wait for what is left of a checkpoint, so that it does. A
 * log that keeps its size costs half of one that grows, where the file system must find and clear each page.
 */
#define WAL_PAGES_PRESSED 4000
#define WAL_REST_US       20000 /* at most, for somebody who reads for long, as a backup does */
#define WAL_KEEP_BYTES    "33554432"

struct db_stmt {
    struct db *db;
    const char *sql;
    sqlite3_stmt *stmt; /* NULL: preparing failed */
};

struct db {
    sqlite3 *sqlite;
    enum db_status status;
    int64_t busy_us;
    int64_t busy_since_us;
    int wal_pages;     /* in the log after the last commit */
    int checkpoint_at; /* pages */
    struct db_stmt statements[STATEMENTS_MAX];
    size_t statements_len;
    struct db_file_identity identity; /* of the file that was opened */
    bool identified;
    bool retries_busy; /* busy is no news worth a log line */
};

/* ---- errors ---- */

static const struct {
    int code; /* primary result code */
    enum db_status status;
} status_of_code[] = {
    { SQLITE_OK, DB_OK },
    { SQLITE_BUSY, DB_BUSY },
    { SQLITE_LOCKED, DB_BUSY },
    { SQLITE_FULL, DB_FULL },
    { SQLITE_READONLY, DB_READONLY },
    { SQLITE_PERM, DB_READONLY },
    { SQLITE_CONSTRAINT, DB_CONSTRAINT },
    { SQLITE_IOERR, DB_BROKEN },
    { SQLITE_CORRUPT, DB_BROKEN },
    { SQLITE_NOTADB, DB_BROKEN },
    { SQLITE_PROTOCOL, DB_BROKEN },
};

/* For I/O errors and files that cannot be opened, where the system knows better. */
static const struct {
    int code;
    enum db_status status;
} status_of_errno[] = {
    { ENOSPC, DB_FULL },    { EDQUOT, DB_FULL },     { EFBIG, DB_FULL },
    { EROFS, DB_READONLY }, { EACCES, DB_READONLY }, { EPERM, DB_READONLY },
};

const char *db_status_name(enum db_status status)
{
    static const char *const names[DB_STATUS_COUNT] = {
        "ok", "busy", "full", "readonly", "constraint", "broken", "failed",
    };
    return status < DB_STATUS_COUNT ? names[status] : "failed";
}

/* What the system said to a failed read or write. SQLite calls a spent quota an I/O error like any other, and
 * forgets the number on its way up, but each of its files remembers. */
static int last_errno(sqlite3 *sqlite, int code)
{
    static const int which[] = { SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER };
    int error;

    code &= 0xff;
    if (code != SQLITE_IOERR && code != SQLITE_CANTOPEN)
        return 0;
    error = sqlite3_system_errno(sqlite);

    for (size_t i = 0; i < 2 && error == 0 && code == SQLITE_IOERR; i++) {
        sqlite3_file *file = NULL;

        if (sqlite3_file_control(sqlite, "main", which[i], &file) == SQLITE_OK && file != NULL &&
            file->pMethods != NULL)
            file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error);
    }
    return error;
}

static enum db_status status_of(int code, int system_errno)
{
    code &= 0xff;
    for (size_t i = 0; i < sizeof status_of_errno / sizeof status_of_errno[0]; i++)
        if ((code == SQLITE_IOERR || code == SQLITE_CANTOPEN) &&
            status_of_errno[i].code == system_errno)
            return status_of_errno[i].status;
    for (size_t i = 0; i < sizeof status_of_code / sizeof status_of_code[0]; i++)
        if (status_of_code[i].code == code)
            return status_of_code[i].status;
    return DB_FAILED;
}

static void fail(struct db *db, int code, const char *sql)
{
    int system_errno = last_errno(db->sqlite, code);
    enum db_status status = status_of(code, system_errno);

    if (db->status == DB_OK)
        db->status = status;
    if (status == DB_BUSY && db->retries_busy)
        return;
    log_write(status == DB_CONSTRAINT ? LOG_INFO : LOG_ERROR, "store_error",
              (struct log_field[]){ LOG_STR("status", db_status_name(status)),
                                    LOG_INT("sqlite_code", sqlite3_extended_errcode(db->sqlite)),
                                    LOG_STR("message", sqlite3_errmsg(db->sqlite)),
                                    LOG_INT("errno", system_errno),
                                    LOG_STR("sql", sql),
                                    { 0 } });
}

enum db_status db_status(const struct db *db)
{
    return db->status;
}

void db_clear(struct db *db)
{
    db->status = DB_OK;
}

/* ---- opening ---- */

static int on_busy(void *ctx, int count)
{
    static const long sleeps_us[] = { 50, 50, 100, 100, 200, 300, 500, 1000, 2000, 5000 };
    const size_t last = sizeof sleeps_us / sizeof sleeps_us[0] - 1;
    struct db *db = ctx;
    int64_t now = clock_mono_us();
    struct timespec pause = { 0 };

    if (count == 0)
        db->busy_since_us = now;
    if (now - db->busy_since_us >= db->busy_us)
        return 0;
    pause.tv_nsec = sleeps_us[(size_t)count < last ? (size_t)count : last] * 1000;
    nanosleep(&pause, NULL);
    return 1;
}

static int on_commit_in_wal(void *ctx, sqlite3 *sqlite, const char *schema, int pages)
{
    (void)sqlite, (void)schema;
    ((struct db *)ctx)->wal_pages = pages;
    return SQLITE_OK;
}

/* Without this every allocation of every handle takes one global lock, for statistics nobody reads. */
static void configure_library(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static bool apply_settings(struct db *db, const struct db_options *options)
{
    char *sql;
    bool done;

    sqlite3_busy_handler(db->sqlite, on_busy, db);
    sqlite3_wal_hook(db->sqlite, on_commit_in_wal, db);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sql = sqlite3_mprintf(
        "PRAGMA synchronous = %s; PRAGMA foreign_keys = %s; PRAGMA query_only = %s;"
        "PRAGMA cache_size = -%d; PRAGMA temp_store = MEMORY;"
        "PRAGMA journal_size_limit = " WAL_KEEP_BYTES ";",
        options->sync_full ? "FULL" : "NORMAL", options->no_references ? "OFF" : "ON",
        options->query_only ? "ON" : "OFF", options->cache_kib);
    done = sql != NULL && db_exec(db, sql);
    sqlite3_free(sql);
    return done;
}

/* text_contains(text, part), as in text.h; NULL is no text. */
static void sql_text_contains(sqlite3_context *context, int count, sqlite3_value **values)
{
    const char *text = (const char *)sqlite3_value_text(values[0]);
    const char *part = (const char *)sqlite3_value_text(values[1]);

    (void)count;
    sqlite3_result_int(context, text != NULL && part != NULL &&
                                    text_contains(text, (size_t)sqlite3_value_bytes(values[0]),
                                                  part, (size_t)sqlite3_value_bytes(values[1])));
}

static bool add_functions(struct db *db)
{
    return sqlite3_create_function(db->sqlite, "text_contains", 2,
                                   SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, sql_text_contains,
                                   NULL, NULL) == SQLITE_OK;
}

struct db *db_open(const struct db_options *options, enum db_status *status)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    struct db *db = calloc(1, sizeof *db);
    int code;

    pthread_once(&once, configure_library);
    *status = DB_FAILED;
    if (db == NULL)
        return NULL;
    db->busy_us = (int64_t)options->busy_ms * 1000;
    db->checkpoint_at = WAL_PAGES;
    code = sqlite3_open_v2(options->path, &db->sqlite, flags, options->vfs);
    if (code != SQLITE_OK && db->sqlite != NULL)
        fail(db, code, "(open)");
    /* SQLite opens what it may not write for reading only, which would show with the first message. */
    if (code == SQLITE_OK && !options->query_only && sqlite3_db_readonly(db->sqlite, "main") == 1)
        fail(db, SQLITE_READONLY, "(open)");
    if (code != SQLITE_OK || db->status != DB_OK || !apply_settings(db, options) ||
        !add_functions(db)) {
        *status = db->status != DB_OK ? db->status : DB_FAILED;
        db_close(db);
        return NULL;
    }
    db->identified = db_file_identify(options->path, &db->identity);
    *status = DB_OK;
    return db;
}

bool db_vanished(const struct db *db)
{
    struct db_file_identity now;

    return db->identified && (!db_file_identify(sqlite3_db_filename(db->sqlite, "main"), &now) ||
                              now.device != db->identity.device || now.inode != db->identity.inode);
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    for (size_t i = 0; i < db->statements_len; i++)
        sqlite3_finalize(db->statements[i].stmt);
    sqlite3_close(db->sqlite);
    free(db);
}

/* ---- journal ---- */

static bool journal_is_wal(struct db *db, const char *sql)
{
    struct db_stmt *stmt = db_prepare(db, sql);
    const char *mode = db_step(stmt) ? db_text(stmt, 0, NULL) : NULL;
    bool wal = mode != NULL && strcmp(mode, "wal") == 0;

    db_reset(stmt);
    return wal;
}

bool db_is_wal(struct db *db)
{
    return journal_is_wal(db, "PRAGMA journal_mode");
}

static enum db_status use_delete(struct db *db, const char *why)
{
    db_clear(db);
    log_warn("store_journal", LOG_STR("mode", "delete"), LOG_STR("why", why));
    db_exec(db, "PRAGMA journal_mode = DELETE");
    return db->status;
}

enum db_status db_use_wal(struct db *db)
{
    int64_t deadline_us = clock_mono_us() + db->busy_us;

    /* A network cannot give the memory that WAL shares; some of these file systems accept it all the same
     * and lose data later. */
    if (db_file_on_network(sqlite3_db_filename(db->sqlite, "main")))
        return use_delete(db, "network file system");
    /* The switch itself does not ask the busy handler; several workers may start at once. */
    db->retries_busy = true;
    while (!journal_is_wal(db, "PRAGMA journal_mode = WAL") && db->status == DB_BUSY &&
           clock_mono_us() < deadline_us) {
        db_clear(db);
        nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    }
    db->retries_busy = false;
    if (db->status == DB_READONLY || db->status == DB_FULL || db->status == DB_BUSY)
        return db->status;
    return db_is_wal(db) ? DB_OK : use_delete(db, "the file system cannot do WAL");
}

static void checkpoint(struct db *db, int mode)
{
    int code = sqlite3_wal_checkpoint_v2(db->sqlite, NULL, mode, NULL, NULL);

    if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY)
        log_error("store_checkpoint", LOG_INT("sqlite_code", code),
                  LOG_STR("message", sqlite3_errmsg(db->sqlite)));
}

void db_checkpoint(struct db *db)
{
    int64_t busy_us;

    if (db->wal_pages < db->checkpoint_at - WAL_PAGES)
        db->checkpoint_at = WAL_PAGES; /* the log began anew */
    if (db->wal_pages < db->checkpoint_at)
        return;
    db->checkpoint_at = db->wal_pages + WAL_PAGES;
    checkpoint(db, SQLITE_CHECKPOINT_PASSIVE);
    if (db->wal_pages < WAL_PAGES_PRESSED)
        return;
    busy_us = db->busy_us;
    db->busy_us = WAL_REST_US;
    checkpoint(db, SQLITE_CHECKPOINT_RESTART);
    db->busy_us = busy_us;
}

/* ---- statements ---- */

static struct db_stmt *find_statement(struct db *db, const char *sql)
{
    for (size_t i = 0; i < db->statements_len; i++)
        if (db->statements[i].sql == sql)
            return &db->statements[i];
    return NULL;
}

struct db_stmt *db_prepare(struct db *db, const char *sql)
{
    struct db_stmt *stmt = find_statement(db, sql);
    int code;

    if (stmt != NULL && stmt->stmt != NULL) {
        sqlite3_reset(stmt->stmt);
        return stmt;
    }
    if (stmt == NULL) {
        /* Full: the last place is used over and over. */
        if (db->statements_len < STATEMENTS_MAX)
            db->statements_len++;
        stmt = &db->statements[db->statements_len - 1];
        sqlite3_finalize(stmt->stmt);
        *stmt = (struct db_stmt){ .db = db, .sql = sql };
    }
    if (db->status != DB_OK)
        return stmt;
    code = sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt->stmt, NULL);
    if (code != SQLITE_OK)
        fail(db, code, sql);
    return stmt;
}

/* The parameter's number, 0 when the statement failed earlier. A name that is not there is our own bug. */
static int parameter(struct db_stmt *stmt, const char *name)
{
    int index = stmt->stmt != NULL ? sqlite3_bind_parameter_index(stmt->stmt, name) : 0;

    if (index == 0 && stmt->stmt != NULL) {
        log_error("store_bug", LOG_STR("parameter", name), LOG_STR("sql", stmt->sql));
        stmt->db->status = DB_FAILED;
    }
    return index;
}

static void check_bind(struct db_stmt *stmt, int code)
{
    if (code != SQLITE_OK)
        fail(stmt->db, code, stmt->sql);
}

void db_bind_int(struct db_stmt *stmt, const char *name, int64_t value)
{
    int index = parameter(stmt, name);

    if (index > 0)
        check_bind(stmt, sqlite3_bind_int64(stmt->stmt, index, value));
}

void db_bind_text(struct db_stmt *stmt, const char *name, const char *text)
{
    db_bind_text_len(stmt, name, text, text != NULL ? strlen(text) : 0);
}

void db_bind_text_len(struct db_stmt *stmt, const char *name, const char *text, size_t len)
{
    int index = parameter(stmt, name);

    if (index > 0 && text == NULL)
        check_bind(stmt, sqlite3_bind_null(stmt->stmt, index));
    else if (index > 0)
        check_bind(stmt,
                   sqlite3_bind_text64(stmt->stmt, index, text, len, SQLITE_STATIC, SQLITE_UTF8));
}

void db_bind_null(struct db_stmt *stmt, const char *name)
{
    db_bind_text_len(stmt, name, NULL, 0);
}

void db_bind_blob(struct db_stmt *stmt, const char *name, const void *bytes, size_t len)
{
    int index = parameter(stmt, name);

    if (index > 0)
        check_bind(stmt, sqlite3_bind_blob64(stmt->stmt, index, bytes, len, SQLITE_STATIC));
}

bool db_step(struct db_stmt *stmt)
{
    int code;

    if (stmt->stmt == NULL)
        return false;
    code = stmt->db->status == DB_OK ? sqlite3_step(stmt->stmt) : SQLITE_DONE;
    if (code == SQLITE_ROW)
        return true;
    if (code != SQLITE_DONE)
        fail(stmt->db, code, stmt->sql);
    db_reset(stmt);
    return false;
}

bool db_run(struct db_stmt *stmt)
{
    while (db_step(stmt))
        ;
    return stmt->db->status == DB_OK;
}

void db_reset(struct db_stmt *stmt)
{
    if (stmt->stmt == NULL)
        return;
    sqlite3_reset(stmt->stmt);
    sqlite3_clear_bindings(stmt->stmt);
}

int64_t db_int(struct db_stmt *stmt, int column)
{
    return sqlite3_column_int64(stmt->stmt, column);
}

const char *db_text(struct db_stmt *stmt, int column, size_t *len)
{
    bool null = db_is_null(stmt, column);
    const char *text = (const char *)sqlite3_column_text(stmt->stmt, column);

    if (text == NULL && !null) {
        fail(stmt->db, SQLITE_NOMEM, stmt->sql);
        text = "";
    }
    if (len != NULL)
        *len = (size_t)sqlite3_column_bytes(stmt->stmt, column);
    return text;
}

double db_real(struct db_stmt *stmt, int column)
{
    return sqlite3_column_double(stmt->stmt, column);
}

const void *db_blob(struct db_stmt *stmt, int column, size_t *len)
{
    const void *bytes = sqlite3_column_blob(stmt->stmt, column);

    *len = (size_t)sqlite3_column_bytes(stmt->stmt, column);
    return bytes;
}

bool db_is_null(struct db_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt->stmt, column) == SQLITE_NULL;
}

int64_t db_last_id(struct db *db)
{
    return sqlite3_last_insert_rowid(db->sqlite);
}

int64_t db_changes(struct db *db)
{
    return sqlite3_changes64(db->sqlite);
}

bool db_exec(struct db *db, const char *sql)
{
    int code = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);

    if (code != SQLITE_OK)
        fail(db, code, sql);
    return code == SQLITE_OK;
}

int64_t db_exec_int(struct db *db, const char *sql, int64_t fallback)
{
    struct db_stmt *stmt = db_prepare(db, sql);
    int64_t value = db_step(stmt) ? db_int(stmt, 0) : fallback;

    db_reset(stmt);
    return value;
}

/* ---- transactions ---- */

bool db_begin(struct db *db)
{
    return db_run(db_prepare(db, "BEGIN IMMEDIATE"));
}

bool db_commit(struct db *db)
{
    return db_run(db_prepare(db, "COMMIT"));
}

void db_rollback(struct db *db)
{
    if (db_in_transaction(db) &&
        sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
        log_error("store_rollback", LOG_STR("message", sqlite3_errmsg(db->sqlite)));
}

bool db_in_transaction(struct db *db)
{
    return sqlite3_get_autocommit(db->sqlite) == 0;
}
