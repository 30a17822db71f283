/*
 * store_sqlite_erase: conversations and owners go, with every row in every table, in one transaction each.
 *
 * Rows that belong to a conversation go with it by their foreign keys (ON DELETE CASCADE); rows that belong
 * to an owner are listed in owner_rows, and a unit test fails when a table with owners is missing there.
 * Big jobs come in portions (`most`), so that nobody waits long for the write lock.
 *
 * Runs on request threads and in the administrator's commands.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/store/store_owners.h"
#include "common/store/store_sqlite.h"

#define EMPTY_SESSION_MS (INT64_C(2) * 24 * 3600 * 1000)
#define VISITOR_SHORT    13 /* bytes of an id that does not lead back to anybody, NUL included */

#define COUNT_OF(where)                                                                            \
    "SELECT count(*), coalesce(sum((SELECT count(*) FROM messages"                                 \
    " WHERE conversation_id = found.id)), 0)"                                                      \
    " FROM (SELECT id FROM conversations WHERE " where " LIMIT :most) AS found"
#define ERASE_OF(where)                                                                            \
    "DELETE FROM conversations WHERE id IN"                                                        \
    " (SELECT id FROM conversations WHERE " where " LIMIT :most)"

/* Only the empty sessions of the last days, so that a run does not look at all the others again and again. */
#define OLD "updated_ms < :before"
#define EMPTY                                                                                      \
    "contract = 'session' AND updated_ms < :before AND updated_ms >= :since AND NOT EXISTS"        \
    " (SELECT 1 FROM messages WHERE conversation_id = conversations.id)"
#define OWNED "owner_kind = :kind AND owner_id = :owner"
#define NAMED "user_id = :user"

static const struct {
    const char *count, *erase;
} statements[] = {
    [STORE_ERASE_OLD] = { COUNT_OF(OLD), ERASE_OF(OLD) },
    [STORE_ERASE_EMPTY_SESSIONS] = { COUNT_OF(EMPTY), ERASE_OF(EMPTY) },
    [STORE_ERASE_OWNER] = { COUNT_OF(OWNED), ERASE_OF(OWNED) },
    [STORE_ERASE_USER] = { COUNT_OF(NAMED), ERASE_OF(NAMED) },
};

#define FACTS_OF "SELECT id FROM memories WHERE owner_kind = :kind AND owner_id = :owner"

/* What else an owner has, besides conversations. The audit log forgets the name and keeps the deed. */
static const char *const owner_rows[] = {
    "DELETE FROM visitors WHERE :kind = 'visitor' AND id = :owner",
    "DELETE FROM files WHERE owner_kind = :kind AND owner_id = :owner",
    "DELETE FROM rate_windows WHERE bucket = :kind || ':' || :owner",
    "DELETE FROM token_days WHERE bucket = :kind || ':' || :owner",
    "DELETE FROM memories_fts WHERE rowid IN (" FACTS_OF ")",
    "DELETE FROM memories WHERE owner_kind = :kind AND owner_id = :owner",
    "UPDATE audit SET actor_id = '', address = '' WHERE actor_kind = :kind AND actor_id = :owner",
};

struct job {
    const struct store_erase *erase;
    struct store_erased *out;
};

static struct db_stmt *prepare(struct db *db, const struct store_erase *erase, const char *sql)
{
    struct db_stmt *stmt = db_prepare(db, sql);

    switch (erase->what) {
    case STORE_ERASE_EMPTY_SESSIONS:
        db_bind_int(stmt, ":since", erase->before_ms - EMPTY_SESSION_MS);
        db_bind_int(stmt, ":before", erase->before_ms);
        break;
    case STORE_ERASE_OLD:
        db_bind_int(stmt, ":before", erase->before_ms);
        break;
    case STORE_ERASE_OWNER:
        store_sqlite_bind_owner(stmt, erase->owner);
        break;
    case STORE_ERASE_USER:
        db_bind_text(stmt, ":user", erase->user_id);
        break;
    }
    db_bind_int(stmt, ":most",
                erase->most > 0 && erase->what != STORE_ERASE_OWNER ? erase->most : INT64_MAX);
    return stmt;
}

static void count(struct db *db, const struct job *job)
{
    struct db_stmt *stmt = prepare(db, job->erase, statements[job->erase->what].count);

    if (db_step(stmt)) {
        job->out->conversations = db_int(stmt, 0);
        job->out->messages = db_int(stmt, 1);
    }
    db_reset(stmt);
}

/* Facts about a user_id, which may be remembered without any conversation, and facts as old as the conversations that
 * go; first what FTS5 finds them by. */
