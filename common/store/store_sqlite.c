/*
 * store_sqlite: the SQLite store opened and closed, its faults in words, sessions and health. The life of
 * an answer is in store_sqlite_turn.c and store_sqlite_answer.c; how SQLite is used, in db.c.
 *
 * Runs on request threads; opening and closing at a worker's start and end.
 */
#include "common/store/store_sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/metrics.h"
#include "common/base/text.h"
#include "common/config.h"
#include "common/store/migrate.h"
#include "common/store/secret_file.h"
#include "common/store/store_owners.h"

#define SCHEME          "sqlite:"
#define WRITE_CACHE_KIB 1024
#define READ_CACHE_KIB  256

/* ---- opening ---- */

static enum result choose_path(const char *url, char **path, struct fault *fault)
{
    const char *name = text_starts_with(url, SCHEME) ? url + strlen(SCHEME) : "";

    /* Every handle would have a ":memory:" of its own. */
    if (*name == '\0' || strcmp(name, ":memory:") == 0)
        return fault_set(fault, RESULT_STORE_DOWN, "store_unusable", NULL,
                         "DATABASE_URL must be sqlite: and the path of a file.");
    *path = strdup(name);
    return *path != NULL ? RESULT_OK
                         : fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
}

enum result store_open(const struct config *config, struct store **out, struct fault *fault)
{
    struct store *store = calloc(1, sizeof *store);
    enum result result;

    *out = NULL;
    if (store == NULL)
        return fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
    result = choose_path(config->database_url, &store->path, fault);
    if (result != RESULT_OK)
        goto out;
    store->write_options = (struct db_options){
        .path = store->path,
        .sync_full = config->database_sync != NULL && strcmp(config->database_sync, "full") == 0,
        .busy_ms = (int)config->store_busy_ms,
        .cache_kib = WRITE_CACHE_KIB,
    };
    store->read_options = store->write_options;
    store->read_options.query_only = true;
    store->read_options.cache_kib = READ_CACHE_KIB;
    result = migrate_run(&store->write_options, migrations, migrations_count, fault);
    if (result != RESULT_OK)
        goto out;
    store->writer = db_writer_new(&store->write_options);
    store->readers = db_readers_new(&store->read_options);
    if (store->writer == NULL || store->readers == NULL)
        result = fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
out:
    if (result != RESULT_OK)
        store_close(store);
    else
        *out = store;
    return result;
}

bool store_is_there(const struct config *config)
{
    const char *url = config->database_url;

    return !text_starts_with(url, SCHEME) || access(url + strlen(SCHEME), F_OK) == 0 ||
           (errno != ENOENT && errno != ENOTDIR);
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    db_readers_free(store->readers);
    db_writer_free(store->writer);
    free(store->path);
    free(store);
}

enum result store_secret(const struct store *store, unsigned char out[STORE_SECRET_SIZE],
                         struct fault *fault)
{
    static const char ending[] = ".key";
    size_t size = strlen(store->path) + sizeof ending;
    char *path = malloc(size);
    int error = ENOMEM;

    if (path != NULL) {
        snprintf(path, size, "%s%s", store->path, ending);
        error = secret_file_read(path, out, STORE_SECRET_SIZE);
    }
    free(path);
    if (error == 0)
        return RESULT_OK;
    return fault_set(fault, RESULT_STORE_DOWN, "no_secret", NULL,
                     "The key beside the database (its name and .key) cannot be %s: %s. "
                     "SECRET_KEY does without it.",
                     error == EBADMSG ? "used" : "read or made",
                     error == EBADMSG ? "it is not a key" : strerror(error));
}

/* ---- what the other files need ---- */

enum result store_sqlite_fault(struct fault *fault, enum db_status status)
{
    static const struct {
        const char *code, *text;
        int retry_after_s;
    } words[DB_STATUS_COUNT] = {
        [DB_BUSY] = { "store_busy", "The store is busy. Please try again in a moment.", 1 },
        [DB_FULL] = { "store_full", "Nothing can be stored right now: the server's disk is full.",
                      60 },
        [DB_READONLY] = { "store_readonly",
                          "Nothing can be stored right now: the server's store is read-only.", 60 },
    };

