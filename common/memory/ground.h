/*
 * ground: facts and passages as the JSON that a model gets, within a number of tokens, and as the text that a reader
 * gets when no model answers. JSON strings cannot close their quotes, so what they hold stays data. Pure.
 */
#ifndef PARLEY_MEMORY_GROUND_H
#define PARLEY_MEMORY_GROUND_H

#include "common/chat/turn.h"
#include "common/store/store_memory.h"

/* ["...", ...] of as many texts as fit; NULL when none does. The caller frees. */
char *ground_facts(const char *const *texts, size_t count, int64_t tokens);

/* Passages, sources and the offline answer, which begins with `offline` (NULL = it is not wanted), of as many passages
 * as fit. */
void ground_passages(const struct store_passages *passages, int64_t tokens, const char *offline,
                     struct turn_ground *out);

/* Drop the passages that have too few of the question's words (percent) and are not near it either. */
void ground_filter(struct store_passages *passages, int64_t threshold);

#endif
