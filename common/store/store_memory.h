/*
 * store_memory: the rest of the store's verbs: facts about people, the site's documents, and the search in
 * both. Everything that store.h says of blocking, threads and failures holds here.
 *
 * Words of strangers never reach FTS5 as syntax: store_words takes them apart and puts each into quotes.
 */
#ifndef PARLEY_STORE_STORE_MEMORY_H
#define PARLEY_STORE_STORE_MEMORY_H

#include "common/base/buf.h"
#include "common/store/store.h"

/* ---- words ---- */

#define STORE_WORDS_MAX 24 /* of a question; the rest adds little and costs much */
#define STORE_WORD_SIZE 64 /* bytes of one, NUL included; longer ones are several */

/* The words of a text in lower case (ASCII), without the commonest English ones unless there are no others,
 * each once. */
struct store_words {
    char list[STORE_WORDS_MAX][STORE_WORD_SIZE];
    size_t count;
};
void store_words_read(struct store_words *words, const char *text, size_t len);

/* All words of a text, in lower case, with single spaces: what makes two texts the same. */
void store_words_plain(const char *text, size_t len, struct buf *out);

/* As an FTS5 expression: "a" OR "b". False when there are none. */
bool store_words_query(const struct store_words *words, struct buf *out);

/* The share (0 to 1) of the words that `text` has, too; the ending of a longer word may differ. */
double store_words_share(const struct store_words *words, const char *text, size_t len);

/* ---- vectors ---- */

/* Of length 1; `model` says whose they are: only those of the same model are compared. */
struct store_vector {
    const char *model;
    const float *values;
    size_t count;
};

/* Make its length 1. False for one without direction. */
bool store_vector_normalise(float *values, size_t count);

/* ---- facts ---- */

/*
 * About whom: a user_id, or (NULL) the owner himself, who must be a visitor or a login then. A user_id belongs
 * to the owner of its conversation, else to whoever told the first fact under it; for others it is
 * RESULT_NOT_FOUND unknown_user.
 */
struct store_subject {
    const struct owner *owner;
    const char *user_id;
};

/* Is there anybody to remember? Anonymous sessions and keys without a user_id are nobody. */
bool store_subject_known(const struct store_subject *subject);

#define STORE_FACT_CHARS 500 /* of one fact */

struct store_fact {
    char id[CAP_ID];
    int64_t row;
    char *text;     /* owned by the list */
    int importance; /* 0 to 100 */
    int64_t created_ms, updated_ms;
    int64_t replaced; /* how many earlier versions there are */
    double score;     /* of a search, the best first */
};
struct store_fact_list {
    struct store_fact *list;
    size_t count;
};
void store_fact_list_free(struct store_fact_list *facts);

struct store_fact_new {
    const char *text; /* clean UTF-8 */
    int importance;
    const char *origin; /* "client", "model" */
    const char
        *replaces; /* id of a fact that is no longer true, NULL = none; an unknown one is none */
    const char *
        learned_of; /* id of the answer that it was learned of, NULL = none; when that was erased meanwhile, or
                             * all about the subject forgotten, the fact is RESULT_NOT_FOUND unknown_message */
    int64_t now_ms;
    int64_t most; /* of one subject: the least important and oldest beyond it go */
};

struct store_fact_added {
    char id[CAP_ID];
    int64_t row;
    bool fresh; /* false: a duplicate was merged, or an older version replaced */
};

/* A duplicate (the same words) only gains importance; one that overlaps nearly whole, and what it `replaces`,
 * gets the new text and keeps the old one as its history; a duplicate has what it `replaces` as its history. */
enum result store_fact_add(struct store *store, const struct store_subject *subject,
                           const struct store_fact_new *fact, struct store_fact_added *out,
                           struct fault *fault);

struct store_fact_search {
    const char *query;                 /* NULL or without words: the most important and newest */
    const struct store_vector *vector; /* of the query, NULL = none */
    enum {
        STORE_ONLY_FOUND,
        STORE_ALSO_IMPORTANT,
        STORE_ALSO_ALL
    } also; /* what follows those that the query found */
    int64_t now_ms;
    size_t limit;
};
enum result store_fact_search(struct store *store, const struct store_subject *subject,
                              const struct store_fact_search *search, struct store_fact_list *out,
                              struct fault *fault);

/* One by its id, or (NULL) all of the subject, of which *count says how many. One of somebody else is
 * RESULT_NOT_FOUND unknown_fact. `subject` may have no user_id for one: its fact's counts. */
enum result store_fact_delete(struct store *store, const struct store_subject *subject,
                              const char *id, int64_t *count, struct fault *fault);

/* Of the fact `text`. Nothing happens when the row is gone or says something else by now, perhaps of somebody else. */
enum result store_fact_vector(struct store *store, int64_t row, const char *text,
                              const struct store_vector *vector);

/* The user_ids of an owner's conversations, for those who forget elsewhere what belongs to them. */
struct store_users {
    char **list; /* owned, strings too */
    size_t count;
};
enum result store_owner_users(struct store *store, const struct owner *owner,
                              struct store_users *out, struct fault *fault);
void store_users_free(struct store_users *users); /* a zeroed one is fine */

/* Of a subject that asked something: is it a visitor who erased all that he had, or a user_id that is nobody's now? */
bool store_subject_gone(struct store *store, const struct store_subject *subject);

/* ---- documents ---- */

struct store_passage_new {
    const char *heading;
    const char *body;
};

struct store_document_new {
    const char *source, *url, *title, *hash;
    const struct store_passage_new *passages;
    size_t count;
    int64_t now_ms;
};

/* Put a document in the place of the one of the same source, whose link stays when there is no new one. */
enum result store_document_put(struct store *store, const struct store_document_new *document,
                               struct fault *fault);

struct store_document {
    const char *source, *url, *title, *hash;
    int64_t passages;
    int64_t added_ms, checked_ms;
};
/* By source. `show` may be called for as many as there are. */
enum result store_document_list(struct store *store,
                                void (*show)(void *ctx, const struct store_document *document),
                                void *ctx, struct fault *fault);

/* Is it there with this hash, and this link if any? And note that it was looked at. RESULT_NOT_FOUND unknown_document. */
#define STORE_HASH_SIZE 65
enum result store_document_seen(struct store *store, const struct store_document_new *document,
                                bool *same, struct fault *fault);

/* By its source, or all below a directory or address (which then ends with a slash). */
enum result store_document_remove(struct store *store, const char *source, int64_t *count,
                                  struct fault *fault);

/* ---- passages ---- */

struct store_passage {
    int64_t row;
    char *title, *heading, *body, *url; /* owned by the list; url "" = none */
    double share;                       /* of the query's words that it has */
    double cosine;                      /* with the query's vector; -1 = no vector */
    double score;                       /* the best first */
};
struct store_passages {
    struct store_passage *list;
    size_t count;
};
void store_passages_free(struct store_passages *passages);

struct store_passage_search {
    const char *query;
    const struct store_vector *vector; /* NULL = none */
    bool only_vector;                  /* do not look for words */
    size_t limit;
};
enum result store_passage_search(struct store *store, const struct store_passage_search *search,
                                 struct store_passages *out, struct fault *fault);

/* Passages that have no vector of `model` yet, at most `limit`: row and body, with title and heading. */
enum result store_passages_bare(struct store *store, const char *model, size_t limit,
                                struct store_passages *out, struct fault *fault);
/* As store_fact_vector. */
enum result store_passage_vector(struct store *store, int64_t row, const char *body,
                                 const struct store_vector *vector);

#endif
