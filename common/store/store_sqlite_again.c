/*
 * store_sqlite_again: other answers: the last question answered anew, and an answer gone on with. Each is one
 * job of the group commit that adds one row; what was there stays.
 *
 * Only the last question can be answered again, so all answers to a question lie between it and the next one;
 * whoever reads histories relies on that. Runs on request threads, perhaps on another caller's.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/id.h"
#include "common/base/text.h"
#include "common/store/conversations.h"
#include "common/store/store_sqlite.h"
#include "common/store/store_sqlite_window.h"

struct again_job {
    const struct store_again *again;
    struct store_again_begun *out;
    struct fault *fault;
    int64_t conversation; /* rows */
    int64_t question;
    int64_t continues; /* 0: answered anew */
};

static enum result out_of_memory(struct fault *fault)
{
    return fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
}

/* A copy of a column into *out, NULL for SQL NULL. False when out of memory. */
static bool copy_column(struct db_stmt *stmt, int column, char **out)
{
    const char *text = db_text(stmt, column, NULL);

    if (text == NULL)
        return true;
    *out = strdup(text);
    return *out != NULL;
}

/* ---- the conversation ---- */

#define FOUND_COLUMNS "c.id, c.public_id, c.contract, c.user_id, c.user_context"
#define ALIVE         "(c.contract <> 'session' OR c.updated_ms >= :oldest)"

static struct db_stmt *find_statement(struct db *db, const struct store_again *again)
{
    struct db_stmt *stmt;

    if (again->message_id != NULL) {
        stmt = db_prepare(db, "SELECT " FOUND_COLUMNS
                              ", m.id FROM messages AS m JOIN conversations AS c"
                              " ON c.id = m.conversation_id WHERE m.public_id = :public"
                              " AND m.role = 'assistant' AND " ALIVE " AND " OWNER_RULE);
        db_bind_text(stmt, ":public", again->message_id);
    } else {
        stmt = db_prepare(db, "SELECT " FOUND_COLUMNS ", 0 FROM conversations AS c"
                              " WHERE c.public_id = :public AND " ALIVE " AND " OWNER_RULE);
        db_bind_text(stmt, ":public", again->conversation_id);
    }
    db_bind_int(stmt, ":oldest",
                again->session_ttl_ms > 0 ? again->now_ms - again->session_ttl_ms : INT64_MIN);
    store_sqlite_bind_rule(stmt, again->owner);
    return stmt;
}

static enum result unknown(const struct again_job *job)
{
    if (job->again->message_id != NULL)
        return fault_set(job->fault, RESULT_NOT_FOUND, "unknown_message", "message_id",
                         "This message does not exist.");
    return fault_set(job->fault, RESULT_NOT_FOUND, "unknown_conversation", "conversation_id",
                     "This conversation does not exist.");
}

static enum result find_conversation(struct db *db, struct again_job *job)
{
    struct db_stmt *stmt = find_statement(db, job->again);
    struct store_turn_begun *turn = &job->out->turn;
    bool copied;

    if (!db_step(stmt))
        return db_status(db) != DB_OK ? RESULT_STORE_DOWN : unknown(job);
    job->conversation = db_int(stmt, 0);
    text_copy(turn->conversation_id, sizeof turn->conversation_id, db_text(stmt, 1, NULL));
    text_copy(job->out->contract, sizeof job->out->contract, db_text(stmt, 2, NULL));
    copied = copy_column(stmt, 3, &job->out->user_id) && copy_column(stmt, 4, &turn->context_json);
    job->continues = db_int(stmt, 5);
    db_reset(stmt);
    return copied ? RESULT_OK : out_of_memory(job->fault);
}

static enum result find_question(struct db *db, struct again_job *job)
{
    struct db_stmt *stmt =
        db_prepare(db, "SELECT id, content FROM messages WHERE conversation_id = :conversation"
                       " AND role = 'user' ORDER BY id DESC LIMIT 1");
    bool copied = true;

    db_bind_int(stmt, ":conversation", job->conversation);
    if (db_step(stmt)) {
        job->question = db_int(stmt, 0);
        copied = copy_column(stmt, 1, &job->out->question);
    }
    db_reset(stmt);
    if (!copied)
        return out_of_memory(job->fault);
    if (job->question == 0)
        return fault_set(job->fault, RESULT_CONFLICT, "no_question", NULL,
                         "Nothing has been asked in this conversation yet.");
    return RESULT_OK;
}

/* ---- may it be? ---- */

static enum result answer_running(struct fault *fault)
{
    return fault_set(fault, RESULT_CONFLICT, "answer_running", NULL,
                     "The answer is still being written. Stop it first, or wait for its end.");
}

