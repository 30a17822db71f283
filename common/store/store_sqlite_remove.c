/*
 * store_sqlite_remove: a conversation goes with everything that belongs to it, in one transaction; and what
 * people think of an answer, which goes with it. Runs on request threads.
 */
#include <string.h>

#include "common/base/text.h"
#include "common/store/conversations.h"
#include "common/store/store_sqlite.h"

struct erase_job {
    const struct store_asker *asker;
    const struct store_remove *remove;
    struct store_removed *out;
    struct fault *fault;
};

static enum result unknown(const struct erase_job *job)
{
    if (job->remove->session)
        return fault_set(job->fault, RESULT_NOT_FOUND, "unknown_session", "sessionId",
                         "Session not found");
    return fault_set(job->fault, RESULT_NOT_FOUND, "unknown_conversation", "conversation_id",
                     "This conversation does not exist.");
}

static struct db_stmt *find_statement(struct db *db, const struct store_remove *remove)
{
    struct db_stmt *stmt;

    if (remove->user_id != NULL) {
        stmt = db_prepare(db, "SELECT c.id, " OWNER_RULE
                              " FROM conversations AS c WHERE c.user_id = :user");
        db_bind_text(stmt, ":user", remove->user_id);
        return stmt;
    }
    stmt = db_prepare(db, "SELECT c.id, 1 FROM conversations AS c WHERE c.public_id = :public"
                          " AND (NOT :session OR c.contract = 'session') AND " OWNER_RULE);
    db_bind_text(stmt, ":public", remove->id);
    db_bind_int(stmt, ":session", remove->session);
    return stmt;
}

static void note_contents(struct db *db, int64_t conversation, struct store_removed *out)
{
    struct db_stmt *stmt = db_prepare(
        db,
        "SELECT count(*) FROM messages WHERE conversation_id = :conversation AND role = 'user'");
    const char *running;

    db_bind_int(stmt, ":conversation", conversation);
    if (db_step(stmt))
        out->exchanges = db_int(stmt, 0);
    db_reset(stmt);
    stmt = db_prepare(db, "SELECT coalesce(user_id, '') FROM conversations"
                          " WHERE id = :conversation");
    db_bind_int(stmt, ":conversation", conversation);
    if (db_step(stmt))
        text_copy(out->user_id, sizeof out->user_id, db_text(stmt, 0, NULL));
    db_reset(stmt);
    stmt = db_prepare(db, "SELECT public_id FROM messages WHERE conversation_id = :conversation"
                          " AND status = 'streaming' ORDER BY id DESC LIMIT 1");
    db_bind_int(stmt, ":conversation", conversation);
    running = db_step(stmt) ? db_text(stmt, 0, NULL) : NULL;
    if (running != NULL)
        text_copy(out->running, sizeof out->running, running);
    db_reset(stmt);
}

static enum result erase_conversation(struct db *db, void *arg)
{
    struct erase_job *job = arg;
    struct db_stmt *stmt = find_statement(db, job->remove);
    struct store_audit line = job->remove->audit;
    int64_t conversation;
    bool found, mine;

    store_sqlite_bind_rule(stmt, job->asker->owner);
    found = db_step(stmt);
    conversation = found ? db_int(stmt, 0) : 0;
    mine = found && db_int(stmt, 1) != 0;
    db_reset(stmt);
    if (!found && job->remove->user_id != NULL) { /* facts may be all there is */
        store_sqlite_forget_user(db, job->remove->user_id, job->asker->owner);
        return RESULT_OK;
    }
    if (!found)
        return unknown(job);
    if (!mine)
        return fault_set(job->fault, RESULT_NOT_FOUND, "unknown_user", "user_id",
                         "This user_id does not exist.");
    note_contents(db, conversation, job->out);
    if (job->out->user_id[0] != '\0')
        store_sqlite_forget_user(db, job->out->user_id, job->asker->owner);
    /* Messages, and what hangs on them, go by their foreign keys. */
    stmt = db_prepare(db, "DELETE FROM conversations WHERE id = :conversation");
    db_bind_int(stmt, ":conversation", conversation);
    if (!db_run(stmt))
        return RESULT_STORE_DOWN;
    line.count = 1;
    if (line.action != NULL)
        store_sqlite_audit(db, &line);
    return RESULT_OK;
}

enum result store_conversation_remove(struct store *store, const struct store_asker *asker,
                                      const struct store_remove *remove, struct store_removed *out,
                                      struct fault *fault)
{
    struct erase_job job = { asker, remove, out, fault };

    *out = (struct store_removed){ 0 };
    return store_sqlite_write(store, erase_conversation, &job, fault);
}

/* ---- feedback ---- */

struct feedback_job {
    const struct store_asker *asker;
    const char *message_id, *comment;
    int rating;
    struct fault *fault;
};

static enum result put_feedback(struct db *db, void *arg)
{
    const struct feedback_job *job = arg;
    struct db_stmt *stmt =
        db_prepare(db, "INSERT INTO feedback (message_id, rating, comment, created_ms, updated_ms)"
                       " SELECT m.id, :rating, :comment, :now, :now FROM messages AS m"
                       " JOIN conversations AS c ON c.id = m.conversation_id"
                       " WHERE m.public_id = :public AND m.role = 'assistant' AND " OWNER_RULE
                       " ON CONFLICT (message_id) DO UPDATE SET rating = excluded.rating,"
                       " comment = excluded.comment, updated_ms = excluded.updated_ms");

    db_bind_text(stmt, ":public", job->message_id);
    db_bind_int(stmt, ":rating", job->rating);
    db_bind_text(stmt, ":comment", job->comment);
    db_bind_int(stmt, ":now", job->asker->now_ms);
    store_sqlite_bind_rule(stmt, job->asker->owner);
    if (!db_run(stmt))
        return RESULT_STORE_DOWN;
    return db_changes(db) > 0 ? RESULT_OK
                              : fault_set(job->fault, RESULT_NOT_FOUND, "unknown_message",
                                          "message_id", "This message does not exist.");
}

enum result store_feedback_put(struct store *store, const struct store_asker *asker,
                               const char *message_id, int rating, const char *comment,
                               struct fault *fault)
{
    struct feedback_job job = { asker, message_id, comment, rating, fault };

    return store_sqlite_write(store, put_feedback, &job, fault);
}
