/*
 * store_sqlite_answer: an answer grows, ends, is given up, and is read.
 *
 * The lease tells who may still write: it is NULL once the writer itself ended the answer. An answer that
 * was given up (its lease ran out) keeps the old lease, so a writer that was only slow takes it back with
 * its next checkpoint, unless somebody goes on from it (store_sqlite_again.c), while a checkpoint that arrives after
 * the end changes nothing.
 *
 * Runs on request threads.
 */
#include "common/store/store_sqlite.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"

/* SQLite gives the number of an erased row away again; this writer may have got it for its next answer. */
#define SAME_MESSAGE " AND (:public IS NULL OR public_id = :public)"

/* ---- growing ---- */

struct checkpoint {
    struct store_checkpoint *answers;
    size_t count;
    int64_t now_ms;
    int64_t lease_until_ms;
};

/* Touches no index, and makes no table for RETURNING. False: the row is not as it should be. */
static bool checkpoint_text(struct db *db, const struct checkpoint *checkpoint,
                            const struct store_checkpoint *answer)
{
    struct db_stmt *stmt =
        db_prepare(db, "UPDATE messages SET content = :text, updated_ms = :now"
                       " WHERE id = :id AND writer = :writer AND status = 'streaming'"
                       " AND stop_requested = 0 AND lease_until_ms IS NOT NULL" SAME_MESSAGE);

    db_bind_text_len(stmt, ":text", answer->text, answer->text_len);
    db_bind_int(stmt, ":now", checkpoint->now_ms);
    db_bind_int(stmt, ":id", answer->message_row);
    db_bind_text(stmt, ":writer", answer->writer);
    db_bind_text(stmt, ":public", answer->message_id);
    return db_run(stmt) && db_changes(db) == 1;
}

static void checkpoint_one(struct db *db, const struct checkpoint *checkpoint,
                           struct store_checkpoint *answer)
{
    static const char with_text[] =
        "UPDATE messages SET content = :text, status = 'streaming', finish = NULL,"
        " lease_until_ms = :lease, updated_ms = :now"
        " WHERE id = :id AND writer = :writer AND lease_until_ms IS NOT NULL" SAME_MESSAGE
        " RETURNING stop_requested";
    static const char lease_only[] =
        "UPDATE messages SET status = 'streaming', finish = NULL, lease_until_ms = :lease"
        " WHERE id = :id AND writer = :writer AND lease_until_ms IS NOT NULL" SAME_MESSAGE
        " RETURNING stop_requested";
    struct db_stmt *stmt;

    if (answer->text != NULL && answer->lease_stands && checkpoint_text(db, checkpoint, answer)) {
        answer->stop_requested = false;
        return;
    }
    stmt = db_prepare(db, answer->text != NULL ? with_text : lease_only);
    db_bind_int(stmt, ":id", answer->message_row);
    db_bind_text(stmt, ":writer", answer->writer);
    db_bind_int(stmt, ":lease", checkpoint->lease_until_ms);
    if (answer->text != NULL) {
        db_bind_text_len(stmt, ":text", answer->text, answer->text_len);
        db_bind_int(stmt, ":now", checkpoint->now_ms);
    }
    db_bind_text(stmt, ":public", answer->message_id);
    /* No row: it was erased, or its writer has just ended it and does not mind. */
    answer->stop_requested = !db_step(stmt) || db_int(stmt, 0) != 0;
    db_reset(stmt);
}

static enum result checkpoint_all(struct db *db, void *arg)
{
    const struct checkpoint *checkpoint = arg;

    for (size_t i = 0; i < checkpoint->count; i++)
        checkpoint_one(db, checkpoint, &checkpoint->answers[i]);
    return RESULT_OK;
}

enum result store_answers_checkpoint(struct store *store, struct store_checkpoint *answers,
                                     size_t count, int64_t now_ms, int64_t lease_until_ms)
{
    struct checkpoint checkpoint = { answers, count, now_ms, lease_until_ms };

    if (count == 0)
        return RESULT_OK;
    return store_sqlite_write(store, checkpoint_all, &checkpoint, NULL);
}

/* ---- the end ---- */

static void bind_usage(struct db_stmt *stmt, const struct stream_usage *usage)
{
    if (usage == NULL || !usage->known) {
        db_bind_int(stmt, ":estimated", 0);
        return; /* what is not bound is NULL */
    }
    db_bind_int(stmt, ":prompt", usage->prompt_tokens);
    db_bind_int(stmt, ":completion", usage->completion_tokens);
    db_bind_int(stmt, ":total", usage->total_tokens);
    db_bind_int(stmt, ":cached", usage->cached_tokens);
    db_bind_int(stmt, ":reasoning", usage->reasoning_tokens);
    db_bind_int(stmt, ":estimated", usage->estimated);
}

