/*
 * store_sqlite_knowledge: the site's documents and their passages: put, listed, removed, searched; and the sources
 * that an answer was given. A document that changed gets all its passages anew, in one transaction.
 *
 * Runs on request threads and in the administrator's commands.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/store/store_memory.h"
#include "common/store/store_sqlite.h"
#include "common/store/store_sqlite_rank.h"

#define MANY_PASSAGES 2000 /* below it, common words cost nothing worth a look */
#define CAP_LINK      4096
#define MATCH_MAX     (STORE_WORDS_MAX * (STORE_WORD_SIZE + 8) + 128)

/* ---- documents ---- */

#define NAMED "source = :source OR (:below AND substr(source, 1, length(:source)) = :source)"

/* One, or all that begin so, too; first what FTS5 finds their passages by. How many. */
static int64_t delete_documents(struct db *db, const char *source, bool below)
{
    static const char *const steps[] = {
        "DELETE FROM passages_fts WHERE rowid IN (SELECT p.id FROM passages AS p"
        " JOIN documents AS d ON d.id = p.document_id WHERE " NAMED ")",
        "DELETE FROM documents WHERE " NAMED,
    };

    for (size_t i = 0; i < 2; i++) {
        struct db_stmt *stmt = db_prepare(db, steps[i]);

        db_bind_text(stmt, ":source", source);
        db_bind_int(stmt, ":below", below);
        db_run(stmt);
    }
    return db_changes(db);
}

static int64_t insert_document(struct db *db, const struct store_document_new *document)
{
    struct db_stmt *stmt = db_prepare(db, "SELECT url FROM documents WHERE source = :source");
    struct buf url;
    int64_t id;

    buf_init(&url, CAP_LINK);
    db_bind_text(stmt, ":source", document->source);
    buf_puts(&url,
             *document->url != '\0' || !db_step(stmt) ? document->url : db_text(stmt, 0, NULL));
    db_reset(stmt);
    delete_documents(db, document->source, false);
    stmt = db_prepare(db, "INSERT INTO documents (source, url, title, hash, added_ms, checked_ms)"
                          " VALUES (:source, :url, :title, :hash, :now, :now)");
    db_bind_text(stmt, ":source", document->source);
    db_bind_text(stmt, ":url", buf_str(&url));
    db_bind_text(stmt, ":title", document->title);
    db_bind_text(stmt, ":hash", document->hash);
    db_bind_int(stmt, ":now", document->now_ms);
    id = db_run(stmt) ? db_last_id(db) : 0;
    buf_free(&url);
    return id;
}

static void index_passage(struct db *db, int64_t id, const struct store_document_new *document,
                          const struct store_passage_new *passage)
{
    struct db_stmt *stmt = db_prepare(db, "INSERT INTO passages_fts (rowid, title, heading, body)"
                                          " VALUES (:id, :title, :heading, :body)");

    db_bind_int(stmt, ":id", id);
    db_bind_text(stmt, ":title", document->title);
    db_bind_text(stmt, ":heading", passage->heading);
    db_bind_text(stmt, ":body", passage->body);
    db_run(stmt);
}

static enum result put_document(struct db *db, void *arg)
{
    const struct store_document_new *document = arg;
    int64_t id = insert_document(db, document);

    for (size_t i = 0; i < document->count && db_status(db) == DB_OK; i++) {
        struct db_stmt *stmt =
            db_prepare(db, "INSERT INTO passages (document_id, position, title, heading, body)"
                           " VALUES (:document, :position, :title, :heading, :body)");

        db_bind_int(stmt, ":document", id);
        db_bind_int(stmt, ":position", (int64_t)i);
        db_bind_text(stmt, ":title", document->title);
        db_bind_text(stmt, ":heading", document->passages[i].heading);
        db_bind_text(stmt, ":body", document->passages[i].body);
        if (db_run(stmt))
            index_passage(db, db_last_id(db), document, &document->passages[i]);
    }
    return RESULT_OK;
}

enum result store_document_put(struct store *store, const struct store_document_new *document,
                               struct fault *fault)
{
    return store_sqlite_write(store, put_document, (void *)document, fault);
}

enum result store_document_list(struct store *store,
                                void (*show)(void *ctx, const struct store_document *document),
                                void *ctx, struct fault *fault)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;

    if (db == NULL)
        return store_sqlite_fault(fault, status);
    stmt = db_prepare(db, "SELECT source, url, title, hash, added_ms, checked_ms, (SELECT count(*)"
                          " FROM passages WHERE document_id = documents.id) FROM documents"
                          " ORDER BY source");
    while (db_step(stmt)) {
        struct store_document document = {
            .source = db_text(stmt, 0, NULL),
            .url = db_text(stmt, 1, NULL),
            .title = db_text(stmt, 2, NULL),
            .hash = db_text(stmt, 3, NULL),
            .added_ms = db_int(stmt, 4),
            .checked_ms = db_int(stmt, 5),
            .passages = db_int(stmt, 6),
        };

        show(ctx, &document);
    }
    status = db_readers_return(store->readers, db);
    return status == DB_OK ? RESULT_OK : store_sqlite_fault(fault, status);
}

