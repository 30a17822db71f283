/*
 * store_sqlite_models: the models that providers were found to have, shared by all processes. Runs on request
 * threads.
 */
#include "common/store/store_sqlite.h"

#include <stdlib.h>
#include <string.h>

struct models_job {
    const char *provider;
    const char *models; /* NULL: only claim the next look */
    int64_t checked_ms, stale_ms;
};

static enum result claim_models(struct db *db, void *arg)
{
    const struct models_job *job = arg;
    struct db_stmt *stmt = db_prepare(
        db, "INSERT INTO discovered_models (provider, checked_ms) VALUES (:provider, :now)"
            " ON CONFLICT (provider) DO UPDATE SET checked_ms = :now WHERE checked_ms <= :stale");

    db_bind_text(stmt, ":provider", job->provider);
    db_bind_int(stmt, ":now", job->checked_ms);
    db_bind_int(stmt, ":stale", job->stale_ms);
    if (!db_run(stmt))
        return RESULT_STORE_DOWN;
    return db_changes(db) > 0 ? RESULT_OK : RESULT_NOT_FOUND;
}

enum result store_models_claim(struct store *store, const char *provider, int64_t now_ms,
                               int64_t stale_ms)
{
    struct models_job job = { provider, NULL, now_ms, stale_ms };

    return store_sqlite_write(store, claim_models, &job, NULL);
}

static enum result put_models(struct db *db, void *arg)
{
    const struct models_job *job = arg;
    struct db_stmt *stmt =
        db_prepare(db, "UPDATE discovered_models SET models = coalesce(:models, models),"
                       " checked_ms = :checked WHERE provider = :provider");

    db_bind_text(stmt, ":provider", job->provider);
    db_bind_text(stmt, ":models", job->models);
    db_bind_int(stmt, ":checked", job->checked_ms);
    return db_run(stmt) ? RESULT_OK : RESULT_STORE_DOWN;
}

enum result store_models_put(struct store *store, const char *provider, const char *models,
                             int64_t checked_ms)
{
    struct models_job job = { provider, models, checked_ms, 0 };

    return store_sqlite_write(store, put_models, &job, NULL);
}

char *store_models_get(struct store *store, const char *provider)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    const char *text;
    char *models = NULL;

    if (db == NULL)
        return NULL;
    stmt = db_prepare(db, "SELECT models FROM discovered_models WHERE provider = :provider");
    db_bind_text(stmt, ":provider", provider);
    if (db_step(stmt) && (text = db_text(stmt, 0, NULL)) != NULL)
        models = strdup(text);
    db_reset(stmt);
    db_readers_return(store->readers, db);
    return models;
}
