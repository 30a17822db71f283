/*
 * store_sqlite_items: the items of turns. A front end of the Responses app names no conversation; it sends all items
 * back each time, and the newest id that we know tells which conversation it is. Runs on request threads.
 */
#include "common/store/store_items.h"

#include <string.h>

#include "common/base/text.h"
#include "common/store/store_sqlite.h"

static bool find(struct db *db, const struct owner *owner, const char *item_id,
                 char conversation_id[CAP_ID])
{
    struct db_stmt *stmt = db_prepare(
        db, "SELECT c.public_id FROM items AS i JOIN conversations AS c ON c.id = i.conversation_id"
            " WHERE i.item_id = :item AND c.owner_kind = :kind AND c.owner_id = :owner"
            " ORDER BY i.id DESC LIMIT 1");
    bool found;

    db_bind_text(stmt, ":item", item_id);
    store_sqlite_bind_owner(stmt, owner);
    found = db_step(stmt);
    if (found)
        text_copy(conversation_id, CAP_ID, db_text(stmt, 0, NULL));
    db_reset(stmt);
    return found;
}

enum result store_items_conversation(struct store *store, const struct owner *owner,
                                     char (*ids)[STORE_ITEM_ID_SIZE], size_t count,
                                     char conversation_id[CAP_ID], struct fault *fault)
{
    enum db_status status;
    struct db *db;

    conversation_id[0] = '\0';
    if (count == 0 || owner->kind == OWNER_NONE)
        return RESULT_OK;
    db = db_readers_take(store->readers, &status);
    if (db == NULL)
        return store_sqlite_fault(fault, status);
    for (size_t i = 0; i < count; i++)
        if (find(db, owner, ids[i], conversation_id))
            break;
    status = db_readers_return(store->readers, db);
    return status == DB_OK ? RESULT_OK : store_sqlite_fault(fault, status);
}

/* ---- adding ---- */

struct addition {
    const char *message_id;
    bool asked;
    const char *role;
    const struct store_item *items;
    size_t count;
};

static bool find_message(struct db *db, const struct addition *addition, int64_t *message,
                         int64_t *conversation)
{
    struct db_stmt *stmt =
        db_prepare(db, "SELECT CASE WHEN :asked THEN reply_to ELSE id END, conversation_id"
                       " FROM messages WHERE public_id = :public");
    bool found;

    db_bind_text(stmt, ":public", addition->message_id);
    db_bind_int(stmt, ":asked", addition->asked);
    found = db_step(stmt) && !db_is_null(stmt, 0);
    if (found) {
        *message = db_int(stmt, 0);
        *conversation = db_int(stmt, 1);
    }
    db_reset(stmt);
    return found;
}

static void insert(struct db *db, int64_t message, int64_t conversation,
                   const struct store_item *item)
{
    struct db_stmt *stmt =
        db_prepare(db, "INSERT INTO items (message_id, conversation_id, item_id, json)"
                       " VALUES (:message, :conversation, :item, :json)");

    db_bind_int(stmt, ":message", message);
    db_bind_int(stmt, ":conversation", conversation);
    if (item->id != NULL && strlen(item->id) < STORE_ITEM_ID_SIZE)
        db_bind_text(stmt, ":item", item->id);
    else
        db_bind_null(stmt, ":item");
    db_bind_text_len(stmt, ":json", item->json, item->len);
    db_run(stmt);
}

static void rename_role(struct db *db, int64_t message, const char *role)
{
    struct db_stmt *stmt = db_prepare(db, "UPDATE messages SET role = :role WHERE id = :message");

    db_bind_text(stmt, ":role", role);
    db_bind_int(stmt, ":message", message);
    db_run(stmt);
}

static enum result add_all(struct db *db, void *arg)
{
    const struct addition *addition = arg;
    int64_t message, conversation;

    if (!find_message(db, addition, &message, &conversation))
        return db_status(db) == DB_OK ? RESULT_NOT_FOUND : RESULT_STORE_DOWN;
    for (size_t i = 0; i < addition->count; i++)
        insert(db, message, conversation, &addition->items[i]);
    if (addition->role != NULL)
        rename_role(db, message, addition->role);
    return RESULT_OK;
}

enum result store_items_add(struct store *store, const char *message_id, bool asked,
                            const char *role, const struct store_item *items, size_t count)
{
    struct addition addition = { message_id, asked, role, items, count };

    return store_sqlite_write(store, add_all, &addition, NULL);
}

/* ---- reading ---- */

enum result store_items_read(struct store *store, const char *conversation_id,
                             void (*visit)(void *ctx, const char *json, size_t len), void *ctx,
                             struct fault *fault)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    size_t len;

    if (db == NULL)
        return store_sqlite_fault(fault, status);
    stmt = db_prepare(db, "SELECT i.json FROM items AS i JOIN conversations AS c"
                          " ON c.id = i.conversation_id WHERE c.public_id = :public ORDER BY i.id");
    db_bind_text(stmt, ":public", conversation_id);
    while (db_step(stmt)) {
        const char *json = db_text(stmt, 0, &len);

        visit(ctx, json, len);
    }
    db_reset(stmt);
    status = db_readers_return(store->readers, db);
    return status == DB_OK ? RESULT_OK : store_sqlite_fault(fault, status);
}
