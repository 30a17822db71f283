/*
 * store_sqlite_history: the exchanges of a user_id (contract 002), and what the store says of itself.
 *
 * All answers to a question lie between it and the next one (store_sqlite_window.c says why), so one pass in
 * order makes the pairs. Runs on request threads.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/base/buf.h"
#include "common/store/conversations.h"
#include "common/store/store_sqlite.h"
#include "common/store/store_sqlite_window.h"

/* ---- whose ---- */

/* RESULT_OK with *conversation 0 for a user_id that nobody uses. */
static enum result find_user(struct db *db, const struct store_asker *asker, const char *user_id,
                             int64_t *conversation, struct fault *fault)
{
    struct db_stmt *stmt = db_prepare(db, "SELECT c.id, " OWNER_RULE
                                          " FROM conversations AS c WHERE c.user_id = :user");
    bool found, mine;

    db_bind_text(stmt, ":user", user_id);
    store_sqlite_bind_rule(stmt, asker->owner);
    found = db_step(stmt);
    *conversation = found ? db_int(stmt, 0) : 0;
    mine = found && db_int(stmt, 1) != 0;
    db_reset(stmt);
    if (found && !mine)
        return fault_set(fault, RESULT_NOT_FOUND, "unknown_user", "user_id",
                         "This user_id does not exist.");
    return RESULT_OK;
}

/* ---- pairs ---- */

struct pairing {
    store_exchange_visit *visit;
    void *ctx;
    int64_t asked_ms;
    struct buf question, answer;
    bool pending; /* a question is waiting for the next one, or the end */
    bool more;
};

static void end_pair(struct pairing *pairing)
{
    struct store_exchange exchange = {
        .asked_ms = pairing->asked_ms,
        .question = buf_str(&pairing->question),
        .question_len = pairing->question.len,
        .answer = buf_str(&pairing->answer),
        .answer_len = pairing->answer.len,
    };

    if (pairing->pending)
        pairing->more = pairing->visit(pairing->ctx, &exchange);
    pairing->pending = false;
    buf_clear(&pairing->question);
    buf_clear(&pairing->answer);
}

enum column { COLUMN_ROLE, COLUMN_CREATED, COLUMN_CONTINUES, COLUMN_CONTENT };

static void pair_row(struct pairing *pairing, struct db_stmt *stmt)
{
    const char *role = db_text(stmt, COLUMN_ROLE, NULL);
    size_t len;
    const char *content = db_text(stmt, COLUMN_CONTENT, &len);

    if (role != NULL && strcmp(role, "user") == 0) {
        end_pair(pairing);
        pairing->asked_ms = db_int(stmt, COLUMN_CREATED);
        pairing->pending = true;
        buf_put(&pairing->question, content, len);
    } else if (pairing->pending) {
        if (db_is_null(stmt, COLUMN_CONTINUES))
            buf_clear(&pairing->answer);
        buf_put(&pairing->answer, content, len);
    }
}

static void visit_pairs(struct db *db, int64_t conversation, int64_t first, int64_t now_ms,
                        int64_t before_ms, struct pairing *pairing)
{
    struct db_stmt *stmt = db_prepare(
        db, "SELECT m.role, m.created_ms, m.continues, m.content FROM messages AS m"
            " WHERE m.conversation_id = :conversation AND m.id >= :first AND m.id <"
            " coalesce((SELECT n.id FROM messages AS n WHERE n.conversation_id = :conversation"
            " AND n.id >= :first AND n.role = 'user' AND n.created_ms >= :before"
            " ORDER BY n.id LIMIT 1), 9223372036854775807)"
            " AND (m.role = 'user' OR " ANSWER_USABLE ") ORDER BY m.id");

    db_bind_int(stmt, ":conversation", conversation);
    db_bind_int(stmt, ":first", first);
    db_bind_int(stmt, ":now", now_ms);
    db_bind_int(stmt, ":before", before_ms);
    while (pairing->more && db_step(stmt))
        pair_row(pairing, stmt);
    db_reset(stmt);
    if (pairing->more)
        end_pair(pairing);
}

/* The row of the question that the page begins with; 0 when there is none. */
static int64_t first_question(struct db *db, int64_t conversation, int64_t before_ms, size_t limit)
{
    struct db_stmt *stmt =
        db_prepare(db, "SELECT min(id) FROM (SELECT id FROM messages"
                       " WHERE conversation_id = :conversation AND role = 'user'"
                       " AND created_ms < :before ORDER BY id DESC LIMIT :limit)");
    int64_t row;

    db_bind_int(stmt, ":conversation", conversation);
    db_bind_int(stmt, ":before", before_ms);
    db_bind_int(stmt, ":limit", (int64_t)limit);
    row = db_step(stmt) ? db_int(stmt, 0) : 0;
    db_reset(stmt);
    return row;
}

enum result store_history_read(struct store *store, const struct store_asker *asker,
                               const char *user_id, int64_t before_ms, size_t limit,
                               store_exchange_visit *visit, void *ctx, struct fault *fault)
{
    struct pairing pairing = { .visit = visit, .ctx = ctx, .more = true };
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    int64_t conversation, first = 0;
    enum result result;

    if (db == NULL)
        return store_sqlite_fault(fault, status);
    buf_init(&pairing.question, CAP_ANSWER);
    buf_init(&pairing.answer, CAP_RESPONSE_BODY);
    result = find_user(db, asker, user_id, &conversation, fault);
    if (result == RESULT_OK && conversation != 0)
        first = first_question(db, conversation, before_ms, limit);
    if (first != 0)
        visit_pairs(db, conversation, first, asker->now_ms, before_ms, &pairing);
    if (result == RESULT_OK && (pairing.question.failed || pairing.answer.failed))
        result = fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
    buf_free(&pairing.question);
    buf_free(&pairing.answer);
    status = db_readers_return(store->readers, db);
    return status == DB_OK ? result : store_sqlite_fault(fault, status);
}

/* ---- the store itself ---- */

static int64_t file_size(const char *path, const char *suffix)
{
    struct stat info;
    struct buf name;
    int64_t size = 0;

    buf_init(&name, 8192);
    if (buf_puts(&name, path) && buf_puts(&name, suffix) && stat(buf_str(&name), &info) == 0)
        size = info.st_size;
    buf_free(&name);
    return size;
}

enum result store_describe(struct store *store, struct store_facts *out)
{
    struct statvfs disk;
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);

    *out = (struct store_facts){ .disk_free_bytes = -1, .disk_total_bytes = -1 };
    out->size_bytes = file_size(store->path, "") + file_size(store->path, "-wal");
    if (statvfs(store->path, &disk) == 0) {
        out->disk_free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
        out->disk_total_bytes = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize;
    }
    if (db == NULL)
        return RESULT_STORE_DOWN;
    out->schema = db_exec_int(db, "PRAGMA user_version", -1);
    out->wal = db_is_wal(db);
    return db_readers_return(store->readers, db) == DB_OK ? RESULT_OK : RESULT_STORE_DOWN;
}
