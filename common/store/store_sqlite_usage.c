/*
 * store_sqlite_usage: what comes with the end of an answer in its transaction: its tokens and cost added to
 * the day's and the conversation's, and its place in the cache; and both read again.
 *
 * Runs on request threads.
 */
#include "common/store/store_sqlite.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/store/store_usage.h"

#define DAY_LEN 10 /* of an RFC 3339 timestamp */

/* ---- usage ---- */

/* What counts: nothing where the provider did no work or said nothing. */
static const struct stream_usage *spent(const struct store_answer_end *end)
{
    static const struct stream_usage nothing = { 0 };

    return end->usage != NULL && end->usage->known && !end->unspent ? end->usage : &nothing;
}

static void bind_tokens(struct db_stmt *stmt, const struct store_answer_end *end)
{
    const struct stream_usage *usage = spent(end);

    db_bind_int(stmt, ":id", end->message_row);
    db_bind_text(stmt, ":writer", end->writer);
    db_bind_int(stmt, ":prompt", usage->prompt_tokens);
    db_bind_int(stmt, ":completion", usage->completion_tokens);
    db_bind_int(stmt, ":cost", end->cost_nano);
}

/* The lease is NULL once the end was stored: an end that is repeated is not counted again. */
static void add_to_day(struct db *db, const struct store_answer_end *end)
{
    struct db_stmt *stmt = db_prepare(
        db, "INSERT INTO usage_by_day (day, provider, model, answers, cached_answers,"
            " estimated_answers, prompt_tokens, completion_tokens, cached_tokens,"
            " reasoning_tokens, cost_nano) SELECT :day, coalesce(:provider, ''),"
            " coalesce(:model, ''), 1, :from_cache, :estimated, :prompt, :completion, :cached,"
            " :reasoning, :cost FROM messages WHERE id = :id AND writer = :writer"
            " AND lease_until_ms IS NOT NULL"
            " ON CONFLICT (day, provider, model) DO UPDATE SET answers = answers + 1,"
            " cached_answers = cached_answers + excluded.cached_answers,"
            " estimated_answers = estimated_answers + excluded.estimated_answers,"
            " prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
            " completion_tokens = completion_tokens + excluded.completion_tokens,"
            " cached_tokens = cached_tokens + excluded.cached_tokens,"
            " reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,"
            " cost_nano = cost_nano + excluded.cost_nano");
    const struct stream_usage *usage = spent(end);
    char stamp[CLOCK_RFC3339_SIZE];

    clock_rfc3339(end->now_ms, stamp);
    db_bind_text_len(stmt, ":day", stamp, DAY_LEN);
    db_bind_text(stmt, ":provider", end->provider);
    db_bind_text(stmt, ":model", end->model);
    db_bind_int(stmt, ":from_cache", end->from_cache);
    db_bind_int(stmt, ":estimated", usage->estimated);
    db_bind_int(stmt, ":cached", usage->cached_tokens);
    db_bind_int(stmt, ":reasoning", usage->reasoning_tokens);
    bind_tokens(stmt, end);
    db_run(stmt);
}

static void add_to_conversation(struct db *db, const struct store_answer_end *end)
{
    struct db_stmt *stmt = db_prepare(
        db, "INSERT INTO usage_by_conversation (conversation_id, answers, prompt_tokens,"
            " completion_tokens, cost_nano) SELECT conversation_id, 1, :prompt, :completion, :cost"
            " FROM messages WHERE id = :id AND writer = :writer AND lease_until_ms IS NOT NULL"
            " ON CONFLICT (conversation_id) DO UPDATE SET answers = answers + 1,"
            " prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
            " completion_tokens = completion_tokens + excluded.completion_tokens,"
            " cost_nano = cost_nano + excluded.cost_nano");

    bind_tokens(stmt, end);
    db_run(stmt);
}

