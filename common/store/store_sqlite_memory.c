/*
 * store_sqlite_memory: facts about people. Every statement that reaches a fact carries its subject: the scope
 * (one word for a user_id, or for an owner himself, which FTS5 finds its way by) and the owner rule.
 *
 * Runs on request threads. store_sqlite_recall.c searches.
 */
#include "common/store/store_sqlite_memory.h"
#include "common/store/store_sqlite_rank.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/text.h"

#define OVERLAP_SAME                                                                               \
    0.8 /* of the words of two facts: they say the same, perhaps about another day */
#define ONE_RULE                                                                                   \
    "public_id = :scope AND ((user_id <> '' AND :any) OR (owner_kind = :kind AND owner_id = "      \
    ":owner))"
#define SURPLUS                                                                                    \
    "SELECT id FROM memories WHERE scope = :scope ORDER BY id = :id DESC, importance DESC,"        \
    " updated_ms DESC, id DESC LIMIT -1 OFFSET :most"
#define PLAIN_MAX (STORE_FACT_CHARS * 4 + 1)
#define REPLACED                                                                                   \
    "(SELECT id FROM memories WHERE public_id = :replaces AND scope = :scope AND id <> :id"        \
    " AND " FACT_RULE ")"
#define FORGOTTEN    "'forgotten:' || :scope"    /* a lease, while something may still be learned */
#define FORGOTTEN_MS (INT64_C(25) * 3600 * 1000) /* an answer takes a day at most */

bool store_subject_known(const struct store_subject *subject)
{
    return subject->user_id != NULL || subject->owner->kind == OWNER_VISITOR ||
           subject->owner->kind == OWNER_LOGIN;
}

/* ---- the subject ---- */

void store_sqlite_scope(const struct store_subject *subject, char scope[MEMORY_SCOPE_SIZE])
{
    unsigned char hash[16];
    crypto_generichash_state state;
    const char *kind =
        subject->user_id != NULL ? "user" : store_sqlite_owner_kind(subject->owner->kind);
    const char *name = subject->user_id != NULL ? subject->user_id : subject->owner->id;

    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    crypto_generichash_update(&state, (const unsigned char *)kind, strlen(kind) + 1);
    crypto_generichash_update(&state, (const unsigned char *)name, strlen(name));
    crypto_generichash_final(&state, hash, sizeof hash);
    scope[0] = 'x';
    sodium_bin2hex(scope + 1, MEMORY_SCOPE_SIZE - 1, hash, sizeof hash);
}

void store_sqlite_bind_subject(struct db_stmt *stmt, const struct store_subject *subject,
                               const char *scope)
{
    db_bind_text(stmt, ":scope", scope);
    db_bind_int(stmt, ":any", subject->user_id != NULL && subject->owner->any);
    store_sqlite_bind_owner(stmt, subject->owner);
}

enum result store_sqlite_subject_owner(struct db *db, const struct store_subject *subject,
                                       struct db_stmt **row, struct fault *fault)
{
    struct db_stmt *stmt;

    *row = NULL;
    if (!store_subject_known(subject))
        return fault_set(fault, RESULT_INVALID, "invalid_field", "user_id",
                         "The field user_id is needed, because nobody else is known here.");
    if (subject->user_id == NULL)
        return RESULT_OK;
    stmt = db_prepare(db, "SELECT owner_kind, owner_id, :any OR (owner_kind = :kind AND"
                          " owner_id = :owner) FROM (SELECT 0 AS age, owner_kind, owner_id"
                          " FROM conversations WHERE user_id = :user UNION ALL"
                          " SELECT id, owner_kind, owner_id FROM memories WHERE user_id = :user"
                          " AND user_id <> '') ORDER BY age LIMIT 1");
    db_bind_text(stmt, ":user", subject->user_id);
    store_sqlite_bind_rule(stmt, subject->owner);
    if (!db_step(stmt))
        return db_status(db) == DB_OK ? RESULT_OK : RESULT_STORE_DOWN;
    if (db_int(stmt, 2) == 0) {
        db_reset(stmt);
        return fault_set(fault, RESULT_NOT_FOUND, "unknown_user", "user_id",
                         "This user_id is not one of yours.");
    }
    *row = stmt;
    return RESULT_OK;
}

