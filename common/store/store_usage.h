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

#endif
