/*
 * store_sqlite_rank: what a search found by words (BM25) and by vectors, as one ranking. Private to the store.
 */
#ifndef PARLEY_STORE_STORE_SQLITE_RANK_H
#define PARLEY_STORE_STORE_SQLITE_RANK_H

#include "common/store/db.h"
#include "common/store/store_memory.h"

#define RANK_DEPTH 40 /* of each of the two rankings */

struct rank_hit {
    int64_t row;
    double bm25;   /* the more the better, 0 = not found by words */
    double cosine; /* -1 = not found by vectors */
    double score;  /* of both, from 0 to 1 */
};
struct rank {
    struct rank_hit hits[2 * RANK_DEPTH];
    size_t count;
};

/* Take the rows (row, bm25) of a statement, at most RANK_DEPTH. */
void rank_words(struct rank *rank, struct db_stmt *stmt);
/* Take the RANK_DEPTH nearest of the rows (row, vector) of a statement. */
void rank_vectors(struct rank *rank, struct db_stmt *stmt, const struct store_vector *vector);
/*
 * The same where there are many: the rows (row, signs) of `all` are compared by their signs, a bit per number, and only the
 * vectors of the nearest are read, by `one` (:id gives row, vector). False when out of memory.
 */
bool rank_many_vectors(struct rank *rank, struct db *db, struct db_stmt *all, const char *one,
                       const struct store_vector *vector);

#define RANK_SIGNS_MAX 1024 /* bytes: of 8192 numbers */
/* The signs of a vector, 8 to a byte; how many bytes. */
size_t rank_signs(const struct store_vector *vector, unsigned char signs[RANK_SIGNS_MAX]);

/* Fuse both (reciprocal rank) and sort, the best first. */
void rank_fuse(struct rank *rank);

#endif