/* ---- adding ---- */

struct add {
    const struct store_subject *subject;
    const struct store_fact_new *fact;
    struct store_fact_added *out;
    struct fault *fault;
    char scope[MEMORY_SCOPE_SIZE];
    char plain[PLAIN_MAX];
    struct store_words words;
};

static void make_plain(const char *text, char plain[PLAIN_MAX])
{
    struct buf out;

    buf_init(&out, PLAIN_MAX - 1);
    store_words_plain(text, strlen(text), &out);
    text_copy(plain, PLAIN_MAX, buf_str(&out));
    buf_free(&out);
}

static void take_row(struct add *add, struct db_stmt *stmt)
{
    add->out->row = db_int(stmt, 0);
    text_copy(add->out->id, CAP_ID, db_text(stmt, 1, NULL));
    add->out->fresh = false;
    db_reset(stmt);
}

/* The fact that the new one `replaces`, or with the same words. */
static bool find_named(struct db *db, struct add *add, bool *same)
{
    struct db_stmt *stmt =
        db_prepare(db, "SELECT id, public_id, plain = :plain FROM memories WHERE scope = :scope"
                       " AND (public_id = :replaces OR plain = :plain) AND " FACT_RULE
                       " ORDER BY plain = :plain DESC LIMIT 1");

    db_bind_text(stmt, ":plain", add->plain);
    db_bind_text(stmt, ":replaces", add->fact->replaces);
    store_sqlite_bind_subject(stmt, add->subject, add->scope);
    if (!db_step(stmt))
        return false;
    *same = db_int(stmt, 2) != 0;
    take_row(add, stmt);
    return true;
}

/* A fact that has nearly all words of the new one, and hardly any other. One with more words than are looked at is
 * like none. */
static bool find_overlapping(struct db *db, struct add *add)
{
    struct db_stmt *stmt =
        db_prepare(db, "SELECT m.id, m.public_id, m.plain FROM memories AS m WHERE m.id IN"
                       " (SELECT rowid FROM memories_fts WHERE memories_fts MATCH :match"
                       " ORDER BY bm25(memories_fts, 0.0, 1.0) LIMIT 10) AND " FACT_RULE
                       " AND scope = :scope");
    struct store_words other;
    struct buf match;
    bool found = false;

    buf_init(&match, MEMORY_MATCH_MAX);
    if (add->words.count < STORE_WORDS_MAX && store_sqlite_match(&add->words, add->scope, &match)) {
        db_bind_text(stmt, ":match", buf_str(&match));
        store_sqlite_bind_subject(stmt, add->subject, add->scope);
        while (!found && db_step(stmt)) {
            size_t len;
            const char *plain = db_text(stmt, 2, &len);

            store_words_read(&other, plain, len);
            found = other.count > 2 && other.count < STORE_WORDS_MAX &&
                    store_words_share(&add->words, plain, len) >= OVERLAP_SAME &&
                    store_words_share(&other, add->plain, strlen(add->plain)) >= OVERLAP_SAME;
            if (found)
                take_row(add, stmt);
        }
    }
    db_reset(stmt);
    buf_free(&match);
    return found;
}

static void merge(struct db *db, const struct add *add)
{
    struct db_stmt *stmt = db_prepare(db, "UPDATE memories SET importance = max(importance,"
                                          " :importance), updated_ms = :now WHERE id = :id");

    db_bind_int(stmt, ":importance", add->fact->importance);
    db_bind_int(stmt, ":now", add->fact->now_ms);
    db_bind_int(stmt, ":id", add->out->row);
    db_run(stmt);
}

/* What the fact `replaces` goes, when the fact itself is known already: it becomes history of that. */
static void fold_replaced(struct db *db, const struct add *add)
{
    static const char *const steps[] = {
        "INSERT INTO memory_history (memory_id, fact, replaced_ms)"
        " SELECT :id, fact, :now FROM memories WHERE id IN " REPLACED,
        "UPDATE memory_history SET memory_id = :id WHERE memory_id IN " REPLACED,
        "DELETE FROM memories_fts WHERE rowid IN " REPLACED,
        "DELETE FROM memories WHERE id IN " REPLACED,
    };

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct db_stmt *stmt = db_prepare(db, steps[i]);

        db_bind_text(stmt, ":replaces", add->fact->replaces);
        db_bind_int(stmt, ":id", add->out->row);
        if (i == 0)
            db_bind_int(stmt, ":now", add->fact->now_ms);
        store_sqlite_bind_subject(stmt, add->subject, add->scope);
        db_run(stmt);
    }
}

