/*
 * db_writer: see db_writer.h.
 *
 * Leading passes from hand to hand: a leader commits one group, wakes its jobs, does the log's
 * housekeeping and makes the oldest waiting job the next leader. So no thread works for others without
 * end, and there is no thread of its own that would have to be started and stopped.
 *
 * Runs on request threads.
 */
#include "common/store/db_writer.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/log.h"

/*
 * Between two groups of a busy process. The lock is free for this long, so that a writer in another process
 * gets it (without it one process starves the other: measured p95 15 instead of 7 ms), and more jobs come
 * together in the next group (10 instead of 2), which more than makes up for the time.
 */
#define BREATH_NS 20000

enum job_state {
    JOB_WAITING, /* in the queue */
    JOB_LEADS,   /* in the queue, and its thread is the next leader */
    JOB_TAKEN,   /* in a group that is being run */
    JOB_DONE
};

/* Lives on its caller's stack. */
struct job {
    db_writer_job *run;
    void *arg;
    enum result result;
    enum db_status why;
    enum job_state state;
    pthread_cond_t changed;
    struct job *next;
};

struct db_writer {
    const struct db_options *options;
    struct db *db;            /* the leader's; NULL until needed */
    pthread_mutex_t mutex;    /* everything below */
    struct job *first, *last; /* queue */
    bool led;
    struct db_writer_stats stats;
};

struct db_writer *db_writer_new(const struct db_options *options)
{
    struct db_writer *writer = calloc(1, sizeof *writer);

    if (writer == NULL)
        return NULL;
    writer->options = options;
    pthread_mutex_init(&writer->mutex, NULL);
    return writer;
}

void db_writer_free(struct db_writer *writer)
{
    if (writer == NULL)
        return;
    db_close(writer->db);
    pthread_mutex_destroy(&writer->mutex);
    free(writer);
}

void db_writer_stats(struct db_writer *writer, struct db_writer_stats *out)
{
    pthread_mutex_lock(&writer->mutex);
    *out = writer->stats;
    pthread_mutex_unlock(&writer->mutex);
}

/* ---- the queue; the mutex is held ---- */

static void enqueue(struct db_writer *writer, struct job *job)
{
    if (writer->first == NULL)
        writer->first = job;
    else
        writer->last->next = job;
    writer->last = job;
}

static void dequeue(struct db_writer *writer, struct job *job)
{
    struct job *before = NULL;

    for (struct job *at = writer->first; at != job; at = at->next)
        before = at;
    if (before == NULL)
        writer->first = job->next;
    else
        before->next = job->next;
    if (writer->last == job)
        writer->last = before;
    job->next = NULL;
}

static size_t take_group(struct db_writer *writer, struct job **group)
{
    size_t count = 0;

    while (count < DB_WRITER_GROUP && writer->first != NULL) {
        group[count] = writer->first;
        writer->first = writer->first->next;
        group[count]->next = NULL;
        group[count++]->state = JOB_TAKEN;
    }
    return count;
}

static void finish_group(struct db_writer *writer, struct job *const *group, size_t count)
{
    writer->stats.jobs += count;
    writer->stats.commits++;
    for (size_t i = 0; i < count; i++) {
        group[i]->state = JOB_DONE;
        /* With the mutex held: once it is free the job's stack may be gone. */
        pthread_cond_signal(&group[i]->changed);
    }
}

static void pass_on(struct db_writer *writer)
{
    writer->led = writer->first != NULL;
    if (!writer->led)
        return;
    writer->first->state = JOB_LEADS;
    pthread_cond_signal(&writer->first->changed);
}

/* Wait until done or leading. False when neither came in time; then the job has left the queue. */
static bool wait_turn(struct db_writer *writer, struct job *job)
{
    const int busy_ms = writer->options->busy_ms;
    struct timespec deadline;
    bool late = false;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += busy_ms / 1000;
    deadline.tv_nsec += busy_ms % 1000 * 1000000L;
    if (deadline.tv_nsec >= 1000000000L) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000L;
    }
    while (job->state == JOB_WAITING && !late)
        late = pthread_cond_timedwait(&job->changed, &writer->mutex, &deadline) != 0;
    if (job->state == JOB_WAITING) {
        dequeue(writer, job);
        return false;
    }
    /* Somebody is running it; how long that takes is bounded by that leader's own deadlines. */
    while (job->state == JOB_TAKEN)
        pthread_cond_wait(&job->changed, &writer->mutex);
    return true;
}