static int64_t erase_facts(struct db *db, const struct store_erase *erase)
{
    static const char *const of_user[] = {
        "DELETE FROM memories_fts WHERE rowid IN"
        " (SELECT id FROM memories WHERE user_id = :user AND user_id <> '')",
        "DELETE FROM memories WHERE user_id = :user AND user_id <> ''",
    };
    static const char *const old[] = {
        "DELETE FROM memories_fts WHERE rowid IN"
        " (SELECT id FROM memories WHERE updated_ms < :before)",
        "DELETE FROM memories WHERE updated_ms < :before",
    };
    bool is_user = erase->what == STORE_ERASE_USER;

    if (!is_user && erase->what != STORE_ERASE_OLD)
        return 0;
    for (size_t i = 0; i < 2; i++) {
        struct db_stmt *stmt = db_prepare(db, is_user ? of_user[i] : old[i]);

        if (is_user)
            db_bind_text(stmt, ":user", erase->user_id);
        else
            db_bind_int(stmt, ":before", erase->before_ms);
        db_run(stmt);
    }
    return db_changes(db);
}

static void erase_owner_rows(struct db *db, const struct owner *owner)
{
    for (size_t i = 0; i < sizeof owner_rows / sizeof owner_rows[0]; i++) {
        struct db_stmt *stmt = db_prepare(db, owner_rows[i]);

        store_sqlite_bind_owner(stmt, owner);
        db_run(stmt);
    }
}

/* Whoever erased everything about himself is in the log by the beginning of his id only. */
static void audit(struct db *db, const struct job *job)
{
    struct store_audit line = job->erase->audit;
    struct owner shortened;

    if (line.action == NULL)
        return;
    line.count = job->out->conversations;
    if (line.owner != NULL && line.owner == job->erase->owner) {
        shortened = *line.owner;
        shortened.id[VISITOR_SHORT - 1] = '\0';
        line.owner = &shortened;
        line.address = NULL;
    }
    store_sqlite_audit(db, &line);
}

static enum result run(struct db *db, void *arg)
{
    const struct job *job = arg;
    bool is_owner = job->erase->what == STORE_ERASE_OWNER;

    count(db, job);
    if (job->erase->dry_run)
        return RESULT_OK;
    if (erase_facts(db, job->erase) == 0 && job->out->conversations == 0 && !is_owner)
        return RESULT_OK;
    db_run(prepare(db, job->erase, statements[job->erase->what].erase));
    if (is_owner)
        erase_owner_rows(db, job->erase->owner);
    audit(db, job);
    return RESULT_OK;
}

enum result store_erase(struct store *store, const struct store_erase *erase,
                        struct store_erased *out, struct fault *fault)
{
    struct job job = { erase, out };
    enum result result;

    *out = (struct store_erased){ 0 };
    result = store_sqlite_write(store, run, &job, fault);
    if (result != RESULT_OK)
        *out = (struct store_erased){ 0 };
    return result;
}

/* ---- visitors ---- */

enum result store_visitor_find(struct store *store, const char *beginning, char *id,
                               struct fault *fault)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    int found = 0;

    if (db == NULL)
        return store_sqlite_fault(fault, status);
    stmt = db_prepare(db, "SELECT id FROM visitors WHERE substr(id, 1, length(:beginning)) ="
                          " :beginning LIMIT 2");
    db_bind_text(stmt, ":beginning", beginning);
    while (db_step(stmt)) {
        text_copy(id, CAP_ID, db_text(stmt, 0, NULL));
        found++;
    }
    status = db_readers_return(store->readers, db);
    if (status != DB_OK)
        return store_sqlite_fault(fault, status);
    if (found == 0 || *beginning == '\0')
        return fault_set(fault, RESULT_NOT_FOUND, "unknown_visitor", NULL,
                         "No visitor has an id that begins so.");
    if (found > 1)
        return fault_set(fault, RESULT_CONFLICT, "ambiguous_visitor", NULL,
                         "The ids of several visitors begin so: more of it is needed.");
    return RESULT_OK;
}

/* ---- what piles up ---- */

struct sweep {
    int64_t visitors_ms;
    int64_t audit_ms;
};

static enum result sweep_all(struct db *db, void *arg)
{
    const struct sweep *sweep = arg;
    struct db_stmt *stmt =
        db_prepare(db, "DELETE FROM visitors WHERE seen_ms < :before AND NOT EXISTS"
                       " (SELECT 1 FROM conversations WHERE owner_kind = 'visitor'"
                       " AND owner_id = visitors.id)");

    db_bind_int(stmt, ":before", sweep->visitors_ms);
    db_run(stmt);
    stmt = db_prepare(db, "DELETE FROM audit WHERE at_ms < :before");
    db_bind_int(stmt, ":before", sweep->audit_ms);
    db_run(stmt);
    stmt = db_prepare(db, "DELETE FROM leases WHERE name GLOB 'forgotten:*' AND until_ms < :now");
    db_bind_int(stmt, ":now", clock_wall_ms());
    db_run(stmt);
    return RESULT_OK;
}

enum result store_sweep(struct store *store, int64_t visitors_ms, int64_t audit_ms)
{
    struct sweep sweep = { visitors_ms, audit_ms };

    return store_sqlite_write(store, sweep_all, &sweep, NULL);
}