static enum result check_nothing_runs(struct db *db, struct again_job *job)
{
    struct db_stmt *stmt =
        db_prepare(db, "SELECT 1 FROM messages WHERE conversation_id = :conversation"
                       " AND id > :question AND status = 'streaming' AND lease_until_ms >= :now");
    bool runs;

    db_bind_int(stmt, ":conversation", job->conversation);
    db_bind_int(stmt, ":question", job->question);
    db_bind_int(stmt, ":now", job->again->now_ms);
    runs = db_step(stmt);
    db_reset(stmt);
    return runs ? answer_running(job->fault) : RESULT_OK;
}

/* An answer that ended before its end: status, finish and lease of the row to go on from. */
static enum result check_unfinished(struct db *db, struct again_job *job)
{
    struct db_stmt *stmt = db_prepare(
        db, "SELECT m.reply_to IS :question, " ANSWER_USABLE
            " AND (m.status <> 'complete' OR m.finish = 'length'),"
            " EXISTS (SELECT 1 FROM messages AS n WHERE n.conversation_id = :conversation"
            " AND n.id > m.id AND n.continues IS NOT m.id AND (n.role = 'user' OR"
            " (n.status <> 'failed' AND coalesce(n.finish, '') <> 'fallback'"
            " AND (n.content <> '' OR n.status = 'streaming')))), m.status = 'streaming'"
            " AND m.lease_until_ms >= :now FROM messages AS m WHERE m.id = :id");
    bool last, unfinished, moved_on, running;

    db_bind_int(stmt, ":question", job->question);
    db_bind_int(stmt, ":conversation", job->conversation);
    db_bind_int(stmt, ":now", job->again->now_ms);
    db_bind_int(stmt, ":id", job->continues);
    if (!db_step(stmt))
        return RESULT_STORE_DOWN;
    last = db_int(stmt, 0) != 0;
    unfinished = db_int(stmt, 1) != 0;
    moved_on = db_int(stmt, 2) != 0;
    running = db_int(stmt, 3) != 0;
    db_reset(stmt);
    if (running)
        return answer_running(job->fault);
    if (!last || moved_on)
        return fault_set(job->fault, RESULT_CONFLICT, "answer_superseded", NULL,
                         "The conversation has moved on since this answer.");
    if (!unfinished)
        return fault_set(
            job->fault, RESULT_CONFLICT, "answer_complete", NULL,
            "There is nothing to go on with: the answer is complete, has failed, or has no text.");
    return RESULT_OK;
}

/* ---- sent before? ---- */

static bool take_duplicate(struct db_stmt *stmt, struct again_job *job)
{
    struct store_turn_begun *turn = &job->out->turn;

    if (!db_step(stmt))
        return false;
    text_copy(turn->message_id, sizeof turn->message_id, db_text(stmt, 0, NULL));
    turn->message_row = db_int(stmt, 1);
    turn->duplicate = true;
    db_reset(stmt);
    return true;
}

/* A request's client_message_id is kept in the answer's row here, apart from those of questions, in which no control
 * character may be. */
#define KEPT_CLIENT "char(1) || :client"

static bool sent_before(struct db *db, struct again_job *job)
{
    struct db_stmt *stmt;

    if (job->again->client_message_id == NULL)
        return false;
    stmt = db_prepare(db, "SELECT public_id, id FROM messages WHERE client_message_id ="
                          " " KEPT_CLIENT " AND conversation_id = :conversation");
    db_bind_text(stmt, ":client", job->again->client_message_id);
    db_bind_int(stmt, ":conversation", job->conversation);
    return take_duplicate(stmt, job);
}

/* Gone on with already, and something came of it or still may. */
static bool continued_before(struct db *db, struct again_job *job)
{
    struct db_stmt *stmt =
        db_prepare(db, "SELECT public_id, id FROM messages WHERE conversation_id = :conversation"
                       " AND id > :id AND continues = :id AND status <> 'failed' AND (content <> ''"
                       " OR (status = 'streaming' AND lease_until_ms >= :now))"
                       " ORDER BY id DESC LIMIT 1");

    db_bind_int(stmt, ":conversation", job->conversation);
    db_bind_int(stmt, ":id", job->continues);
    db_bind_int(stmt, ":now", job->again->now_ms);
    return take_duplicate(stmt, job);
}

/* ---- the new row ---- */

static enum result insert_answer(struct db *db, struct again_job *job)
{
    const struct store_again *again = job->again;
    struct store_turn_begun *turn = &job->out->turn;
    struct db_stmt *stmt = db_prepare(
        db, "INSERT INTO messages (public_id, conversation_id, role, status, reply_to,"
            " client_message_id, writer, lease_until_ms, provider, model, created_ms, updated_ms,"
            " content, again, continues) VALUES (:public, :conversation, 'assistant', 'streaming',"
            " :question, " KEPT_CLIENT ", :writer, :lease, :provider, :model, :now, :now, '',"
            " :question, nullif(:continues, 0))");

