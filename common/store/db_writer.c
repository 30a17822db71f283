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

/*
 * Where a caller waits for its jobs. It belongs to the writer, so that it can be signalled without the mutex: whoever is
 * woken while the waker holds that would have to sleep again at once.
 */
struct waiter {
    pthread_cond_t changed;
    struct waiter *next; /* free ones */
};

/* Lives on its caller's stack. */
struct job {
    struct db_writer_work *work;
    enum job_state state;
    struct waiter *waiter;
    struct job *next;
};

struct db_writer {
    const struct db_options *options;
    struct db *db;            /* the leader's; NULL until needed */
    pthread_mutex_t mutex;    /* everything below */
    struct job *first, *last; /* queue */
    struct waiter *waiters;   /* not in use */
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
    for (struct waiter *waiter = writer->waiters, *next; waiter != NULL; waiter = next) {
        next = waiter->next;
        pthread_cond_destroy(&waiter->changed);
        free(waiter);
    }
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

/* Gives who waits for these jobs besides the leader, each once, as the jobs of one caller are neighbours. Once the
 * mutex is free, the jobs may be gone. */
static size_t finish_group(struct db_writer *writer, struct job *const *group, size_t count,
                           const struct waiter *leader, struct waiter **waiters)
{
    size_t waiting = 0;

    writer->stats.jobs += count;
    writer->stats.commits++;
    for (size_t i = 0; i < count; i++) {
        struct waiter *waiter = group[i]->waiter;

        group[i]->state = JOB_DONE;
        if (waiter != leader && (waiting == 0 || waiters[waiting - 1] != waiter))
            waiters[waiting++] = waiter;
    }
    return waiting;
}

static void pass_on(struct db_writer *writer)
{
    writer->led = writer->first != NULL;
    if (!writer->led)
        return;
    writer->first->state = JOB_LEADS;
    pthread_cond_signal(&writer->first->waiter->changed);
}

static struct timespec deadline_of(const struct db_writer *writer)
{
    const int busy_ms = writer->options->busy_ms;
    struct timespec deadline;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += busy_ms / 1000;
    deadline.tv_nsec += busy_ms % 1000 * 1000000L;
    if (deadline.tv_nsec >= 1000000000L) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000L;
    }
    return deadline;
}

/* Wait until done or leading. When neither comes in time, the job leaves the queue with the result it came with. */
static void wait_turn(struct db_writer *writer, struct job *job, const struct timespec *deadline)
{
    pthread_cond_t *changed = &job->waiter->changed;
    bool late = false;

    while (job->state == JOB_WAITING && !late)
        late = pthread_cond_timedwait(changed, &writer->mutex, deadline) != 0;
    if (job->state == JOB_WAITING)
        dequeue(writer, job);
    /* Somebody is running it; how long that takes is bounded by that leader's own deadlines. */
    while (job->state == JOB_TAKEN)
        pthread_cond_wait(changed, &writer->mutex);
}

/* ---- a group; the mutex is not held ---- */

static void fail_all(struct job *const *group, size_t count, enum db_status why)
{
    for (size_t i = 0; i < count; i++) {
        group[i]->work->result = RESULT_STORE_DOWN;
        group[i]->work->why = why;
    }
}

/* Run one job; the result is that of the transaction: not DB_OK when it is lost, and the group with it. */
static enum db_status run_job(struct db *db, struct db_writer_work *work, bool in_savepoint)
{
    if (in_savepoint && !db_run(db_prepare(db, "SAVEPOINT job")))
        return db_status(db);
    work->result = work->run(db, work->arg);
    work->why = db_status(db);
    if (work->why != DB_OK)
        work->result = RESULT_STORE_DOWN;
    db_clear(db);
    if (!db_in_transaction(db))
        return work->why != DB_OK ? work->why : DB_FAILED;
    if (!in_savepoint)
        return DB_OK;
    if (work->result != RESULT_OK)
        db_run(db_prepare(db, "ROLLBACK TO job"));
    db_run(db_prepare(db, "RELEASE job"));
    return db_status(db);
}

static enum db_status run_transaction(struct db *db, struct job *const *group, size_t count)
{
    if (!db_begin(db))
        return db_status(db);
    for (size_t i = 0; i < count; i++) {
        enum db_status lost = run_job(db, group[i]->work, count > 1);

        if (lost != DB_OK)
            return lost;
    }
    /* A lone job has no savepoint: its failure is undone by not committing. */
    if (count == 1 && group[0]->work->result != RESULT_OK)
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
        broken = broken || group[i]->work->why == DB_BROKEN;
    if (broken) {
        db_close(writer->db);
        writer->db = NULL;
    }
}

/* The mutex is held on entry and exit. */
static void lead(struct db_writer *writer, const struct waiter *leader)
{
    struct job *group[DB_WRITER_GROUP];
    struct waiter *waiters[DB_WRITER_GROUP];
    size_t count = take_group(writer, group), waiting;

    pthread_mutex_unlock(&writer->mutex);
    run_group(writer, group, count);
    pthread_mutex_lock(&writer->mutex);
    waiting = finish_group(writer, group, count, leader, waiters);
    pthread_mutex_unlock(&writer->mutex);
    for (size_t i = 0; i < waiting; i++)
        pthread_cond_signal(&waiters[i]->changed);
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

/* The mutex is held. NULL when out of memory. */
static struct waiter *take_waiter(struct db_writer *writer)
{
    struct waiter *waiter = writer->waiters;
    pthread_condattr_t monotonic;

    if (waiter != NULL) {
        writer->waiters = waiter->next;
        return waiter;
    }
    if ((waiter = calloc(1, sizeof *waiter)) == NULL)
        return NULL;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&waiter->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return waiter;
}

/* The mutex is held. */
static void run_jobs(struct db_writer *writer, struct job *jobs, size_t count)
{
    const struct timespec deadline = deadline_of(writer);

    for (size_t i = 0; i < count; i++)
        enqueue(writer, &jobs[i]);
    if (!writer->led) {
        writer->led = true;
        jobs[0].state = JOB_LEADS;
    }
    for (size_t i = 0; i < count; i++) {
        wait_turn(writer, &jobs[i], &deadline);
        if (jobs[i].state == JOB_LEADS)
            lead(writer, jobs[i].waiter);
    }
}

void db_writer_run_all(struct db_writer *writer, struct db_writer_work *works, size_t count)
{
    struct job jobs[DB_WRITER_GROUP];
    struct waiter *waiter;

    pthread_mutex_lock(&writer->mutex);
    waiter = take_waiter(writer);
    for (size_t i = 0; i < count; i++) {
        works[i].result = RESULT_STORE_DOWN;
        works[i].why = waiter != NULL ? DB_BUSY : DB_FAILED;
        jobs[i] = (struct job){ .work = &works[i], .waiter = waiter };
    }
    if (waiter != NULL && count > 0) {
        run_jobs(writer, jobs, count);
        waiter->next = writer->waiters;
        writer->waiters = waiter;
    }
    pthread_mutex_unlock(&writer->mutex);
}

enum result db_writer_run(struct db_writer *writer, db_writer_job *run, void *arg,
                          enum db_status *why)
{
    struct db_writer_work work = { .run = run, .arg = arg };

    db_writer_run_all(writer, &work, 1);
    if (why != NULL)
        *why = work.why;
    return work.result;
}
