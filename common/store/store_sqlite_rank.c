/*
 * store_sqlite_rank: see store_sqlite_rank.h. A place in a ranking counts 1 / (60 + place): reciprocal
 * rank fusion, in which who is well in front in both wins, whatever the scales of the two. 60 is the constant that it was
 * published with and that search engines use; with anything from 1 to 100 test_retrieval finds the same of the
 * questions that were held out, and differs by one of the others, which is no reason for a constant of our own.
 *
 * Request threads.
 */
#include "common/store/store_sqlite_rank.h"

#include <stdlib.h>
#include <string.h>

#define FUSION_K   60.0
#define CANDIDATES 200 /* vectors that are read whole */

static struct rank_hit *hit_of(struct rank *rank, int64_t row)
{
    for (size_t i = 0; i < rank->count; i++)
        if (rank->hits[i].row == row)
            return &rank->hits[i];
    if (rank->count == 2 * RANK_DEPTH)
        return NULL;
    rank->hits[rank->count] = (struct rank_hit){ .row = row, .cosine = -1 };
    return &rank->hits[rank->count++];
}

void rank_words(struct rank *rank, struct db_stmt *stmt)
{
    for (int taken = 0; taken < RANK_DEPTH && db_step(stmt); taken++) {
        struct rank_hit *hit = hit_of(rank, db_int(stmt, 0));

        if (hit != NULL)
            hit->bm25 = -db_real(stmt, 1);
    }
    db_reset(stmt);
}

static double cosine(const struct store_vector *vector, const void *blob, size_t len)
{
    const float *other = blob; /* SQLite aligns blobs to 8 bytes */
    float sum[4] = { 0 };
    size_t i = 0;

    if (blob == NULL || len != vector->count * sizeof(float))
        return -1;
    for (; i + 4 <= vector->count; i += 4)
        for (size_t k = 0; k < 4; k++)
            sum[k] += vector->values[i + k] * other[i + k];
    for (; i < vector->count; i++)
        sum[0] += vector->values[i] * other[i];
    return (double)(sum[0] + sum[1] + sum[2] + sum[3]);
}

struct near {
    int64_t row;
    double cosine;
};

/* Keep `list` sorted, the nearest first. */
static void keep(struct near *list, size_t *count, struct near one)
{
    size_t at;

    if (*count == RANK_DEPTH && one.cosine <= list[*count - 1].cosine)
        return;
    if (*count < RANK_DEPTH)
        ++*count;
    for (at = *count - 1; at > 0 && list[at - 1].cosine < one.cosine; at--)
        list[at] = list[at - 1];
    list[at] = one;
}

/* Keep the rows (row, vector) of a statement that are near. */
static void keep_rows(struct db_stmt *stmt, const struct store_vector *vector, struct near *list,
                      size_t *count)
{
    size_t len;

    while (db_step(stmt)) {
        struct near one = { .row = db_int(stmt, 0) };
        const void *blob = db_blob(stmt, 1, &len);

        one.cosine = cosine(vector, blob, len);
        if (one.cosine > 0)
            keep(list, count, one);
    }
    db_reset(stmt);
}

static void take_near(struct rank *rank, const struct near *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct rank_hit *hit = hit_of(rank, list[i].row);

        if (hit != NULL)
            hit->cosine = list[i].cosine;
    }
}

void rank_vectors(struct rank *rank, struct db_stmt *stmt, const struct store_vector *vector)
{
    struct near list[RANK_DEPTH] = { { 0 } };
    size_t count = 0;

    keep_rows(stmt, vector, list, &count);
    take_near(rank, list, count);
}

/* ---- many vectors ---- */

size_t rank_signs(const struct store_vector *vector, unsigned char signs[RANK_SIGNS_MAX])
{
    size_t count = vector->count < 8 * RANK_SIGNS_MAX ? vector->count : 8 * RANK_SIGNS_MAX;

    memset(signs, 0, RANK_SIGNS_MAX);
    for (size_t i = 0; i < count; i++)
        if (vector->values[i] > 0)
            signs[i / 8] |= (unsigned char)(1 << i % 8);
    return (count + 7) / 8;
}

