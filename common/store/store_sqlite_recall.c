/*
 * store_sqlite_recall: finding facts: by words (BM25) and vectors, joined with importance and recency. FTS5 ranks
 * first and only the best rows are looked at, so that much to search costs little.
 *
 * Runs on request threads.
 */
#include "common/store/store_sqlite_memory.h"
#include "common/store/store_sqlite_rank.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"

#define WEIGHT_FOUND  0.6
#define WEIGHT_IMPORT 0.25
#define WEIGHT_RECENT 0.15
#define HALF_LIFE_MS  (30.0 * 24 * 3600 * 1000)
#define COSINE_LEAST  0.25 /* less is no likeness at all */
#define IMPORTANT     80   /* what is told in every turn */
#define FACT_COLUMNS                                                                               \
    "id, public_id, fact, importance, created_ms, updated_ms,"                                     \
    " (SELECT count(*) FROM memory_history WHERE memory_id = memories.id)"

void store_fact_list_free(struct store_fact_list *facts)
{
    for (size_t i = 0; i < facts->count; i++)
        free(facts->list[i].text);
    free(facts->list);
    *facts = (struct store_fact_list){ 0 };
}

bool store_sqlite_match(const struct store_words *words, const char *scope, struct buf *out)
{
    buf_putf(out, "scope : \"%s\" AND fact : (", scope);
    if (!store_words_query(words, out))
        return false;
    return buf_puts(out, ")");
}

struct recall {
    const struct store_subject *subject;
    const struct store_fact_search *search;
    char scope[MEMORY_SCOPE_SIZE];
    struct rank rank;
    struct store_fact_list *out;
    size_t size;
};

static double recency(int64_t updated_ms, int64_t now_ms)
{
    double age = now_ms > updated_ms ? (double)(now_ms - updated_ms) : 0;

    return HALF_LIFE_MS / (HALF_LIFE_MS + age);
}

static bool has_fact(const struct store_fact_list *facts, int64_t row)
{
    for (size_t i = 0; i < facts->count; i++)
        if (facts->list[i].row == row)
            return true;
    return false;
}

/* A row of FACT_COLUMNS. False when out of memory. */
static bool take_fact(struct recall *recall, struct db_stmt *stmt, double found)
{
    struct store_fact_list *out = recall->out;
    struct store_fact *fact;

    if (has_fact(out, db_int(stmt, 0)))
        return true;
    if (out->count == recall->size) {
        size_t size = recall->size == 0 ? 16 : recall->size * 2;
        struct store_fact *moved = realloc(out->list, size * sizeof *moved);

        if (moved == NULL)
            return false;
        out->list = moved;
        recall->size = size;
    }
    fact = &out->list[out->count];
    *fact = (struct store_fact){ .row = db_int(stmt, 0),
                                 .text = strdup(db_text(stmt, 2, NULL)),
                                 .importance = (int)db_int(stmt, 3),
                                 .created_ms = db_int(stmt, 4),
                                 .updated_ms = db_int(stmt, 5),
                                 .replaced = db_int(stmt, 6) };
    text_copy(fact->id, CAP_ID, db_text(stmt, 1, NULL));
    fact->score = WEIGHT_FOUND * found + WEIGHT_IMPORT * fact->importance / 100 +
                  WEIGHT_RECENT * recency(fact->updated_ms, recall->search->now_ms);
    if (fact->text == NULL)
        return false;
    out->count++;
    return true;
}

static void find_words(struct db *db, struct recall *recall)
{
    struct store_words words = { .count = 0 };
    struct db_stmt *stmt;
    struct buf match;

    if (recall->search->query != NULL)
        store_words_read(&words, recall->search->query, strlen(recall->search->query));
    buf_init(&match, MEMORY_MATCH_MAX);
    if (words.count > 0 && store_sqlite_match(&words, recall->scope, &match)) {
        stmt = db_prepare(db, "SELECT rowid, bm25(memories_fts, 0.0, 1.0) AS rank FROM"
                              " memories_fts WHERE memories_fts MATCH :match ORDER BY 2 LIMIT 40");
        db_bind_text(stmt, ":match", buf_str(&match));
        rank_words(&recall->rank, stmt);
    }
    buf_free(&match);
}

