/*
 * store_usage: what answers have cost, day by day. The counting is part of store_answer_end.
 */
#ifndef PARLEY_STORE_STORE_USAGE_H
#define PARLEY_STORE_STORE_USAGE_H

#include "common/store/store.h"

/* A day (UTC), a provider and a model; strings are borrowed during the visit. */
struct store_usage {
    const char *day; /* 2026-01-02 */
    const char *provider;
    const char *model;
    int64_t answers, cached_answers, estimated_answers; /* the latter two are among the first */
    int64_t prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens;
    int64_t cost_nano; /* billionths of the currency of the prices */
};
typedef void store_usage_visit(void *ctx, const struct store_usage *usage);

/* From the day of `since_ms` on, oldest first. */
enum result store_usage_list(struct store *store, int64_t since_ms, store_usage_visit *visit,
                             void *ctx, struct fault *fault);

/* A call to a model beside a turn, such as the one that looks for facts: it has no answer that is stored. */
struct store_side_call {
    const struct store_budget *budgets; /* that it is charged to */
    size_t budget_count;
    const char *provider;
    const char *model;
    int64_t reserved; /* tokens */
    int64_t now_ms;   /* of its beginning */
};

/* Reserve its tokens of each budget. RESULT_LIMITED budget_exhausted: nothing is reserved. */
enum result store_side_begin(struct store *store, const struct store_side_call *call,
                             struct fault *fault);

/* What was used takes the place of what was reserved, and is added to the day's usage. If it never comes, the reservation
 * stays as spent. */
enum result store_side_end(struct store *store, const struct store_side_call *call,
                           const struct stream_usage *usage, int64_t cost_nano);

#endif