struct far {
    int64_t row;
    unsigned differing; /* signs */
};
struct sky {
    struct far *list;
    size_t count, size;
    unsigned at[8 * RANK_SIGNS_MAX + 1]; /* how many differ in so many signs */
};

static unsigned differing(const unsigned char *a, const unsigned char *b, size_t len)
{
    unsigned sum = 0;
    size_t i = 0;

    for (; i + 8 <= len; i += 8) {
        uint64_t x, y;

        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        sum += (unsigned)__builtin_popcountll(x ^ y);
    }
    for (; i < len; i++)
        sum += (unsigned)__builtin_popcount(a[i] ^ b[i]);
    return sum;
}

static bool see(struct sky *sky, int64_t row, unsigned difference)
{
    if (sky->count == sky->size) {
        size_t size = sky->size == 0 ? 1024 : 2 * sky->size;
        struct far *moved = realloc(sky->list, size * sizeof *moved);

        if (moved == NULL)
            return false;
        sky->list = moved;
        sky->size = size;
    }
    sky->list[sky->count++] = (struct far){ row, difference };
    sky->at[difference]++;
    return true;
}

static bool see_all(struct sky *sky, struct db_stmt *all, const struct store_vector *vector)
{
    unsigned char signs[RANK_SIGNS_MAX];
    size_t len, size = rank_signs(vector, signs);
    bool enough = true;

    while (enough && db_step(all)) {
        const void *other = db_blob(all, 1, &len);

        if (other != NULL && len == size)
            enough = see(sky, db_int(all, 0), differing(signs, other, size));
    }
    return enough;
}

bool rank_many_vectors(struct rank *rank, struct db *db, struct db_stmt *all, const char *one,
                       const struct store_vector *vector)
{
    struct sky *sky = calloc(1, sizeof *sky);
    struct near list[RANK_DEPTH] = { { 0 } };
    size_t count = 0, seen = 0;
    unsigned farthest = 0;
    bool enough = sky != NULL && see_all(sky, all, vector);

    while (enough && farthest < 8 * RANK_SIGNS_MAX && (seen += sky->at[farthest]) < CANDIDATES)
        farthest++;
    for (size_t i = 0, read = 0; enough && i < sky->count && read < 2 * CANDIDATES; i++) {
        struct db_stmt *stmt;

        if (sky->list[i].differing > farthest)
            continue;
        read++;
        stmt = db_prepare(db, one);
        db_bind_int(stmt, ":id", sky->list[i].row);
        keep_rows(stmt, vector, list, &count);
    }
    take_near(rank, list, count);
    db_reset(all);
    if (sky != NULL)
        free(sky->list);
    free(sky);
    return enough;
}

static int by_words(const void *a, const void *b)
{
    double x = ((const struct rank_hit *)a)->bm25, y = ((const struct rank_hit *)b)->bm25;

    return (x < y) - (x > y);
}

static int by_vector(const void *a, const void *b)
{
    double x = ((const struct rank_hit *)a)->cosine, y = ((const struct rank_hit *)b)->cosine;

    return (x < y) - (x > y);
}

static int by_score(const void *a, const void *b)
{
    const struct rank_hit *x = a, *y = b;

    if (x->score != y->score)
        return (x->score < y->score) - (x->score > y->score);
    return by_words(a, b);
}

void rank_fuse(struct rank *rank)
{
    const double best = 2 / (FUSION_K + 1);

    qsort(rank->hits, rank->count, sizeof rank->hits[0], by_words);
    for (size_t i = 0; i < rank->count; i++)
        rank->hits[i].score = rank->hits[i].bm25 > 0 ? 1 / (FUSION_K + 1 + (double)i) : 0;
    qsort(rank->hits, rank->count, sizeof rank->hits[0], by_vector);
    for (size_t i = 0; i < rank->count; i++)
        if (rank->hits[i].cosine > 0)
            rank->hits[i].score += 1 / (FUSION_K + 1 + (double)i);
    for (size_t i = 0; i < rank->count; i++)
        rank->hits[i].score /= best;
    qsort(rank->hits, rank->count, sizeof rank->hits[0], by_score);
}