static void find_vectors(struct db *db, struct recall *recall)
{
    const struct store_vector *vector = recall->search->vector;
    struct db_stmt *stmt;

    if (vector == NULL)
        return;
    stmt = db_prepare(db, "SELECT v.memory_id, v.vector FROM memories AS m JOIN memory_vectors AS v"
                          " ON v.memory_id = m.id WHERE m.scope = :scope AND v.model = :model");
    db_bind_text(stmt, ":scope", recall->scope);
    db_bind_text(stmt, ":model", vector->model);
    rank_vectors(&recall->rank, stmt, vector);
}

static bool take_found(struct db *db, struct recall *recall)
{
    bool enough = true;

    rank_fuse(&recall->rank);
    for (size_t i = 0; enough && i < recall->rank.count; i++) {
        const struct rank_hit *hit = &recall->rank.hits[i];
        struct db_stmt *stmt;

        if (hit->bm25 <= 0 && hit->cosine < COSINE_LEAST)
            continue;
        stmt = db_prepare(db, "SELECT " FACT_COLUMNS " FROM memories WHERE id = :id"
                              " AND scope = :scope AND " FACT_RULE);
        db_bind_int(stmt, ":id", hit->row);
        store_sqlite_bind_subject(stmt, recall->subject, recall->scope);
        if (db_step(stmt))
            enough = take_fact(
                recall, stmt,
                recall->rank.hits[0].score > 0 ? hit->score / recall->rank.hits[0].score : 0);
        db_reset(stmt);
    }
    return enough;
}

static bool take_important(struct db *db, struct recall *recall, int least)
{
    struct db_stmt *stmt = db_prepare(
        db, "SELECT " FACT_COLUMNS " FROM memories WHERE scope = :scope AND importance >= :least"
            " AND " FACT_RULE " ORDER BY importance DESC, updated_ms DESC, id DESC LIMIT :limit");
    bool enough = true;

    db_bind_int(stmt, ":least", least);
    db_bind_int(stmt, ":limit", (int64_t)recall->search->limit);
    store_sqlite_bind_subject(stmt, recall->subject, recall->scope);
    while (enough && db_step(stmt))
        enough = take_fact(recall, stmt, 0);
    db_reset(stmt);
    return enough;
}

static int by_score(const void *a, const void *b)
{
    const struct store_fact *x = a, *y = b;

    if (x->score != y->score)
        return (x->score < y->score) - (x->score > y->score);
    return (x->row < y->row) - (x->row > y->row);
}

static void cut(struct store_fact_list *facts, size_t limit)
{
    for (size_t i = limit; i < facts->count; i++)
        free(facts->list[i].text);
    if (facts->count > limit)
        facts->count = limit;
}

/* Most who ask have none, and full text would be searched for each of their questions. */
static bool has_memories(struct db *db, const struct recall *recall)
{
    struct db_stmt *stmt = db_prepare(db, "SELECT 1 FROM memories WHERE scope = :scope LIMIT 1");
    bool found;

    db_bind_text(stmt, ":scope", recall->scope);
    found = db_step(stmt);
    db_reset(stmt);
    return found;
}

static bool recall_all(struct db *db, struct recall *recall)
{
    const struct store_fact_search *search = recall->search;
    bool enough = true;

    store_sqlite_scope(recall->subject, recall->scope);
    if (!has_memories(db, recall))
        return true;
    find_words(db, recall);
    find_vectors(db, recall);
    if (search->query == NULL)
        return take_important(db, recall, 0);
    enough = take_found(db, recall);
    if (recall->out->count > 0)
        qsort(recall->out->list, recall->out->count, sizeof recall->out->list[0], by_score);
    cut(recall->out, search->limit);
    if (enough && search->also != STORE_ONLY_FOUND && recall->out->count < search->limit)
        enough = take_important(db, recall, search->also == STORE_ALSO_ALL ? 0 : IMPORTANT);
    return enough;
}

enum result store_fact_search(struct store *store, const struct store_subject *subject,
                              const struct store_fact_search *search, struct store_fact_list *out,
                              struct fault *fault)
{
    struct recall recall = { .subject = subject, .search = search, .out = out };
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *row = NULL;
    enum result result;

    *out = (struct store_fact_list){ 0 };
    if (db == NULL)
        return store_sqlite_fault(fault, status);
    result = store_sqlite_subject_owner(db, subject, &row, fault);
    if (row != NULL)
        db_reset(row);
    if (result == RESULT_OK && !recall_all(db, &recall))
        result = fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
    status = db_readers_return(store->readers, db);
    if (status != DB_OK)
        result = store_sqlite_fault(fault, status);
    cut(out, search->limit);
    if (result != RESULT_OK)
        store_fact_list_free(out);
    return result;
}