    if (words[status].code == NULL)
        return fault_set(fault, RESULT_STORE_DOWN, "store_failed", NULL,
                         "The store has failed. The operator finds the reason in the log.");
    fault_set(fault, RESULT_STORE_DOWN, words[status].code, NULL, "%s", words[status].text);
    if (fault != NULL)
        fault->retry_after_s = words[status].retry_after_s;
    return RESULT_STORE_DOWN;
}

void store_sqlite_write_all(struct store *store, struct db_writer_work *works, size_t count)
{
    int64_t started_us = clock_mono_us();

    db_writer_run_all(store->writer, works, count);
    metrics_time(METRICS_STORE, clock_mono_us() - started_us);
}

enum result store_sqlite_write(struct store *store, db_writer_job *job, void *arg,
                               struct fault *fault)
{
    struct db_writer_work work = { .run = job, .arg = arg };

    store_sqlite_write_all(store, &work, 1);
    return work.result == RESULT_STORE_DOWN ? store_sqlite_fault(fault, work.why) : work.result;
}

void store_stats(struct store *store, struct store_stats *out)
{
    struct db_writer_stats stats;

    db_writer_stats(store->writer, &stats);
    *out = (struct store_stats){ .writes = stats.jobs, .commits = stats.commits };
}

/* ---- sessions ---- */

struct session_create {
    const char *session_id;
    const struct owner *owner;
    int64_t now_ms;
};

static enum result create_session(struct db *db, void *arg)
{
    const struct session_create *session = arg;
    struct db_stmt *stmt = db_prepare(
        db, "INSERT INTO conversations (public_id, contract, owner_kind, owner_id, created_ms,"
            " updated_ms) VALUES (:public, 'session', :kind, :owner, :now, :now)");

    db_bind_text(stmt, ":public", session->session_id);
    store_sqlite_bind_owner(stmt, session->owner);
    db_bind_int(stmt, ":now", session->now_ms);
    db_run(stmt);
    store_sqlite_owner_seen(db, session->owner, session->now_ms);
    return RESULT_OK;
}

enum result store_session_create(struct store *store, const char *session_id,
                                 const struct owner *owner, int64_t now_ms, struct fault *fault)
{
    struct session_create session = { session_id, owner, now_ms };

    return store_sqlite_write(store, create_session, &session, fault);
}

/* ---- health ---- */

struct ping {
    int64_t token;
    int64_t now_ms;
};

static enum result write_ping(struct db *db, void *arg)
{
    const struct ping *ping = arg;
    struct db_stmt *stmt =
        db_prepare(db, "INSERT INTO health (id, token, written_ms)"
                       " VALUES (1, :token, :now) ON CONFLICT (id)"
                       " DO UPDATE SET token = :token, written_ms = max(written_ms, :now)");

    db_bind_int(stmt, ":token", ping->token);
    db_bind_int(stmt, ":now", ping->now_ms);
    db_run(stmt);
    return RESULT_OK;
}

/* Another worker's ping may have come in between, but then the row is not older than ours. */
static enum result read_ping(struct store *store, const struct ping *ping)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    bool seen;

    if (db == NULL)
        return RESULT_STORE_DOWN;
    stmt = db_prepare(db, "SELECT 1 FROM health WHERE token = :token OR written_ms >= :now");
    db_bind_int(stmt, ":token", ping->token);
    db_bind_int(stmt, ":now", ping->now_ms);
    seen = db_step(stmt);
    db_reset(stmt);
    db_readers_return(store->readers, db);
    return seen ? RESULT_OK : RESULT_STORE_DOWN;
}

enum result store_ping(struct store *store, int64_t *latency_us)
{
    int64_t started_us = clock_mono_us();
    struct ping ping = { .now_ms = clock_wall_ms() };
    enum result result;

    id_random(&ping.token, sizeof ping.token);
    result = store_sqlite_write(store, write_ping, &ping, NULL);
    if (result == RESULT_OK)
        result = read_ping(store, &ping);
    if (latency_us != NULL)
        *latency_us = clock_mono_us() - started_us;
    return result;
}
