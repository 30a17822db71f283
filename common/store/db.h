/*
 * db: a thin layer over SQLite with its own vocabulary. db.c is the only file that includes the driver.
 *
 * A handle belongs to one thread at a time (db_writer and db_readers see to that). Statements are prepared
 * once per handle, parameters are bound by name, and every failure is logged here, once, with its SQL
 * and never with a bound value. Failures are sticky in the handle: callers go straight on and ask
 * db_status at the end.
 */
#ifndef PARLEY_STORE_DB_H
#define PARLEY_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct db_stmt;

enum db_status {
    DB_OK,
    DB_BUSY,       /* somebody else wrote for longer than the deadline */
    DB_FULL,       /* the disk, or a quota on it, is full */
    DB_READONLY,   /* file, directory or file system may not be written */
    DB_CONSTRAINT, /* a UNIQUE or foreign key said no; the statement changed nothing */
    DB_BROKEN,     /* I/O error, not a database, corrupt page: this handle is best opened anew */
    DB_FAILED,     /* anything else, wrong SQL included */
    DB_STATUS_COUNT
};
const char *db_status_name(enum db_status status);

struct db_options {
    const char *path;
    bool sync_full;     /* fsync each commit; otherwise (WAL) only checkpoints */
    bool query_only;    /* refuses to write */
    bool no_references; /* foreign keys are not enforced: for migrations that rebuild tables */
    int busy_ms;        /* deadline for another process's lock */
    int cache_kib;      /* page cache, at most */
    const char *vfs;    /* SQLite's name of a file layer, NULL = default; for tests */
};

/* Open an existing file. Nothing is written. NULL on failure, with *status set and the reason logged. */
struct db *db_open(const struct db_options *options, enum db_status *status);
void db_close(struct db *db); /* NULL is fine */

/* Has the file been deleted or replaced since it was opened? Then this handle writes into nowhere. */
bool db_vanished(const struct db *db);

/* Ask for WAL; DB_OK also when the file system cannot do it and DELETE stays, which is logged. */
enum db_status db_use_wal(struct db *db);
/* Does this database run in WAL mode? */
bool db_is_wal(struct db *db);

/* The first failure since the handle was last cleared, DB_OK if none. */
enum db_status db_status(const struct db *db);
void db_clear(struct db *db);

/* ---- statements ---- */

/*
 * The statement for `sql` (a string literal: its address is the key), reset and with nothing bound.
 * Never NULL; a failed one swallows what follows and never gives a row.
 */
struct db_stmt *db_prepare(struct db *db, const char *sql);

/* Bind by name (":now"). Strings are borrowed until the statement has ended; NULL binds NULL. */
void db_bind_int(struct db_stmt *stmt, const char *name, int64_t value);
void db_bind_text(struct db_stmt *stmt, const char *name, const char *text);
void db_bind_text_len(struct db_stmt *stmt, const char *name, const char *text, size_t len);
void db_bind_null(struct db_stmt *stmt, const char *name);
void db_bind_blob(struct db_stmt *stmt, const char *name, const void *bytes, size_t len);

/* The next row; false at the end and on failure (db_status tells which); then the statement is reset. */
bool db_step(struct db_stmt *stmt);
/* Run to its end; true when it did not fail. */
bool db_run(struct db_stmt *stmt);
/* Leave a statement before its end. Harmless afterwards. */
void db_reset(struct db_stmt *stmt);

/* Columns of the current row, from 0. Text is valid until the next step; NULL for SQL NULL only. */
int64_t db_int(struct db_stmt *stmt, int column);
const char *db_text(struct db_stmt *stmt, int column, size_t *len);
bool db_is_null(struct db_stmt *stmt, int column);
double db_real(struct db_stmt *stmt, int column);
/* Valid until the next step; NULL for SQL NULL and for no bytes. */
const void *db_blob(struct db_stmt *stmt, int column, size_t *len);

int64_t db_last_id(struct db *db);
int64_t db_changes(struct db *db); /* rows of the last INSERT, UPDATE or DELETE */

/* Run SQL text of any number of statements that is not worth keeping prepared. True when it did not fail. */
bool db_exec(struct db *db, const char *sql);
/* One integer, for pragmas; `fallback` when there is no row. */
int64_t db_exec_int(struct db *db, const char *sql, int64_t fallback);

/* ---- transactions ---- */

/* BEGIN IMMEDIATE: waits up to busy_ms for the write lock. */
bool db_begin(struct db *db);
bool db_commit(struct db *db);
void db_rollback(struct db *db);
/* False when SQLite has rolled back by itself, as it does when the disk is full. */
bool db_in_transaction(struct db *db);

/*
 * Move the write-ahead log into the database when it has grown enough. Call outside a transaction, after
 * commits; SQLite would otherwise do it inside a commit, while everybody waits.
 */
void db_checkpoint(struct db *db);

#endif