/* What FTS5 finds the fact by. */
static void index_fact(struct db *db, const struct add *add)
{
    struct db_stmt *stmt = db_prepare(db, "INSERT OR REPLACE INTO memories_fts (rowid, scope, fact)"
                                          " VALUES (:id, :scope, :fact)");

    db_bind_int(stmt, ":id", add->out->row);
    db_bind_text(stmt, ":scope", add->scope);
    db_bind_text(stmt, ":fact", add->fact->text);
    db_run(stmt);
}

static void replace(struct db *db, const struct add *add)
{
    struct db_stmt *stmt =
        db_prepare(db, "INSERT INTO memory_history (memory_id, fact, replaced_ms)"
                       " SELECT id, fact, :now FROM memories WHERE id = :id");

    db_bind_int(stmt, ":now", add->fact->now_ms);
    db_bind_int(stmt, ":id", add->out->row);
    db_run(stmt);
    stmt = db_prepare(db, "DELETE FROM memory_vectors WHERE memory_id = :id");
    db_bind_int(stmt, ":id", add->out->row);
    db_run(stmt);
    stmt = db_prepare(db, "UPDATE memories SET fact = :fact, plain = :plain, origin = :origin,"
                          " importance = :importance, updated_ms = :now WHERE id = :id");
    db_bind_text(stmt, ":fact", add->fact->text);
    db_bind_text(stmt, ":plain", add->plain);
    db_bind_text(stmt, ":origin", add->fact->origin);
    db_bind_int(stmt, ":importance", add->fact->importance);
    db_bind_int(stmt, ":now", add->fact->now_ms);
    db_bind_int(stmt, ":id", add->out->row);
    db_run(stmt);
    index_fact(db, add);
}

/* `owner`: who owns what is known about the subject already, NULL = nobody yet. */
static void insert(struct db *db, const struct add *add, const char *kind, const char *owner)
{
    const struct store_subject *subject = add->subject;
    struct db_stmt *stmt = db_prepare(
        db, "INSERT INTO memories (public_id, scope, owner_kind, owner_id, user_id, fact, plain,"
            " importance, origin, created_ms, updated_ms) VALUES (:public, :scope, :kind, :owner,"
            " :user, :fact, :plain, :importance, :origin, :now, :now)");

    db_bind_text(stmt, ":public", add->out->id);
    db_bind_text(stmt, ":scope", add->scope);
    db_bind_text(stmt, ":kind",
                 *kind != '\0' ? kind : store_sqlite_owner_kind(subject->owner->kind));
    db_bind_text(stmt, ":owner", *kind != '\0' ? owner : subject->owner->id);
    db_bind_text(stmt, ":user", subject->user_id != NULL ? subject->user_id : "");
    db_bind_text(stmt, ":fact", add->fact->text);
    db_bind_text(stmt, ":plain", add->plain);
    db_bind_text(stmt, ":origin", add->fact->origin);
    db_bind_int(stmt, ":importance", add->fact->importance);
    db_bind_int(stmt, ":now", add->fact->now_ms);
    if (db_run(stmt))
        add->out->row = db_last_id(db);
    index_fact(db, add);
    add->out->fresh = true;
}

/* The newest fact stays, however unimportant. */
static void forget_surplus(struct db *db, const struct add *add)
{
    static const char *const steps[] = {
        "DELETE FROM memories_fts WHERE rowid IN (" SURPLUS ")",
        "DELETE FROM memories WHERE id IN (" SURPLUS ")",
    };

    for (size_t i = 0; i < 2; i++) {
        struct db_stmt *stmt = db_prepare(db, steps[i]);

        db_bind_int(stmt, ":id", add->out->row);
        db_bind_text(stmt, ":scope", add->scope);
        db_bind_int(stmt, ":most", add->fact->most);
        db_run(stmt);
    }
}

