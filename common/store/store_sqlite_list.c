/*
 * store_sqlite_list: conversations listed, read, renamed and erased, and what people think of answers.
 *
 * Rows are handed to the caller one by one while the statement runs, so that a long conversation needs no
 * memory but the reply's. Each statement carries the owner's condition. Runs on request threads.
 */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/text.h"
#include "common/store/conversations.h"
#include "common/store/store_sqlite.h"

static enum result unknown_conversation(struct fault *fault)
{
    return fault_set(fault, RESULT_NOT_FOUND, "unknown_conversation", "conversation_id",
                     "This conversation does not exist.");
}

static int64_t oldest_session(const struct store_asker *asker)
{
    return asker->session_ttl_ms > 0 ? asker->now_ms - asker->session_ttl_ms : INT64_MIN;
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

#define CONVERSATION_COLUMNS                                                                       \
    "c.id, c.public_id, c.contract, c.user_id, c.title, c.created_ms, c.updated_ms"

/* What it has cost, for whom it belongs to and for keys; USER_ID_ACCESS=open does not count here. */
#define USAGE_COLUMNS "u.answers, u.prompt_tokens, u.completion_tokens, u.cost_nano"
#define USAGE_JOIN                                                                                 \
    " LEFT JOIN usage_by_conversation AS u ON u.conversation_id = c.id"                            \
    " AND (:kind = 'key' OR (c.owner_kind = :kind AND c.owner_id = :owner))"

static void read_conversation(struct db_stmt *stmt, struct store_conversation *out)
{
    *out = (struct store_conversation){
        .row = db_int(stmt, 0),
        .id = db_text(stmt, 1, NULL),
        .contract = db_text(stmt, 2, NULL),
        .user_id = db_text(stmt, 3, NULL),
        .title = or_empty(db_text(stmt, 4, NULL)),
        .created_ms = db_int(stmt, 5),
        .updated_ms = db_int(stmt, 6),
    };
}

static void read_usage(struct db_stmt *stmt, struct store_conversation *out)
{
    out->usage = (struct store_conversation_usage){
        .answers = db_int(stmt, 7),
        .prompt_tokens = db_int(stmt, 8),
        .completion_tokens = db_int(stmt, 9),
        .cost_nano = db_int(stmt, 10),
    };
}

/* ---- the list ---- */

#define LIST_SELECT                                                                                \
    "SELECT " CONVERSATION_COLUMNS                                                                 \
    " FROM conversations AS c WHERE c.owner_kind = :kind AND c.owner_id = :owner"                  \
    " AND (c.updated_ms, c.id) < (:before_ms, :before_row)"                                        \
    " AND (c.contract <> 'session' OR c.updated_ms >= :oldest)"                                    \
    " AND EXISTS (SELECT 1 FROM messages AS m WHERE m.conversation_id = c.id)"
#define LIST_ORDER " ORDER BY c.updated_ms DESC, c.id DESC LIMIT :limit"

static struct db_stmt *list_statement(struct db *db, const char *text)
{
    struct db_stmt *stmt;

    if (text == NULL)
        return db_prepare(db, LIST_SELECT LIST_ORDER);
    stmt = db_prepare(
        db, LIST_SELECT
        " AND (text_contains(c.title, :text) OR EXISTS (SELECT 1 FROM messages AS m"
        " WHERE m.conversation_id = c.id AND text_contains(m.content, :text)))" LIST_ORDER);
    db_bind_text(stmt, ":text", text);
    return stmt;
}

enum result store_conversations_list(struct store *store, const struct store_asker *asker,
                                     const struct store_list_query *query,
                                     store_conversation_visit *visit, void *ctx,
                                     struct fault *fault)
{
    struct store_conversation conversation;
    enum db_status status = DB_OK;
    struct db_stmt *stmt;
    struct db *db;
    bool more = true;

    if (asker->owner->kind == OWNER_NONE)
        return RESULT_OK;
    db = db_readers_take(store->readers, &status);
    if (db == NULL)
        return store_sqlite_fault(fault, status);
    stmt = list_statement(db, query->text);
    store_sqlite_bind_owner(stmt, asker->owner);
    db_bind_int(stmt, ":before_ms", query->before_ms);
    db_bind_int(stmt, ":before_row", query->before_row);
    db_bind_int(stmt, ":oldest", oldest_session(asker));
    db_bind_int(stmt, ":limit", (int64_t)query->limit);
    while (more && db_step(stmt)) {
        read_conversation(stmt, &conversation);
        more = visit(ctx, &conversation);
    }
    db_reset(stmt);
    status = db_readers_return(store->readers, db);
    return status == DB_OK ? RESULT_OK : store_sqlite_fault(fault, status);
}

/* ---- one conversation ---- */

enum message_column {
    COLUMN_ID,
    COLUMN_ROLE,
    COLUMN_STATUS,
    COLUMN_PROVIDER,
    COLUMN_MODEL,
    COLUMN_FINISH,
    COLUMN_ERROR,
    COLUMN_PROMPT,
    COLUMN_COMPLETION,
    COLUMN_TOTAL,
    COLUMN_CACHED,
    COLUMN_REASONING,
    COLUMN_ESTIMATED,
    COLUMN_CREATED,
    COLUMN_UPDATED,
    COLUMN_AGAIN,
    COLUMN_RATING,
    COLUMN_CONTINUES,
    COLUMN_SOURCES,
    COLUMN_ATTACHMENTS,
    COLUMN_ITEMS,
    COLUMN_CONTENT
};

static const char messages_sql[] =
    "SELECT m.public_id, m.role, CASE WHEN m.status = 'streaming' AND m.lease_until_ms < :now"
    " THEN 'interrupted' ELSE m.status END, m.provider, m.model, m.finish, m.error_code,"
    " m.prompt_tokens, m.completion_tokens, m.total_tokens, m.cached_tokens, m.reasoning_tokens,"
    " m.tokens_estimated, m.created_ms, m.updated_ms, m.again, f.rating,"
    " (SELECT p.public_id FROM messages AS p WHERE p.id = m.continues), s.sources,"
    " (SELECT json_group_array(json(one)) FROM (SELECT json_object('type', 'image', 'file_id',"
    " f.public_id, 'mime', f.mime) AS one FROM pictures AS p JOIN files AS f ON f.id = p.file_id"
    " WHERE p.message_id = m.id ORDER BY p.id)),"
    " (SELECT '[' || group_concat(json) || ']' FROM"
    "   (SELECT i.json FROM items AS i WHERE i.message_id = m.id ORDER BY i.id)), m.content"
    " FROM messages AS m LEFT JOIN feedback AS f ON f.message_id = m.id"
    " LEFT JOIN message_sources AS s ON s.message_id = m.id"
    " WHERE m.conversation_id = :conversation ORDER BY m.id";

static void read_message(struct db_stmt *stmt, struct store_message *out)
{
    *out = (struct store_message){
        .id = db_text(stmt, COLUMN_ID, NULL),
        .role = db_text(stmt, COLUMN_ROLE, NULL),
        .status = turn_status_parse(or_empty(db_text(stmt, COLUMN_STATUS, NULL))),
        .provider = or_empty(db_text(stmt, COLUMN_PROVIDER, NULL)),
        .model = or_empty(db_text(stmt, COLUMN_MODEL, NULL)),
        .finish = or_empty(db_text(stmt, COLUMN_FINISH, NULL)),
        .error_code = or_empty(db_text(stmt, COLUMN_ERROR, NULL)),
        .usage = { .prompt_tokens = db_int(stmt, COLUMN_PROMPT),
                   .completion_tokens = db_int(stmt, COLUMN_COMPLETION),
                   .total_tokens = db_int(stmt, COLUMN_TOTAL),
                   .cached_tokens = db_int(stmt, COLUMN_CACHED),
                   .reasoning_tokens = db_int(stmt, COLUMN_REASONING),
                   .known = !db_is_null(stmt, COLUMN_TOTAL),
                   .estimated = db_int(stmt, COLUMN_ESTIMATED) != 0 },
        .created_ms = db_int(stmt, COLUMN_CREATED),
        .updated_ms = db_int(stmt, COLUMN_UPDATED),
        .again = !db_is_null(stmt, COLUMN_AGAIN),
        .rating = (int)db_int(stmt, COLUMN_RATING),
        .continues = db_text(stmt, COLUMN_CONTINUES, NULL),
        .sources = db_text(stmt, COLUMN_SOURCES, NULL),
        .attachments = or_empty(db_text(stmt, COLUMN_ATTACHMENTS, NULL)),
        .items = db_text(stmt, COLUMN_ITEMS, NULL),
    };
    out->content = or_empty(db_text(stmt, COLUMN_CONTENT, &out->content_len));
}

static void visit_messages(struct db *db, int64_t conversation, int64_t now_ms,
                           store_message_visit *visit, void *ctx)
{
    struct db_stmt *stmt = db_prepare(db, messages_sql);
    struct store_message message;
    bool more = true;

    db_bind_int(stmt, ":conversation", conversation);
    db_bind_int(stmt, ":now", now_ms);
    while (more && db_step(stmt)) {
        read_message(stmt, &message);
        more = visit(ctx, &message);
    }
    db_reset(stmt);
}

enum result store_conversation_read(struct store *store, const struct store_asker *asker,
                                    const char *id, store_conversation_visit *head,
                                    store_message_visit *messages, void *ctx, struct fault *fault)
{
    struct store_conversation conversation = { .row = 0 };
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    bool found, more = false;

    if (db == NULL)
        return store_sqlite_fault(fault, status);
    stmt = db_prepare(db, "SELECT " CONVERSATION_COLUMNS ", " USAGE_COLUMNS
                          " FROM conversations AS c" USAGE_JOIN
                          " WHERE c.public_id = :public AND " OWNER_RULE
                          " AND (c.contract <> 'session' OR c.updated_ms >= :oldest)");
    db_bind_text(stmt, ":public", id);
    store_sqlite_bind_rule(stmt, asker->owner);
    db_bind_int(stmt, ":oldest", oldest_session(asker));
    found = db_step(stmt);
    if (found) {
        read_conversation(stmt, &conversation);
        read_usage(stmt, &conversation);
        more = head(ctx, &conversation);
    }
    db_reset(stmt); /* of the conversation, only what is no string may be used from here on */
    if (more && messages != NULL)
        visit_messages(db, conversation.row, asker->now_ms, messages, ctx);
    status = db_readers_return(store->readers, db);
    if (status != DB_OK)
        return store_sqlite_fault(fault, status);
    return found ? RESULT_OK : unknown_conversation(fault);
}

struct rename_job {
    const struct store_asker *asker;
    const char *id, *title;
    struct fault *fault;
};

static enum result rename_conversation(struct db *db, void *arg)
{
    const struct rename_job *job = arg;
    struct db_stmt *stmt = db_prepare(
        db, "UPDATE conversations AS c SET title = :title WHERE c.public_id = :public"
            " AND " OWNER_RULE " AND (c.contract <> 'session' OR c.updated_ms >= :oldest)");

    db_bind_text(stmt, ":title", job->title);
    db_bind_text(stmt, ":public", job->id);
    store_sqlite_bind_rule(stmt, job->asker->owner);
    db_bind_int(stmt, ":oldest", oldest_session(job->asker));
    if (!db_run(stmt))
        return RESULT_STORE_DOWN;
    return db_changes(db) > 0 ? RESULT_OK : unknown_conversation(job->fault);
}

enum result store_conversation_rename(struct store *store, const struct store_asker *asker,
                                      const char *id, const char *title, struct fault *fault)
{
    struct rename_job job = { asker, id, title, fault };

    return store_sqlite_write(store, rename_conversation, &job, fault);
}