static enum result end_answer(struct db *db, void *arg)
{
    const struct store_answer_end *end = arg;
    const char *error_code =
        end->error_code != NULL && *end->error_code != '\0' ? end->error_code : NULL;
    struct db_stmt *stmt;

    store_sqlite_count_end(db, end);
    stmt = db_prepare(
        db, "UPDATE messages SET content = :text, status = :status, finish = :finish,"
            " error_code = :error, provider = coalesce(:provider, provider),"
            " model = coalesce(:model, model), prompt_tokens = :prompt,"
            " completion_tokens = :completion, total_tokens = :total, cached_tokens = :cached,"
            " reasoning_tokens = :reasoning, tokens_estimated = :estimated, lease_until_ms = NULL,"
            " updated_ms = :now WHERE id = :id AND writer = :writer" SAME_MESSAGE);

    db_bind_text_len(stmt, ":text", end->text != NULL ? end->text : "", end->text_len);
    db_bind_text(stmt, ":status", turn_status_name(end->status));
    db_bind_text(stmt, ":finish", finish_reason_name(end->finish));
    db_bind_text(stmt, ":error", error_code);
    db_bind_text(stmt, ":provider", end->provider);
    db_bind_text(stmt, ":model", end->model);
    bind_usage(stmt, end->usage);
    db_bind_int(stmt, ":now", end->now_ms);
    db_bind_int(stmt, ":id", end->message_row);
    db_bind_text(stmt, ":public", end->message_id);
    db_bind_text(stmt, ":writer", end->writer);
    if (!db_run(stmt))
        return RESULT_STORE_DOWN;
    if (db_changes(db) == 0)
        return RESULT_NOT_FOUND;
    store_sqlite_settle(db, end);
    store_sqlite_cache_end(db, end);
    if (end->sources != NULL && end->text_len > 0)
        store_sqlite_put_sources(db, end->message_row, end->sources);
    return RESULT_OK;
}

enum result store_answer_end(struct store *store, const struct store_answer_end *end)
{
    enum result result;

    store_answers_end(store, end, 1, &result);
    return result;
}

void store_answers_end(struct store *store, const struct store_answer_end *ends, size_t count,
                       enum result *results)
{
    struct db_writer_work works[STORE_ENDS_MAX];
    _Static_assert(STORE_ENDS_MAX <= DB_WRITER_GROUP, "one group takes them all");

    for (size_t i = 0; i < count; i++)
        works[i] = (struct db_writer_work){ .run = end_answer, .arg = (void *)(uintptr_t)&ends[i] };
    store_sqlite_write_all(store, works, count);
    for (size_t i = 0; i < count; i++)
        results[i] = works[i].result;
}

struct stop {
    const char *message_id;
    int64_t now_ms;
    struct store_stop *out;
    struct fault *fault;
};

static enum result stop_answer(struct db *db, void *arg)
{
    const struct stop *stop = arg;
    struct db_stmt *stmt = db_prepare(db, "UPDATE messages SET stop_requested = 1"
                                          " WHERE public_id = :public AND status = 'streaming'");

    db_bind_text(stmt, ":public", stop->message_id);
    db_run(stmt);
    stmt = db_prepare(db, "SELECT CASE WHEN status = 'streaming' AND lease_until_ms < :now"
                          " THEN 'interrupted' ELSE status END, length(CAST(content AS BLOB))"
                          " FROM messages WHERE public_id = :public AND role = 'assistant'");
    db_bind_text(stmt, ":public", stop->message_id);
    db_bind_int(stmt, ":now", stop->now_ms);
    if (!db_step(stmt))
        return fault_set(stop->fault, RESULT_NOT_FOUND, "unknown_message", "message_id",
                         "This message does not exist.");
    stop->out->status = turn_status_parse(db_text(stmt, 0, NULL));
    stop->out->content_length = (size_t)db_int(stmt, 1);
    db_reset(stmt);
    return RESULT_OK;
}

enum result store_answer_stop(struct store *store, const char *message_id, int64_t now_ms,
                              struct store_stop *out, struct fault *fault)
{
    struct stop stop = { message_id, now_ms, out, fault };

    *out = (struct store_stop){ 0 };
    return store_sqlite_write(store, stop_answer, &stop, fault);
}