    db_bind_text(stmt, ":public", turn->message_id);
    db_bind_int(stmt, ":conversation", job->conversation);
    db_bind_int(stmt, ":question", job->question);
    db_bind_text(stmt, ":client", job->continues == 0 ? again->client_message_id : NULL);
    db_bind_text(stmt, ":writer", again->writer);
    db_bind_int(stmt, ":lease", again->lease_until_ms);
    db_bind_text(stmt, ":provider", again->provider);
    db_bind_text(stmt, ":model", again->model);
    db_bind_int(stmt, ":now", again->now_ms);
    db_bind_int(stmt, ":continues", job->continues);
    if (!db_run(stmt))
        return RESULT_STORE_DOWN;
    turn->message_row = db_last_id(db);
    store_sqlite_owner_seen(db, again->owner, again->now_ms);
    stmt = db_prepare(db, "UPDATE conversations SET updated_ms = :now WHERE id = :conversation");
    db_bind_int(stmt, ":now", again->now_ms);
    db_bind_int(stmt, ":conversation", job->conversation);
    return db_run(stmt) ? RESULT_OK : RESULT_STORE_DOWN;
}

/* The writer of an answer that was given up may only have been slow, and would take it back: but others go on from the
 * text as it is now. */
static void settle_continued(struct db *db, const struct again_job *job)
{
    struct db_stmt *stmt =
        db_prepare(db, "UPDATE messages SET writer = NULL, lease_until_ms = NULL,"
                       " status = 'interrupted', finish = 'interrupted'"
                       " WHERE id = :continues AND lease_until_ms IS NOT NULL");

    db_bind_int(stmt, ":continues", job->continues);
    db_run(stmt);
}

static enum result begin_again(struct db *db, struct again_job *job)
{
    struct store_sqlite_past past = {
        .conversation = job->conversation,
        .question = job->continues != 0 ? job->continues : job->question,
        .max = job->again->history_max,
        .now_ms = job->again->now_ms,
    };
    const struct store_again *again = job->again;
    struct store_turn_begun *turn = &job->out->turn;
    enum result result = store_sqlite_charge(db, again->limits, again->now_ms, job->fault);

    if (result != RESULT_OK ||
        (result = store_sqlite_history(db, &past, turn, job->fault)) != RESULT_OK ||
        (result = insert_answer(db, job)) != RESULT_OK)
        return result;
    return store_sqlite_reserve(db, again->limits, turn, again->now_ms, job->fault);
}

static enum result regenerate(struct db *db, void *arg)
{
    struct again_job *job = arg;
    enum result result = find_conversation(db, job);

    if (result != RESULT_OK || (result = find_question(db, job)) != RESULT_OK ||
        sent_before(db, job) || (result = check_nothing_runs(db, job)) != RESULT_OK)
        return result;
    return begin_again(db, job);
}

static enum result go_on(struct db *db, void *arg)
{
    struct again_job *job = arg;
    enum result result = find_conversation(db, job);

    if (result != RESULT_OK || (result = find_question(db, job)) != RESULT_OK ||
        continued_before(db, job) || (result = check_unfinished(db, job)) != RESULT_OK)
        return result;
    settle_continued(db, job);
    return begin_again(db, job);
}

static enum result run(struct store *store, db_writer_job *work, const struct store_again *again,
                       struct store_again_begun *out, struct fault *fault)
{
    struct again_job job = { .again = again, .out = out, .fault = fault };
    enum result result;

    *out = (struct store_again_begun){ 0 };
    id_make(out->turn.message_id, "msg_");
    result = store_sqlite_write(store, work, &job, fault);
    if (result != RESULT_OK) {
        char *question = out->question;

        out->question = NULL;
        store_again_begun_free(out);
        if (result == RESULT_LIMITED)
            out->question = question;
        else
            free(question);
    }
    return result;
}

enum result store_turn_regenerate(struct store *store, const struct store_again *again,
                                  struct store_again_begun *out, struct fault *fault)
{
    return run(store, regenerate, again, out, fault);
}

enum result store_turn_continue(struct store *store, const struct store_again *again,
                                struct store_again_begun *out, struct fault *fault)
{
    return run(store, go_on, again, out, fault);
}

void store_again_begun_free(struct store_again_begun *begun)
{
    store_turn_begun_free(&begun->turn);
    free(begun->user_id);
    free(begun->question);
    *begun = (struct store_again_begun){ 0 };
}
