/*
 * store_sqlite_adopt: a running answer changes hands: another process becomes its writer and gets what it
 * needs to go on. Used where the process that accepted the question cannot stay (plain CGI).
 *
 * Runs on request threads.
 */
#include "common/store/store_sqlite.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"

struct adopt {
    const struct store_adoption *adoption;
    struct store_adopted *out;
    struct fault *fault;
};

static void copy_column(struct db_stmt *stmt, int column, char *target, size_t size)
{
    const char *text = db_text(stmt, column, NULL);

    text_copy(target, size, text != NULL ? text : "");
}

static char *copy_or_null(struct db_stmt *stmt, int column)
{
    const char *text = db_text(stmt, column, NULL);

    return text != NULL ? strdup(text) : NULL;
}

static enum result take_over(struct db *db, const struct adopt *adopt)
{
    const struct store_adoption *adoption = adopt->adoption;
    struct db_stmt *stmt = db_prepare(db, "UPDATE messages SET writer = :writer,"
                                          " lease_until_ms = :lease WHERE public_id = :public"
                                          " AND status = 'streaming' AND role = 'assistant'");

    db_bind_text(stmt, ":writer", adoption->writer);
    db_bind_int(stmt, ":lease", adoption->lease_until_ms);
    db_bind_text(stmt, ":public", adoption->message_id);
    if (!db_run(stmt))
        return RESULT_STORE_DOWN;
    if (db_changes(db) == 0)
        return fault_set(adopt->fault, RESULT_NOT_FOUND, "unknown_message", "message_id",
                         "This message does not exist or has ended.");
    return RESULT_OK;
}

static enum result adopt_answer(struct db *db, void *arg)
{
    struct adopt *adopt = arg;
    const struct store_adoption *adoption = adopt->adoption;
    struct store_adopted *out = adopt->out;
    struct store_sqlite_past past = { .now_ms = adoption->now_ms, .max = adoption->history_max };
    enum result result = take_over(db, adopt);
    struct db_stmt *stmt;

    if (result != RESULT_OK)
        return result;
    stmt = db_prepare(db, "SELECT m.id, m.reply_to, c.id, c.public_id, c.user_id, c.user_context,"
                          " m.provider, m.model, m.continues, m.again IS NULL AND NOT EXISTS"
                          " (SELECT 1 FROM messages AS q WHERE q.conversation_id = c.id"
                          " AND q.id < m.reply_to), c.owner_kind, c.owner_id"
                          " FROM messages AS m JOIN conversations AS c"
                          " ON c.id = m.conversation_id WHERE m.public_id = :public");
    db_bind_text(stmt, ":public", adoption->message_id);
    if (!db_step(stmt))
        return RESULT_STORE_DOWN;
    text_copy(out->begun.message_id, CAP_ID, adoption->message_id);
    out->begun.message_row = db_int(stmt, 0);
    out->continues = !db_is_null(stmt, 8);
    past.question = db_int(stmt, out->continues ? 8 : 1);
    past.conversation = db_int(stmt, 2);
    copy_column(stmt, 3, out->begun.conversation_id, CAP_ID);
    out->user_id = copy_or_null(stmt, 4);
    out->begun.context_json = copy_or_null(stmt, 5);
    copy_column(stmt, 6, out->provider, sizeof out->provider);
    copy_column(stmt, 7, out->model, sizeof out->model);
    out->owner.kind = store_sqlite_owner_kind_parse(db_text(stmt, 10, NULL));
    copy_column(stmt, 11, out->owner.id, sizeof out->owner.id);
    out->begun.first = db_int(stmt, 9) != 0;
    db_reset(stmt);
    return store_sqlite_history(db, &past, &out->begun, adopt->fault);
}

enum result store_turn_adopt(struct store *store, const struct store_adoption *adoption,
                             struct store_adopted *out, struct fault *fault)
{
    struct adopt adopt = { adoption, out, fault };
    enum result result;

    *out = (struct store_adopted){ 0 };
    result = store_sqlite_write(store, adopt_answer, &adopt, fault);
    if (result != RESULT_OK)
        store_adopted_free(out);
    return result;
}

void store_adopted_free(struct store_adopted *adopted)
{
    store_turn_begun_free(&adopted->begun);
    free(adopted->user_id);
    adopted->user_id = NULL;
}
