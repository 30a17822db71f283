/*
 * db_readers: see db_readers.h. The handle that came back last is lent first, so that a quiet process opens
 * one and keeps its cache warm. Runs on request threads.
 */
#include "common/store/db_readers.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct db_readers {
    const struct db_options *options;
    pthread_mutex_t mutex; /* everything below */
    pthread_cond_t returned;
    struct db *free[DB_READERS_MAX];
    size_t free_len;
    size_t lent;
};

struct db_readers *db_readers_new(const struct db_options *options)
{
    struct db_readers *readers = calloc(1, sizeof *readers);
    pthread_condattr_t monotonic;

    if (readers == NULL)
        return NULL;
    readers->options = options;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&readers->returned, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&readers->mutex, NULL);
    return readers;
}

void db_readers_free(struct db_readers *readers)
{
    if (readers == NULL)
        return;
    for (size_t i = 0; i < readers->free_len; i++)
        db_close(readers->free[i]);
    pthread_cond_destroy(&readers->returned);
    pthread_mutex_destroy(&readers->mutex);
    free(readers);
}

/* Take a place in the pool; *db is a free handle, or NULL: the place is there, the handle is to be opened. */
static bool take_place(struct db_readers *readers, struct db **db)
{
    struct timespec deadline;
    bool late = false;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += readers->options->busy_ms / 1000;
    deadline.tv_nsec += readers->options->busy_ms % 1000 * 1000000L;
    if (deadline.tv_nsec >= 1000000000L) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&readers->mutex);
    while (readers->lent == DB_READERS_MAX && !late)
        late = pthread_cond_timedwait(&readers->returned, &readers->mutex, &deadline) != 0;
    late = readers->lent == DB_READERS_MAX;
    *db = !late && readers->free_len > 0 ? readers->free[--readers->free_len] : NULL;
    readers->lent += late ? 0 : 1;
    pthread_mutex_unlock(&readers->mutex);
    return !late;
}

static void give_place(struct db_readers *readers, struct db *db)
{
    pthread_mutex_lock(&readers->mutex);
    if (db != NULL)
        readers->free[readers->free_len++] = db;
    readers->lent--;
    pthread_cond_signal(&readers->returned);
    pthread_mutex_unlock(&readers->mutex);
}

struct db *db_readers_take(struct db_readers *readers, enum db_status *why)
{
    struct db *db;

    *why = DB_BUSY;
    if (!take_place(readers, &db))
        return NULL;
    if (db != NULL && db_vanished(db)) {
        db_close(db);
        db = NULL;
    }
    if (db == NULL)
        db = db_open(readers->options, why);
    if (db == NULL)
        give_place(readers, NULL);
    else
        *why = DB_OK;
    return db;
}

enum db_status db_readers_return(struct db_readers *readers, struct db *db)
{
    enum db_status status = db_status(db);

    if (status == DB_BROKEN) {
        db_close(db);
        db = NULL;
    } else {
        db_clear(db);
    }
    give_place(readers, db);
    return status;
}