/* ---- a group; the mutex is not held ---- */

static void fail_all(struct job *const *group, size_t count, enum db_status why)
{
    for (size_t i = 0; i < count; i++) {
        group[i]->result = RESULT_STORE_DOWN;
        group[i]->why = why;
    }
}

/* Run one job; the result is that of the transaction: not DB_OK when it is lost, and the group with it. */
static enum db_status run_job(struct db *db, struct job *job, bool in_savepoint)
{
    if (in_savepoint && !db_run(db_prepare(db, "SAVEPOINT job")))
        return db_status(db);
    job->result = job->run(db, job->arg);
    job->why = db_status(db);
    if (job->why != DB_OK)
        job->result = RESULT_STORE_DOWN;
    db_clear(db);
    if (!db_in_transaction(db))
        return job->why != DB_OK ? job->why : DB_FAILED;
    if (!in_savepoint)
        return DB_OK;
    if (job->result != RESULT_OK)
        db_run(db_prepare(db, "ROLLBACK TO job"));
    db_run(db_prepare(db, "RELEASE job"));
    return db_status(db);
}

static enum db_status run_transaction(struct db *db, struct job *const *group, size_t count)
{
    if (!db_begin(db))
        return db_status(db);
    for (size_t i = 0; i < count; i++) {
        enum db_status lost = run_job(db, group[i], count > 1);

        if (lost != DB_OK)
            return lost;
    }
    /* A lone job has no savepoint: its failure is undone by not committing. */
    if (count == 1 && group[0]->result != RESULT_OK)
        return DB_OK;
    return db_commit(db) ? DB_OK : db_status(db);
}

static void run_group(struct db_writer *writer, struct job *const *group, size_t count)
{
    enum db_status lost = DB_OK;
    bool broken = false;

    if (writer->db != NULL && db_vanished(writer->db)) {
        log_error("store_vanished", LOG_STR("what", "the database file was deleted or replaced"));
        db_close(writer->db);
        writer->db = NULL;
    }
    if (writer->db == NULL)
        writer->db = db_open(writer->options, &lost);
    if (writer->db != NULL) {
        lost = run_transaction(writer->db, group, count);
        db_rollback(writer->db);
        db_clear(writer->db);
    }
    if (lost != DB_OK)
        fail_all(group, count, lost);
    for (size_t i = 0; i < count; i++)
        broken = broken || group[i]->why == DB_BROKEN;
    if (broken) {
        db_close(writer->db);
        writer->db = NULL;
    }
}

/* The mutex is held on entry and exit. */
static void lead(struct db_writer *writer)
{
    struct job *group[DB_WRITER_GROUP];
    size_t count = take_group(writer, group);

    pthread_mutex_unlock(&writer->mutex);
    run_group(writer, group, count);
    pthread_mutex_lock(&writer->mutex);
    finish_group(writer, group, count);
    pthread_mutex_unlock(&writer->mutex);
    if (writer->db != NULL)
        db_checkpoint(writer->db);
    pthread_mutex_lock(&writer->mutex);
    if (writer->first != NULL) {
        pthread_mutex_unlock(&writer->mutex);
        nanosleep(&(struct timespec){ .tv_nsec = BREATH_NS }, NULL);
        pthread_mutex_lock(&writer->mutex);
    }
    pass_on(writer);
}

enum result db_writer_run(struct db_writer *writer, db_writer_job *run, void *arg,
                          enum db_status *why)
{
    struct job job = {
        .run = run, .arg = arg, .result = RESULT_STORE_DOWN, .why = DB_BUSY, .state = JOB_WAITING
    };
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&job.changed, &monotonic);
    pthread_condattr_destroy(&monotonic);

    pthread_mutex_lock(&writer->mutex);
    enqueue(writer, &job);
    if (!writer->led) {
        writer->led = true;
        job.state = JOB_LEADS;
    }
    if (wait_turn(writer, &job) && job.state == JOB_LEADS)
        lead(writer);
    pthread_mutex_unlock(&writer->mutex);

    pthread_cond_destroy(&job.changed);
    if (why != NULL)
        *why = job.why;
    return job.result;
}