/* What was erased while the model thought about it must not come back. */
static bool was_erased(struct db *db, const struct add *add)
{
    struct db_stmt *stmt = db_prepare(
        db, "SELECT 1 FROM messages WHERE public_id = :public AND NOT EXISTS (SELECT 1"
            " FROM leases WHERE name = " FORGOTTEN " AND until_ms - :kept >= created_ms)");
    bool found;

    db_bind_text(stmt, ":public", add->fact->learned_of);
    db_bind_text(stmt, ":scope", add->scope);
    db_bind_int(stmt, ":kept", FORGOTTEN_MS);
    found = db_step(stmt);
    db_reset(stmt);
    return !found;
}

static enum result add_fact(struct db *db, void *arg)
{
    struct add *add = arg;
    char kind[16] = "", owner[CAP_ID] = "";
    struct db_stmt *row;
    bool same = false;
    enum result result = store_sqlite_subject_owner(db, add->subject, &row, add->fault);

    if (result != RESULT_OK)
        return result;
    if (add->fact->learned_of != NULL && was_erased(db, add))
        result = fault_set(add->fault, RESULT_NOT_FOUND, "unknown_message", NULL,
                           "The answer has been erased.");
    if (row != NULL) {
        text_copy(kind, sizeof kind, db_text(row, 0, NULL));
        text_copy(owner, sizeof owner, db_text(row, 1, NULL));
        db_reset(row);
    }
    if (result != RESULT_OK)
        return result;
    if (!find_named(db, add, &same) && !find_overlapping(db, add)) {
        insert(db, add, kind, owner);
        forget_surplus(db, add);
    } else if (same) {
        merge(db, add);
        fold_replaced(db, add);
    } else {
        replace(db, add);
    }
    if (add->subject->user_id == NULL)
        store_sqlite_owner_seen(db, add->subject->owner, add->fact->now_ms);
    return RESULT_OK;
}

enum result store_fact_add(struct store *store, const struct store_subject *subject,
                           const struct store_fact_new *fact, struct store_fact_added *out,
                           struct fault *fault)
{
    struct add add = { .subject = subject, .fact = fact, .out = out, .fault = fault };

    *out = (struct store_fact_added){ 0 };
    id_make(out->id, "mem_");
    store_words_read(&add.words, fact->text, strlen(fact->text));
    if (add.words.count == 0)
        return fault_set(fault, RESULT_INVALID, "invalid_field", "fact",
                         "The field fact must have words.");
    make_plain(fact->text, add.plain);
    store_sqlite_scope(subject, add.scope);
    return store_sqlite_write(store, add_fact, &add, fault);
}

/* ---- deleting ---- */

struct delete
{
    const struct store_subject *subject;
    const char *id;
    int64_t *count;
    struct fault *fault;
};

/* Run a deletion of facts and, before it, that of what FTS5 finds them by. */
static enum result delete_where(struct db *db, const struct delete *delete,
                                const char *const steps[2], const char *scope)
{
    for (size_t i = 0; i < 2; i++) {
        struct db_stmt *stmt = db_prepare(db, steps[i]);

        store_sqlite_bind_subject(stmt, delete->subject, scope);
        if (!db_run(stmt))
            return RESULT_STORE_DOWN;
    }
    *delete->count = db_changes(db);
    return RESULT_OK;
}

/* By its id alone (in the place of the scope): it lies under whichever user_id, but must be one that the owner may
 * act for. */
static enum result delete_one(struct db *db, const struct delete *delete)
{
    static const char *const steps[] = {
        "DELETE FROM memories_fts WHERE rowid IN (SELECT id FROM memories WHERE " ONE_RULE ")",
        "DELETE FROM memories WHERE " ONE_RULE,
    };
    const struct owner *owner = delete->subject->owner;
    struct delete one = *delete;
    struct store_subject subject = { owner, "" }; /* a key may act for any user_id */
    enum result result;

    one.subject = &subject;
    result = delete_where(db, &one, steps, delete->id);
    if (result == RESULT_OK && *delete->count == 0)
        return fault_set(delete->fault, RESULT_NOT_FOUND, "unknown_fact", "memory_id",
                         "There is no such fact.");
    return result;
}

static enum result delete_subject(struct db *db, const struct delete *delete)
{
    static const char *const steps[] = {
        "DELETE FROM memories_fts WHERE rowid IN (SELECT id FROM memories WHERE scope = :scope"
        " AND " FACT_RULE ")",
        "DELETE FROM memories WHERE scope = :scope AND " FACT_RULE,
    };
    char scope[MEMORY_SCOPE_SIZE];