static void read_usage(struct db_stmt *stmt, struct store_usage *out)
{
    *out = (struct store_usage){
        .day = db_text(stmt, 0, NULL),
        .provider = db_text(stmt, 1, NULL),
        .model = db_text(stmt, 2, NULL),
        .answers = db_int(stmt, 3),
        .cached_answers = db_int(stmt, 4),
        .estimated_answers = db_int(stmt, 5),
        .prompt_tokens = db_int(stmt, 6),
        .completion_tokens = db_int(stmt, 7),
        .cached_tokens = db_int(stmt, 8),
        .reasoning_tokens = db_int(stmt, 9),
        .cost_nano = db_int(stmt, 10),
    };
}

enum result store_usage_list(struct store *store, int64_t since_ms, store_usage_visit *visit,
                             void *ctx, struct fault *fault)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    char stamp[CLOCK_RFC3339_SIZE];
    struct store_usage usage;
    struct db_stmt *stmt;

    if (db == NULL)
        return store_sqlite_fault(fault, status);
    stmt = db_prepare(db, "SELECT day, provider, model, answers, cached_answers,"
                          " estimated_answers, prompt_tokens, completion_tokens, cached_tokens,"
                          " reasoning_tokens, cost_nano FROM usage_by_day WHERE day >= :day"
                          " ORDER BY day, provider, model");
    clock_rfc3339(since_ms, stamp);
    db_bind_text_len(stmt, ":day", stamp, DAY_LEN);
    while (db_step(stmt)) {
        read_usage(stmt, &usage);
        visit(ctx, &usage);
    }
    db_reset(stmt);
    status = db_readers_return(store->readers, db);
    return status == DB_OK ? RESULT_OK : store_sqlite_fault(fault, status);
}

/* ---- the cache ---- */

static void put_cache(struct db *db, const struct store_answer_end *end)
{
    struct db_stmt *stmt = db_prepare(db, "DELETE FROM response_cache WHERE expires_ms <= :now");

    db_bind_int(stmt, ":now", end->now_ms);
    db_run(stmt);
    stmt = db_prepare(db, "INSERT INTO response_cache (key, message_id, expires_ms)"
                          " VALUES (:key, :id, :expires) ON CONFLICT (key)"
                          " DO UPDATE SET message_id = :id, expires_ms = :expires");
    db_bind_text(stmt, ":key", end->cache_key);
    db_bind_int(stmt, ":id", end->message_row);
    db_bind_int(stmt, ":expires", end->cache_until_ms);
    db_run(stmt);
}

void store_sqlite_count_end(struct db *db, const struct store_answer_end *end)
{
    add_to_day(db, end);
    add_to_conversation(db, end);
}

void store_sqlite_cache_end(struct db *db, const struct store_answer_end *end)
{
    if (end->cache_key != NULL && end->cache_key[0] != '\0')
        put_cache(db, end);
}

static bool read_cached(struct db_stmt *stmt, struct store_cached *out)
{
    const char *text = db_text(stmt, 2, &out->text_len);
    const char *provider = db_text(stmt, 0, NULL);
    const char *model = db_text(stmt, 1, NULL);

    text_copy(out->provider, sizeof out->provider, provider != NULL ? provider : "");
    text_copy(out->model, sizeof out->model, model != NULL ? model : "");
    out->text = malloc(out->text_len + 1);
    if (out->text == NULL)
        return false;
    memcpy(out->text, text, out->text_len);
    out->text[out->text_len] = '\0';
    return true;
}

enum result store_cache_get(struct store *store, const char *key, int64_t now_ms,
                            struct store_cached *out)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    bool found;

    *out = (struct store_cached){ 0 };
    if (db == NULL)
        return RESULT_STORE_DOWN;
    stmt = db_prepare(db, "SELECT m.provider, m.model, m.content FROM response_cache AS c"
                          " JOIN messages AS m ON m.id = c.message_id"
                          " WHERE c.key = :key AND c.expires_ms > :now AND m.content <> ''");
    db_bind_text(stmt, ":key", key);
    db_bind_int(stmt, ":now", now_ms);
    found = db_step(stmt) && read_cached(stmt, out);
    db_reset(stmt);
    status = db_readers_return(store->readers, db);
    if (status == DB_OK && found)
        return RESULT_OK;
    free(out->text);
    out->text = NULL;
    return status != DB_OK ? RESULT_STORE_DOWN : RESULT_NOT_FOUND;
}
