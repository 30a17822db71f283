/*
 * store_sqlite_window: what of a conversation a model shall see.
 *
 * Rows are read from the newest on and folded: all answers to a question lie between it and the next one,
 * because only the last question can be answered anew. The first answer from behind that stands on its own
 * is the one that counts; those before it were superseded. One that goes on from another is joined with it.
 * FALLBACK_MESSAGE is left out: a model would take it for its own words.
 *
 * Runs on request threads, inside a write job.
 */
#include "common/base/text.h"
#include "common/store/store_sqlite_window.h"

#include <stdlib.h>
#include <string.h>

#define HISTORY_FIRST 16 /* places to begin with; doubled as needed */

/* Places are doubled when a power of two of them is full. */
static bool make_room(struct store_turn_begun *out)
{
    size_t len = out->history_len;
    struct chat_message *moved;
    int64_t *rows;

    if (len != 0 && (len < HISTORY_FIRST || (len & (len - 1)) != 0))
        return true;
    moved = realloc(out->history, (len == 0 ? HISTORY_FIRST : len * 2) * sizeof *moved);
    if (moved == NULL)
        return false;
    out->history = moved;
    rows = realloc(out->rows, (len == 0 ? HISTORY_FIRST : len * 2) * sizeof *rows);
    if (rows == NULL)
        return false;
    out->rows = rows;
    return true;
}

bool store_sqlite_window_add(struct store_turn_begun *out, enum chat_role role, const char *content,
                             size_t len)
{
    struct chat_message *place;

    if (!make_room(out))
        return false;
    place = &out->history[out->history_len];
    out->rows[out->history_len] = 0;
    *place = (struct chat_message){ role, text_dup(content, len), len };
    out->history_len += place->content != NULL ? 1 : 0;
    return place->content != NULL;
}

/* Put text in front of the message that was added last. */
static bool prepend(struct store_turn_begun *out, const char *content, size_t len)
{
    struct chat_message *message = &out->history[out->history_len - 1];
    char *joined = malloc(len + message->len + 1);

    if (joined == NULL)
        return false;
    memcpy(joined, content, len);
    memcpy(joined + len, message->content, message->len + 1);
    free(message->content);
    message->content = joined;
    message->len += len;
    return true;
}

static void reverse(struct store_turn_begun *out)
{
    for (size_t i = 0, j = out->history_len; i + 1 < j; i++) {
        struct chat_message message = out->history[i];
        int64_t row = out->rows[i];

        out->history[i] = out->history[--j];
        out->history[j] = message;
        out->rows[i] = out->rows[j];
        out->rows[j] = row;
    }
}

enum column { COLUMN_ROLE, COLUMN_CONTENT, COLUMN_REPLY_TO, COLUMN_CONTINUES, COLUMN_ROW };

struct fold {
    struct store_turn_begun *out;
    bool answered; /* the question that is still to come has its answer */
    bool joining;  /* what was added last goes on from the next row */
};

static bool fold_row(struct fold *fold, struct db_stmt *stmt)
{
    const char *role = db_text(stmt, COLUMN_ROLE, NULL);
    bool asked = role != NULL && strcmp(role, "user") == 0;
    bool replies = !db_is_null(stmt, COLUMN_REPLY_TO); /* not from a history that a client sent */
    bool join = fold->joining && !asked;
    const char *content;
    size_t len;

    if (role != NULL &&
        strcmp(role, "tool") == 0) { /* what a client's function said: nobody's words */
        fold->answered = fold->joining = false;
        return true;
    }
    if (!asked && replies && fold->answered)
        return true;
    fold->joining = !asked && !db_is_null(stmt, COLUMN_CONTINUES);
    fold->answered = !asked && replies && !fold->joining;
    content = db_text(stmt, COLUMN_CONTENT, &len);
    if (join)
        return prepend(fold->out, content, len);
    if (!store_sqlite_window_add(fold->out, asked ? CHAT_USER : CHAT_ASSISTANT, content, len))
        return false;
    fold->out->rows[fold->out->history_len - 1] = db_int(stmt, COLUMN_ROW);
    return true;
}

enum result store_sqlite_history(struct db *db, const struct store_sqlite_past *past,
                                 struct store_turn_begun *out, struct fault *fault)
{
    struct db_stmt *stmt =
        db_prepare(db, "SELECT m.role, m.content, m.reply_to, m.continues, m.id FROM messages AS m"
                       " WHERE m.conversation_id = :conversation AND m.id <= :last"
                       " AND (m.role = 'user' OR (" ANSWER_USABLE
                       " AND coalesce(m.finish, '') <> 'fallback')) ORDER BY m.id DESC");
    size_t max = past->max > 0 ? past->max : 1;
    struct fold fold = { .out = out };
    bool enough_memory = true;

    db_bind_int(stmt, ":conversation", past->conversation);
    db_bind_int(stmt, ":last", past->question);
    db_bind_int(stmt, ":now", past->now_ms);
    while (enough_memory && (out->history_len < max || fold.joining) && db_step(stmt))
        enough_memory = fold_row(&fold, stmt);
    db_reset(stmt);
    reverse(out);
    enough_memory = enough_memory && store_sqlite_pictures_read(db, past, out);
    return enough_memory ? RESULT_OK
                         : fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
}