    store_sqlite_scope(delete->subject, scope);
    return delete_where(db, delete, steps, scope);
}

void store_sqlite_forget_user(struct db *db, const char *user_id, const struct owner *owner)
{
    struct store_subject subject = { owner, user_id };
    int64_t count;

    delete_subject(db, &(struct delete){ .subject = &subject, .count = &count });
}

/* When all was forgotten: nothing that was said before is learned any more. */
static void note_forgotten(struct db *db, const struct store_subject *subject)
{
    struct db_stmt *stmt = db_prepare(db, "INSERT INTO leases (name, holder, until_ms)"
                                          " VALUES (" FORGOTTEN ", '', :until) ON CONFLICT (name)"
                                          " DO UPDATE SET until_ms = excluded.until_ms");
    char scope[MEMORY_SCOPE_SIZE];

    store_sqlite_scope(subject, scope);
    db_bind_text(stmt, ":scope", scope);
    db_bind_int(stmt, ":until", clock_wall_ms() + FORGOTTEN_MS);
    db_run(stmt);
}

static enum result delete_facts(struct db *db, void *arg)
{
    const struct delete *delete = arg;
    struct db_stmt *row;
    enum result result;

    if (delete->id != NULL)
        return delete_one(db, delete);
    result = store_sqlite_subject_owner(db, delete->subject, &row, delete->fault);
    if (result != RESULT_OK)
        return result;
    if (row == NULL && delete->subject->user_id != NULL)
        return RESULT_OK; /* nobody's: a note for whatever name is made up would fill the table */
    if (row != NULL)
        db_reset(row);
    note_forgotten(db, delete->subject);
    return delete_subject(db, delete);
}

enum result store_fact_delete(struct store *store, const struct store_subject *subject,
                              const char *id, int64_t *count, struct fault *fault)
{
    struct delete delete = { subject, id, count, fault };

    *count = 0;
    return store_sqlite_write(store, delete_facts, &delete, fault);
}

/* ---- vectors ---- */

struct set_vector {
    const char *sql;
    int64_t row;
    const char *text; /* that it is of */
    const struct store_vector *vector;
    bool signs; /* :signs, too */
};

static enum result set_vector(struct db *db, void *arg)
{
    const struct set_vector *set = arg;
    struct db_stmt *stmt = db_prepare(db, set->sql);
    unsigned char signs[RANK_SIGNS_MAX];

    db_bind_int(stmt, ":id", set->row);
    db_bind_text(stmt, ":text", set->text);
    db_bind_text(stmt, ":model", set->vector->model);
    if (set->signs)
        db_bind_blob(stmt, ":signs", signs, rank_signs(set->vector, signs));
    db_bind_blob(stmt, ":vector", set->vector->values,
                 set->vector->count * sizeof set->vector->values[0]);
    return db_run(stmt) ? RESULT_OK : RESULT_STORE_DOWN;
}

enum result store_fact_vector(struct store *store, int64_t row, const char *text,
                              const struct store_vector *vector)
{
    char plain[PLAIN_MAX];
    struct set_vector set = { "INSERT INTO memory_vectors (memory_id, model, vector)"
                              " SELECT id, :model, :vector FROM memories WHERE id = :id"
                              " AND plain = :text"
                              " ON CONFLICT (memory_id) DO UPDATE SET model = excluded.model,"
                              " vector = excluded.vector",
                              row, plain, vector, false };

    make_plain(text, plain);
    return store_sqlite_write(store, set_vector, &set, NULL);
}

enum result store_passage_vector(struct store *store, int64_t row, const char *body,
                                 const struct store_vector *vector)
{
    struct set_vector set = {
        "INSERT INTO passage_vectors (passage_id, model, signs, vector)"
        " SELECT id, :model, :signs, :vector FROM passages WHERE id = :id"
        " AND body = :text ON CONFLICT (passage_id) DO UPDATE SET model = excluded.model,"
        " signs = excluded.signs, vector = excluded.vector",
        row, body, vector, true
    };

    return store_sqlite_write(store, set_vector, &set, NULL);
}
