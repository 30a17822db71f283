/*
 * store_sqlite_turn: a turn begins. One job of the group commit finds or makes the conversation, charges the
 * limits (store_sqlite_limits.c), stores the question and makes the row that the answer will grow in.
 *
 * Ids are made before, so that the write lock is held for database work only. Runs on request threads,
 * perhaps on another caller's.
 */
#include "common/store/store_sqlite.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/id.h"
#include "common/base/text.h"
#include "common/chat/title.h"
#include "common/store/store_sqlite_window.h"

#define CONTRACT_SESSION "session"

/* A repeated first send of somebody without an identity, or who lost his cookie, is known by its
 * client_message_id: for so long, and when it has room for enough randomness. */
#define REPEAT_MS        (10 * 60 * 1000)
#define REPEAT_ID_LENGTH 16

struct begin {
    const struct store_turn *turn;
    struct store_turn_begun *out;
    struct fault *fault;
    int64_t conversation; /* row */
    int64_t question;     /* row */
    int64_t again;        /* that row, when it was there and is answered anew; else 0 */
    bool fresh;           /* the conversation was made by this turn */
    char title[CAP_TITLE];
};

static enum result out_of_memory(struct fault *fault)
{
    return fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
}

static bool is_session(const struct store_turn *turn)
{
    return strcmp(turn->contract, CONTRACT_SESSION) == 0;
}

/* ---- the conversation ---- */

/* The statement that looks for the conversation that the request names, NULL when it names none. */
static struct db_stmt *find_statement(struct db *db, const struct store_turn *turn)
{
    const struct turn_request *request = turn->request;
    struct db_stmt *stmt;

    if (request->user_id != NULL) {
        stmt = db_prepare(db, "SELECT id, public_id, user_context, " OWNER_RULE
                              " FROM conversations WHERE user_id = :user");
        db_bind_text(stmt, ":user", request->user_id);
        store_sqlite_bind_rule(stmt, turn->owner);
        return stmt;
    }
    if (request->conversation_id == NULL)
        return NULL;
    if (is_session(turn)) {
        stmt = db_prepare(db, "SELECT id, public_id, user_context FROM conversations"
                              " WHERE public_id = :public AND contract = 'session'"
                              " AND updated_ms >= :oldest AND " OWNER_RULE);
        db_bind_int(stmt, ":oldest",
                    turn->session_ttl_ms > 0 ? turn->now_ms - turn->session_ttl_ms : INT64_MIN);
    } else {
        stmt = db_prepare(db, "SELECT id, public_id, user_context FROM conversations"
                              " WHERE public_id = :public AND contract <> 'session'"
                              " AND " OWNER_RULE);
    }
    db_bind_text(stmt, ":public", request->conversation_id);
    store_sqlite_bind_rule(stmt, turn->owner);
    return stmt;
}

#define REPEATED                                                                                   \
    "SELECT c.id, c.public_id, c.user_context, c.owner_id FROM messages AS q"                      \
    " JOIN conversations AS c ON c.id = q.conversation_id"                                         \
    " WHERE q.client_message_id = :client AND q.role = 'user'"                                     \
    " AND q.created_ms >= :since AND c.contract <> 'session' AND c.user_id IS :user"               \
    " AND c.owner_kind = :kind AND "
#define NEWEST " ORDER BY q.id DESC LIMIT 1"

/* A visitor whom that send, without a cookie, has made, which said the same, and who has asked nothing since. */
#define SAME_NEWCOMER                                                                              \
    "q.content = :content AND EXISTS (SELECT 1 FROM visitors AS v WHERE v.id = c.owner_id"         \
    " AND v.newcomer AND v.created_ms = q.created_ms) AND NOT EXISTS (SELECT 1 FROM "              \
    "conversations AS o"                                                                           \
    " WHERE o.owner_kind = c.owner_kind AND o.owner_id = c.owner_id AND o.id <> c.id)"             \
    " AND NOT EXISTS (SELECT 1 FROM messages AS o WHERE o.conversation_id = c.id"                  \
    " AND o.role = 'user' AND o.id > q.id)"

static struct db_stmt *newcomer_statement(struct db *db, const struct store_turn *turn)
{
    struct db_stmt *stmt = db_prepare(db, REPEATED SAME_NEWCOMER NEWEST);

    db_bind_text_len(stmt, ":content", turn->request->message, turn->request->message_len);
    db_bind_text(stmt, ":kind", store_sqlite_owner_kind(OWNER_VISITOR));
    return stmt;
}