enum result store_stops_pending(struct store *store, const char *writer, int64_t *rows, size_t max,
                                size_t *count)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;

    *count = 0;
    if (db == NULL)
        return RESULT_STORE_DOWN;
    stmt = db_prepare(db, "SELECT id FROM messages WHERE writer = :writer AND stop_requested = 1"
                          " AND status = 'streaming'");
    db_bind_text(stmt, ":writer", writer);
    while (*count < max && db_step(stmt))
        rows[(*count)++] = db_int(stmt, 0);
    db_reset(stmt);
    return db_readers_return(store->readers, db) == DB_OK ? RESULT_OK : RESULT_STORE_DOWN;
}

/* ---- readers elsewhere ---- */

struct watch {
    char (*message_ids)[CAP_ID];
    size_t count;
    int64_t now_ms;
};

static enum result watch_answers(struct db *db, void *arg)
{
    const struct watch *watch = arg;

    for (size_t i = 0; i < watch->count; i++) {
        struct db_stmt *stmt =
            db_prepare(db, "UPDATE messages SET watched_ms = :now"
                           " WHERE public_id = :public AND status = 'streaming'");

        db_bind_int(stmt, ":now", watch->now_ms);
        db_bind_text(stmt, ":public", watch->message_ids[i]);
        if (!db_run(stmt))
            return RESULT_STORE_DOWN;
    }
    return RESULT_OK;
}

enum result store_answers_watch(struct store *store, char (*message_ids)[CAP_ID], size_t count,
                                int64_t now_ms)
{
    struct watch watch = { message_ids, count, now_ms };

    return store_sqlite_write(store, watch_answers, &watch, NULL);
}

enum result store_answer_watched(struct store *store, const char *message_id, int64_t *at_ms)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;

    *at_ms = 0;
    if (db == NULL)
        return RESULT_STORE_DOWN;
    stmt = db_prepare(db, "SELECT watched_ms FROM messages WHERE public_id = :public");
    db_bind_text(stmt, ":public", message_id);
    if (db_step(stmt))
        *at_ms = db_int(stmt, 0);
    db_reset(stmt);
    return db_readers_return(store->readers, db) == DB_OK ? RESULT_OK : RESULT_STORE_DOWN;
}

/* ---- leases ---- */

struct expiry {
    int64_t now_ms;
    int64_t count;
};

static enum result expire_leases(struct db *db, void *arg)
{
    struct expiry *expiry = arg;
    struct db_stmt *stmt =
        db_prepare(db, "UPDATE messages SET status = 'interrupted', finish = 'interrupted',"
                       " updated_ms = :now WHERE status = 'streaming' AND lease_until_ms < :now");

    db_bind_int(stmt, ":now", expiry->now_ms);
    if (db_run(stmt))
        expiry->count = db_changes(db);
    return RESULT_OK;
}

enum result store_leases_expire(struct store *store, int64_t now_ms, int64_t *count)
{
    struct expiry expiry = { .now_ms = now_ms };
    enum result result = store_sqlite_write(store, expire_leases, &expiry, NULL);

    if (count != NULL)
        *count = result == RESULT_OK ? expiry.count : 0;
    return result;
}

/* ---- reading ---- */

enum column {
    COLUMN_STATUS,
    COLUMN_LEASE,
    COLUMN_CONVERSATION,
    COLUMN_USER,
    COLUMN_CONTRACT,
    COLUMN_PROVIDER,
    COLUMN_MODEL,
    COLUMN_ERROR,
    COLUMN_FINISH,
    COLUMN_PROMPT,
    COLUMN_COMPLETION,
    COLUMN_TOTAL,
    COLUMN_CACHED,
    COLUMN_REASONING,
    COLUMN_ESTIMATED,
    COLUMN_UPDATED,
    COLUMN_CONTENT,
    COLUMN_SOURCES,
    COLUMN_CALLS
};

static const char answer_sql[] =
    "SELECT m.status, m.lease_until_ms, c.public_id, c.user_id, c.contract, m.provider, m.model,"
    " m.error_code, m.finish, m.prompt_tokens, m.completion_tokens, m.total_tokens, "
    "m.cached_tokens,"
    " m.reasoning_tokens, m.tokens_estimated, m.updated_ms, m.content, s.sources,"
    " (SELECT '[' || group_concat(json) || ']' FROM (SELECT i.json FROM items AS i"
    "   WHERE i.message_id = m.id AND i.json LIKE '{\"type\":\"tool_call\",%' ORDER BY i.id))"
    " FROM messages AS m JOIN conversations AS c ON c.id = m.conversation_id"
    " LEFT JOIN message_sources AS s ON s.message_id = m.id"
    " WHERE m.public_id = :public AND m.role = 'assistant'";

