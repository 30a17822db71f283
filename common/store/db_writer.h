/*
 * db_writer: the one write handle of a process, and group commit.
 *
 * Whoever comes first leads: takes all jobs that wait (at most DB_WRITER_GROUP), runs them in one
 * transaction, each in a savepoint so that a job that fails is rolled back alone, commits, and wakes the
 * others with their results. When the commit fails, or SQLite gives the transaction up, all of them fail.
 *
 * Thread-safe. The handle is opened with the first job.
 */
#ifndef PARLEY_STORE_DB_WRITER_H
#define PARLEY_STORE_DB_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/result.h"
#include "common/store/db.h"

#define DB_WRITER_GROUP 64 /* jobs of one transaction, so that none waits long for the others */

struct db_writer;

/*
 * The work of a job. Runs once, inside the transaction, perhaps on another caller's thread, so it takes
 * no locks. RESULT_OK keeps what it wrote; anything else undoes it and becomes the caller's result, except
 * that a failed handle (db_status) makes it RESULT_STORE_DOWN.
 */
typedef enum result db_writer_job(struct db *db, void *arg);

/* `options` and what it points to must live as long as the writer. NULL when out of memory. */
struct db_writer *db_writer_new(const struct db_options *options);
void db_writer_free(struct db_writer *writer); /* no job may be running; NULL is fine */

/*
 * Run `job` and return after it was committed or failed. RESULT_STORE_DOWN: nothing was written, and
 * *why (may be NULL) says what the database's trouble was. Waits at most busy_ms for its turn, and as
 * leader at most busy_ms for another process.
 */
enum result db_writer_run(struct db_writer *writer, db_writer_job *job, void *arg,
                          enum db_status *why);

struct db_writer_work {
    db_writer_job *run;
    void *arg;
    enum result result; /* out, as db_writer_run returns it */
    enum db_status why; /* out */
};

/* The same for up to DB_WRITER_GROUP jobs of one caller, in their order; each fails or is kept by itself. */
void db_writer_run_all(struct db_writer *writer, struct db_writer_work *works, size_t count);

struct db_writer_stats {
    uint64_t jobs;    /* run, failed ones included */
    uint64_t commits; /* transactions tried */
};
void db_writer_stats(struct db_writer *writer, struct db_writer_stats *out);

#endif
