/*
 * store_sqlite_memory: what store_sqlite_memory.c (facts come and go) and store_sqlite_recall.c (facts are found)
 * share. Private to the store.
 */
#ifndef PARLEY_STORE_STORE_SQLITE_MEMORY_H
#define PARLEY_STORE_STORE_SQLITE_MEMORY_H

#include "common/store/store_memory.h"
#include "common/store/store_sqlite.h"

#define MEMORY_SCOPE_SIZE 34 /* a letter and 16 bytes in hexadecimal, NUL included */
#define MEMORY_MATCH_MAX  (STORE_WORDS_MAX * (STORE_WORD_SIZE + 8) + 128)

/* For the WHERE of every statement that reaches facts, with store_sqlite_bind_subject. */
#define FACT_RULE "(:any OR (owner_kind = :kind AND owner_id = :owner))"

/* One word for a subject. */
void store_sqlite_scope(const struct store_subject *subject, char scope[MEMORY_SCOPE_SIZE]);

/* Bind :scope, and :any, :kind and :owner of FACT_RULE. */
void store_sqlite_bind_subject(struct db_stmt *stmt, const struct store_subject *subject,
                               const char *scope);

/*
 * May the owner act for the subject? RESULT_NOT_FOUND unknown_user when it is somebody else's. *row: a statement
 * at the row (owner_kind, owner_id) of whom it belongs to, to be reset; NULL: of nobody yet.
 */
enum result store_sqlite_subject_owner(struct db *db, const struct store_subject *subject,
                                       struct db_stmt **row, struct fault *fault);

/* The FTS5 expression that looks for the words among the facts of a scope. False when there are no words. */
bool store_sqlite_match(const struct store_words *words, const char *scope, struct buf *out);

#endif