static struct db_stmt *owners_statement(struct db *db, const struct store_turn *turn)
{
    struct db_stmt *stmt = db_prepare(db, REPEATED "c.owner_id = :owner" NEWEST);

    store_sqlite_bind_owner(stmt, turn->owner);
    return stmt;
}

/* The statement that looks for the conversation that this very send has made before, when its answer got
 * lost and it is sent again; NULL when it cannot be told. */
static struct db_stmt *repeated_statement(struct db *db, const struct store_turn *turn)
{
    const char *client_id = turn->request->client_message_id;
    bool stranger = turn->owner->kind == OWNER_NONE || turn->newcomer;
    struct db_stmt *stmt;

    if (client_id == NULL || (stranger && strlen(client_id) < REPEAT_ID_LENGTH))
        return NULL;
    stmt = turn->newcomer ? newcomer_statement(db, turn) : owners_statement(db, turn);
    db_bind_text(stmt, ":client", client_id);
    db_bind_text(stmt, ":user", turn->request->user_id);
    db_bind_int(stmt, ":since", stranger ? turn->now_ms - REPEAT_MS : INT64_MIN);
    return stmt;
}

static enum result take_found(struct db_stmt *stmt, struct begin *begin)
{
    const char *given = begin->turn->request->context_json;
    const char *context;
    size_t context_len;
    enum result result = RESULT_OK;

    begin->conversation = db_int(stmt, 0);
    text_copy(begin->out->conversation_id, CAP_ID, db_text(stmt, 1, NULL));
    context = db_text(stmt, 2, &context_len);
    if (given == NULL && context != NULL) {
        begin->out->context_json = text_dup(context, context_len);
        if (begin->out->context_json == NULL)
            result = out_of_memory(begin->fault);
    }
    db_reset(stmt);
    return result;
}

/* False: this send was not made before, as far as can be told. */
static bool find_repeated(struct db *db, struct begin *begin, enum result *result)
{
    struct db_stmt *stmt = repeated_statement(db, begin->turn);

    if (stmt == NULL || !db_step(stmt))
        return false;
    if (begin->turn->newcomer)
        text_copy(begin->out->visitor, CAP_ID, db_text(stmt, 3, NULL));
    *result = take_found(stmt, begin);
    return true;
}

static enum result create_conversation(struct db *db, struct begin *begin)
{
    const struct store_turn *turn = begin->turn;
    struct db_stmt *stmt = db_prepare(
        db, "INSERT INTO conversations (public_id, contract, owner_kind, owner_id, user_id,"
            " title, user_context, created_ms, updated_ms)"
            " VALUES (:public, :contract, :kind, :owner, :user, :title, :context, :now, :now)");

    db_bind_text(stmt, ":public", begin->out->conversation_id);
    db_bind_text(stmt, ":contract", turn->contract);
    store_sqlite_bind_owner(stmt, turn->owner);
    db_bind_text(stmt, ":user", turn->request->user_id);
    db_bind_text(stmt, ":title", begin->title);
    db_bind_text(stmt, ":context", turn->request->context_json);
    db_bind_int(stmt, ":now", turn->now_ms);
    if (!db_run(stmt))
        return RESULT_STORE_DOWN;
    begin->conversation = db_last_id(db);
    begin->fresh = true;
    return RESULT_OK;
}

static enum result unknown(const struct begin *begin)
{
    if (begin->turn->request->user_id != NULL)
        return fault_set(begin->fault, RESULT_NOT_FOUND, "unknown_user", "user_id",
                         "This user_id is not one of yours.");
    if (is_session(begin->turn))
        return fault_set(begin->fault, RESULT_NOT_FOUND, "unknown_session", "sessionId",
                         "Session not found");
    return fault_set(begin->fault, RESULT_NOT_FOUND, "unknown_conversation", "conversation_id",
                     "This conversation does not exist.");
}

static enum result find_conversation(struct db *db, struct begin *begin)
{
    struct db_stmt *stmt = find_statement(db, begin->turn);
    bool may_create = begin->turn->request->user_id != NULL ||
                      (begin->turn->request->conversation_id == NULL && !is_session(begin->turn));
    bool anothers = false;
    enum result result;

    if (stmt != NULL && db_step(stmt)) {
        /* The search by user_id finds other people's too, so that it does not make a second one. */
        if (begin->turn->request->user_id == NULL || db_int(stmt, 3) != 0)
            return take_found(stmt, begin);
        db_reset(stmt);
        anothers = true;
    }
    if (may_create && (stmt == NULL || anothers) && find_repeated(db, begin, &result))
        return result;
    if (anothers)
        return unknown(begin);
    if (db_status(db) != DB_OK)
        return RESULT_STORE_DOWN;
    return may_create ? create_conversation(db, begin) : unknown(begin);
}