struct seen {
    const struct store_document_new *document;
    bool *same;
    struct fault *fault;
};

static enum result see_document(struct db *db, void *arg)
{
    const struct seen *seen = arg;
    struct db_stmt *stmt = db_prepare(db, "UPDATE documents SET checked_ms = :now"
                                          " WHERE source = :source"
                                          " RETURNING hash = :hash AND :url IN ('', url)");
    bool found;

    db_bind_int(stmt, ":now", seen->document->now_ms);
    db_bind_text(stmt, ":source", seen->document->source);
    db_bind_text(stmt, ":hash", seen->document->hash);
    db_bind_text(stmt, ":url", seen->document->url);
    found = db_step(stmt);
    if (found)
        *seen->same = db_int(stmt, 0) != 0;
    db_run(stmt);
    if (!found)
        return fault_set(seen->fault, RESULT_NOT_FOUND, "unknown_document", NULL,
                         "There is no such document.");
    return RESULT_OK;
}

enum result store_document_seen(struct store *store, const struct store_document_new *document,
                                bool *same, struct fault *fault)
{
    struct seen seen = { document, same, fault };

    *same = false;
    return store_sqlite_write(store, see_document, &seen, fault);
}

struct remove {
    const char *source;
    int64_t *count;
};

static enum result remove_documents(struct db *db, void *arg)
{
    const struct remove *remove = arg;
    size_t len = strlen(remove->source);

    *remove->count =
        delete_documents(db, remove->source, len > 0 && remove->source[len - 1] == '/');
    return RESULT_OK;
}

enum result store_document_remove(struct store *store, const char *source, int64_t *count,
                                  struct fault *fault)
{
    struct remove remove = { source, count };

    *count = 0;
    return store_sqlite_write(store, remove_documents, &remove, fault);
}

/* ---- passages ---- */

void store_passages_free(struct store_passages *passages)
{
    for (size_t i = 0; i < passages->count; i++) {
        free(passages->list[i].title);
        free(passages->list[i].heading);
        free(passages->list[i].body);
        free(passages->list[i].url);
    }
    free(passages->list);
    *passages = (struct store_passages){ 0 };
}

/* A row of (id, title, heading, body, url) into a list that has room. False when out of memory. */
static bool take_passage(struct store_passages *out, struct db_stmt *stmt)
{
    struct store_passage *passage = &out->list[out->count++];

    *passage = (struct store_passage){ .row = db_int(stmt, 0),
                                       .title = strdup(db_text(stmt, 1, NULL)),
                                       .heading = strdup(db_text(stmt, 2, NULL)),
                                       .body = strdup(db_text(stmt, 3, NULL)),
                                       .url = strdup(db_text(stmt, 4, NULL)),
                                       .cosine = -1 };
    return passage->title != NULL && passage->heading != NULL && passage->body != NULL &&
           passage->url != NULL;
}

/* A word that stands in a quarter of many passages tells little and costs most of the search. Others that are left do
 * without it. Words are looked up as they are: a form whose stem is another word counts as rare. */
static void drop_common(struct db *db, struct store_words *words)
{
    int64_t total = db_exec_int(db, "SELECT coalesce(max(id), 0) FROM passages", 0);
    struct store_words kept = { .count = 0 };

    if (total < MANY_PASSAGES)
        return;
    for (size_t i = 0; i < words->count; i++) {
        struct db_stmt *stmt = db_prepare(db, "SELECT doc FROM passages_vocab WHERE term = :term");

        db_bind_text(stmt, ":term", words->list[i]);
        if (!db_step(stmt) || db_int(stmt, 0) < total / 4)
            memcpy(kept.list[kept.count++], words->list[i], STORE_WORD_SIZE);
        db_reset(stmt);
    }
    if (kept.count > 0)
        *words = kept;
}