static void copy_text(struct db_stmt *stmt, enum column column, char *target, size_t size)
{
    const char *text = db_text(stmt, (int)column, NULL);

    text_copy(target, size, text != NULL ? text : "");
}

static void read_usage(struct db_stmt *stmt, struct stream_usage *usage)
{
    *usage = (struct stream_usage){
        .prompt_tokens = db_int(stmt, COLUMN_PROMPT),
        .completion_tokens = db_int(stmt, COLUMN_COMPLETION),
        .total_tokens = db_int(stmt, COLUMN_TOTAL),
        .cached_tokens = db_int(stmt, COLUMN_CACHED),
        .reasoning_tokens = db_int(stmt, COLUMN_REASONING),
        .known = !db_is_null(stmt, COLUMN_TOTAL),
        .estimated = db_int(stmt, COLUMN_ESTIMATED) != 0,
    };
}

static bool read_text(struct db_stmt *stmt, size_t after, struct store_answer *out)
{
    const char *content = db_text(stmt, COLUMN_CONTENT, &out->total_len);
    size_t from = after < out->total_len ? after : out->total_len;

    /* An offset inside a character, which only a stranger could make up, moves to the next one. */
    while (from < out->total_len && ((unsigned char)content[from] & 0xc0) == 0x80)
        from++;
    out->text_len = out->total_len - from;
    out->text = malloc(out->text_len + 1);
    if (out->text == NULL)
        return false;
    memcpy(out->text, content + from, out->text_len);
    out->text[out->text_len] = '\0';
    return true;
}

/* NULL stays NULL. False when out of memory. */
static bool read_owned(struct db_stmt *stmt, enum column column, char **out)
{
    const char *text = db_text(stmt, (int)column, NULL);

    *out = text != NULL ? strdup(text) : NULL;
    return text == NULL || *out != NULL;
}

static bool read_answer(struct db_stmt *stmt, size_t after, int64_t now_ms,
                        struct store_answer *out)
{
    const char *status = db_text(stmt, COLUMN_STATUS, NULL);
    const char *finish = db_text(stmt, COLUMN_FINISH, NULL);

    out->status = turn_status_parse(status != NULL ? status : "");
    out->finish = finish_reason_parse(finish != NULL ? finish : "");
    if (out->status == TURN_STREAMING && db_int(stmt, COLUMN_LEASE) < now_ms) {
        out->status = TURN_INTERRUPTED;
        out->finish = FINISH_INTERRUPTED;
    }
    copy_text(stmt, COLUMN_CONVERSATION, out->conversation_id, sizeof out->conversation_id);
    copy_text(stmt, COLUMN_CONTRACT, out->contract, sizeof out->contract);
    copy_text(stmt, COLUMN_PROVIDER, out->provider, sizeof out->provider);
    copy_text(stmt, COLUMN_MODEL, out->model, sizeof out->model);
    copy_text(stmt, COLUMN_ERROR, out->error_code, sizeof out->error_code);
    read_usage(stmt, &out->usage);
    out->updated_ms = db_int(stmt, COLUMN_UPDATED);
    return read_owned(stmt, COLUMN_USER, &out->user_id) &&
           read_owned(stmt, COLUMN_SOURCES, &out->sources) &&
           read_owned(stmt, COLUMN_CALLS, &out->calls) && read_text(stmt, after, out);
}

enum result store_answer_get(struct store *store, const char *message_id, size_t after,
                             int64_t now_ms, struct store_answer *out, struct fault *fault)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    enum result result = RESULT_OK;
    struct db_stmt *stmt;
    bool found;

    *out = (struct store_answer){ 0 };
    if (db == NULL)
        return store_sqlite_fault(fault, status);
    stmt = db_prepare(db, answer_sql);
    db_bind_text(stmt, ":public", message_id);
    found = db_step(stmt);
    if (found && !read_answer(stmt, after, now_ms, out))
        result = fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
    db_reset(stmt);
    status = db_readers_return(store->readers, db);
    if (status != DB_OK)
        result = store_sqlite_fault(fault, status);
    else if (!found)
        result = fault_set(fault, RESULT_NOT_FOUND, "unknown_message", "message_id",
                           "This message does not exist.");
    if (result != RESULT_OK)
        store_answer_free(out);
    return result;
}

void store_answer_free(struct store_answer *answer)
{
    if (answer == NULL)
        return;
    free(answer->user_id);
    free(answer->sources);
    free(answer->calls);
    free(answer->text);
    *answer = (struct store_answer){ 0 };
}