/* What a new question changes about a conversation that was there before. */
static void touch_conversation(struct db *db, const struct begin *begin)
{
    struct db_stmt *stmt = db_prepare(db, "UPDATE conversations SET updated_ms = :now,"
                                          " title = coalesce(title, :title),"
                                          " user_context = coalesce(:context, user_context)"
                                          " WHERE id = :conversation");

    db_bind_int(stmt, ":now", begin->turn->now_ms);
    db_bind_text(stmt, ":title", begin->title);
    db_bind_text(stmt, ":context", begin->turn->request->context_json);
    db_bind_int(stmt, ":conversation", begin->conversation);
    db_run(stmt);
}

/* ---- the messages ---- */

/* The newest answer came to nothing, and nobody has asked on: the question may be answered anew. */
#define FAILED_LAST                                                                                \
    "(a.status = 'failed' OR (a.status = 'interrupted' AND a.content = ''))"                       \
    " AND NOT EXISTS (SELECT 1 FROM messages AS o WHERE o.conversation_id = q.conversation_id"     \
    " AND o.role = 'user' AND o.id > q.id)"

/* True when this question was sent before and is answered, or will be; then `out` has its newest answer. Where that
 * failed the question is found, and only an answer is wanted. */
static bool find_duplicate(struct db *db, struct begin *begin)
{
    const char *client_id = begin->turn->request->client_message_id;
    struct db_stmt *stmt;

    if (client_id == NULL || begin->fresh)
        return false;
    stmt = db_prepare(db, "SELECT a.public_id, a.id, q.id, " FAILED_LAST
                          " FROM messages AS q JOIN messages AS a"
                          " ON a.conversation_id = q.conversation_id AND a.reply_to = q.id"
                          " AND a.id > q.id WHERE q.client_message_id = :client"
                          " AND q.conversation_id = :conversation ORDER BY a.id DESC LIMIT 1");
    db_bind_text(stmt, ":client", client_id);
    db_bind_int(stmt, ":conversation", begin->conversation);
    if (!db_step(stmt))
        return false;
    /* A newcomer's second cookie would be another visitor's than the conversation is. */
    if (db_int(stmt, 3) != 0 && begin->out->visitor[0] == '\0') {
        begin->again = begin->question = db_int(stmt, 2);
    } else {
        text_copy(begin->out->message_id, CAP_ID, db_text(stmt, 0, NULL));
        begin->out->message_row = db_int(stmt, 1);
        begin->out->duplicate = true;
    }
    db_reset(stmt);
    return begin->out->duplicate;
}

/* A message that is whole already: the question, or a line of a history that the client brought along. */
static int64_t insert_message(struct db *db, const struct begin *begin,
                              const struct chat_message *message, const char *client_id)
{
    struct db_stmt *stmt =
        db_prepare(db, "INSERT INTO messages (public_id, conversation_id, role, status,"
                       " client_message_id, created_ms, updated_ms, content) VALUES (:public,"
                       " :conversation, :role, 'complete', :client, :now, :now, :content)");
    char id[CAP_ID];

    id_make(id, "msg_");
    db_bind_text(stmt, ":public", id);
    db_bind_int(stmt, ":conversation", begin->conversation);
    db_bind_text(stmt, ":role", chat_role_name(message->role));
    db_bind_text(stmt, ":client", client_id);
    db_bind_int(stmt, ":now", begin->turn->now_ms);
    db_bind_text_len(stmt, ":content", message->content, message->len);
    return db_run(stmt) ? db_last_id(db) : 0;
}

static void insert_question(struct db *db, struct begin *begin)
{
    const struct turn_request *request = begin->turn->request;
    struct chat_message question = { CHAT_USER, request->message, request->message_len };

    for (size_t i = 0; begin->fresh && i < request->history_len; i++)
        insert_message(db, begin, &request->history[i], NULL);
    begin->question = insert_message(db, begin, &question, request->client_message_id);
    store_sqlite_pictures_insert(db, begin->question, begin->turn);
}