/* False when out of memory. */
static bool rank_passages(struct db *db, const struct store_passage_search *search,
                          const struct store_words *words, struct rank *rank)
{
    struct store_words telling = *words;
    struct db_stmt *stmt;
    bool enough = true;
    struct buf match;

    buf_init(&match, MATCH_MAX);
    drop_common(db, &telling);
    if (!search->only_vector && store_words_query(&telling, &match)) {
        stmt = db_prepare(db, "SELECT rowid, bm25(passages_fts, 2.0, 3.0, 1.0) AS rank"
                              " FROM passages_fts WHERE passages_fts MATCH :match ORDER BY 2"
                              " LIMIT 40");
        db_bind_text(stmt, ":match", buf_str(&match));
        rank_words(rank, stmt);
    }
    buf_free(&match);
    if (search->vector != NULL) {
        stmt = db_prepare(db, "SELECT passage_id, signs FROM passage_vectors"
                              " WHERE model = :model");
        db_bind_text(stmt, ":model", search->vector->model);
        enough = rank_many_vectors(
            rank, db, stmt, "SELECT passage_id, vector FROM passage_vectors WHERE passage_id = :id",
            search->vector);
    }
    rank_fuse(rank);
    return enough;
}

static double share_of(const struct store_words *words, const struct store_passage *passage)
{
    struct buf all;
    double share;

    buf_init(&all, strlen(passage->title) + strlen(passage->heading) + strlen(passage->body) + 3);
    buf_putf(&all, "%s\n%s\n%s", passage->title, passage->heading, passage->body);
    share = store_words_share(words, buf_str(&all), all.len);
    buf_free(&all);
    return share;
}

static bool read_ranked(struct db *db, const struct rank *rank, const struct store_words *words,
                        size_t limit, struct store_passages *out)
{
    bool enough = true;

    for (size_t i = 0; enough && i < rank->count && out->count < limit; i++) {
        struct db_stmt *stmt =
            db_prepare(db, "SELECT p.id, p.title, p.heading, p.body, d.url FROM passages AS p"
                           " JOIN documents AS d ON d.id = p.document_id WHERE p.id = :id");
        size_t before = out->count;

        db_bind_int(stmt, ":id", rank->hits[i].row);
        if (db_step(stmt))
            enough = take_passage(out, stmt);
        db_reset(stmt);
        if (enough && out->count > before) {
            out->list[before].cosine = rank->hits[i].cosine;
            out->list[before].score = rank->hits[i].score;
            out->list[before].share = share_of(words, &out->list[before]);
        }
    }
    return enough;
}

enum result store_passage_search(struct store *store, const struct store_passage_search *search,
                                 struct store_passages *out, struct fault *fault)
{
    struct rank rank = { .count = 0 };
    struct store_words words;
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    bool enough = true;

    *out = (struct store_passages){ 0 };
    if (db == NULL)
        return store_sqlite_fault(fault, status);
    store_words_read(&words, search->query, strlen(search->query));
    enough = rank_passages(db, search, &words, &rank);
    out->list = calloc(search->limit > 0 ? search->limit : 1, sizeof out->list[0]);
    enough = enough && out->list != NULL && read_ranked(db, &rank, &words, search->limit, out);
    status = db_readers_return(store->readers, db);
    if (status == DB_OK && enough)
        return RESULT_OK;
    store_passages_free(out);
    return status != DB_OK ? store_sqlite_fault(fault, status)
                           : fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
}

enum result store_passages_bare(struct store *store, const char *model, size_t limit,
                                struct store_passages *out, struct fault *fault)
{
    enum db_status status;
    struct db *db = db_readers_take(store->readers, &status);
    struct db_stmt *stmt;
    bool enough;

    *out = (struct store_passages){ 0 };
    if (db == NULL)
        return store_sqlite_fault(fault, status);
    stmt = db_prepare(db, "SELECT p.id, p.title, p.heading, p.body, '' FROM passages AS p"
                          " WHERE NOT EXISTS (SELECT 1 FROM passage_vectors AS v WHERE"
                          " v.passage_id = p.id AND v.model = :model) ORDER BY p.id LIMIT :limit");
    db_bind_text(stmt, ":model", model);
    db_bind_int(stmt, ":limit", (int64_t)limit);
    out->list = calloc(limit > 0 ? limit : 1, sizeof out->list[0]);
    enough = out->list != NULL;
    while (enough && db_step(stmt))
        enough = take_passage(out, stmt);
    db_reset(stmt);
    status = db_readers_return(store->readers, db);
    if (status == DB_OK && enough)
        return RESULT_OK;
    store_passages_free(out);
    return status != DB_OK ? store_sqlite_fault(fault, status)
                           : fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
}

/* ---- sources ---- */

void store_sqlite_put_sources(struct db *db, int64_t message_row, const char *sources)
{
    struct db_stmt *stmt =
        db_prepare(db, "INSERT INTO message_sources (message_id, sources) VALUES (:id, :sources)"
                       " ON CONFLICT (message_id) DO UPDATE SET sources = excluded.sources");

    db_bind_int(stmt, ":id", message_row);
    db_bind_text(stmt, ":sources", sources);
    db_run(stmt);
}