static void insert_answer(struct db *db, struct begin *begin)
{
    const struct store_turn *turn = begin->turn;
    struct db_stmt *stmt = db_prepare(
        db, "INSERT INTO messages (public_id, conversation_id, role, status, reply_to, writer,"
            " lease_until_ms, provider, model, created_ms, updated_ms, content, again)"
            " VALUES (:public, :conversation, 'assistant', 'streaming', :question, :writer,"
            " :lease, :provider, :model, :now, :now, '', nullif(:again, 0))");

    db_bind_text(stmt, ":public", begin->out->message_id);
    db_bind_int(stmt, ":conversation", begin->conversation);
    db_bind_int(stmt, ":question", begin->question);
    db_bind_int(stmt, ":again", begin->again);
    db_bind_text(stmt, ":writer", turn->writer);
    db_bind_int(stmt, ":lease", turn->lease_until_ms);
    db_bind_text(stmt, ":provider", turn->provider);
    db_bind_text(stmt, ":model", turn->model);
    db_bind_int(stmt, ":now", turn->now_ms);
    if (db_run(stmt))
        begin->out->message_row = db_last_id(db);
}

/* ---- the history ---- */

static enum result make_history(struct db *db, struct begin *begin)
{
    const struct turn_request *request = begin->turn->request;
    struct store_sqlite_past past = {
        .conversation = begin->conversation,
        .question = begin->question,
        .now_ms = begin->turn->now_ms,
        .max = begin->turn->history_max,
    };

    if (!begin->fresh || request->history_len > 0)
        return store_sqlite_history(db, &past, begin->out, begin->fault);
    if (!store_sqlite_window_add(begin->out, CHAT_USER, request->message, request->message_len) ||
        !store_sqlite_pictures_copy(request, begin->out))
        return out_of_memory(begin->fault);
    return RESULT_OK;
}

/* Was nothing said before? A failed answer counts as said: its question is in the history. */
static bool is_first(struct db *db, const struct begin *begin)
{
    struct db_stmt *stmt;
    bool said;

    if (begin->fresh)
        return begin->turn->request->history_len == 0;
    stmt = db_prepare(db, "SELECT 1 FROM messages WHERE conversation_id = :conversation"
                          " AND id < :question LIMIT 1");
    db_bind_int(stmt, ":conversation", begin->conversation);
    db_bind_int(stmt, ":question", begin->question);
    said = db_step(stmt);
    db_reset(stmt);
    return !said;
}

/* ---- together ---- */

/* His row was made by this question, which may be repeated without the cookie. */
static void mark_newcomer(struct db *db, const struct store_turn *turn)
{
    struct db_stmt *stmt = db_prepare(db, "UPDATE visitors SET newcomer = 1 WHERE id = :id");

    db_bind_text(stmt, ":id", turn->owner->id);
    db_run(stmt);
}

static enum result begin_turn(struct db *db, void *arg)
{
    struct begin *begin = arg;
    enum result result = find_conversation(db, begin);

    if (result != RESULT_OK || find_duplicate(db, begin))
        return result;
    result = store_sqlite_charge(db, begin->turn->limits, begin->turn->now_ms, begin->fault);
    if (result != RESULT_OK)
        return result;
    if (!begin->fresh)
        touch_conversation(db, begin);
    store_sqlite_owner_seen(db, begin->turn->owner, begin->turn->now_ms);
    if (begin->turn->newcomer)
        mark_newcomer(db, begin->turn);
    if (begin->again == 0)
        insert_question(db, begin);
    insert_answer(db, begin);
    begin->out->first = is_first(db, begin);
    result = make_history(db, begin);
    if (result != RESULT_OK)
        return result;
    return store_sqlite_reserve(db, begin->turn->limits, begin->out, begin->turn->now_ms,
                                begin->fault);
}

enum result store_turn_begin(struct store *store, const struct store_turn *turn,
                             struct store_turn_begun *out, struct fault *fault)
{
    struct begin begin = { .turn = turn, .out = out, .fault = fault };
    enum result result;

    *out = (struct store_turn_begun){ 0 };
    id_make(out->conversation_id, "conv_");
    id_make(out->message_id, "msg_");
    title_make(turn->request->message, turn->request->message_len, begin.title);
    if (turn->request->context_json != NULL) {
        out->context_json = strdup(turn->request->context_json);
        if (out->context_json == NULL)
            return out_of_memory(fault);
    }
    result = store_sqlite_write(store, begin_turn, &begin, fault);
    if (result != RESULT_OK)
        store_turn_begun_free(out);
    return result;
}

void store_turn_begun_free(struct store_turn_begun *begun)
{
    if (begun == NULL)
        return;
    for (size_t i = 0; begun->images != NULL && i < begun->history_len; i++)
        chat_images_free((struct chat_image *)begun->images[i].list, begun->images[i].count);
    free(begun->images);
    free(begun->rows);
    chat_messages_free(begun->history, begun->history_len);
    free(begun->context_json);
    *begun = (struct store_turn_begun){ 0 };
}
