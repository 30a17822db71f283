/*
 * item_history: the input items of a turn as messages for providers that know no items. Pure; any thread.
 *
 * Kept: what user and assistant said, calls of functions that have a result, and the results. Left out: the front
 * end's empty stubs, instructions from the browser, and items of tools that only the Responses API has.
 */
#ifndef PARLEY_RESPONSES_ITEM_HISTORY_H
#define PARLEY_RESPONSES_ITEM_HISTORY_H

#include <stddef.h>

#include "common/base/result.h"
#include "common/chat/message.h"

struct item_history {
    struct chat_message *messages; /* owned, with their contents */
    struct chat_use *uses;         /* owned, one per message, with their strings */
    size_t count;
    size_t size; /* private */
};

/* `items` is a JSON array. RESULT_INVALID no_question when nothing is left to answer. On failure nothing needs freeing. */
enum result item_history_read(const char *items, size_t len, struct item_history *out,
                              struct fault *fault);
void item_history_free(struct item_history *history); /* a zeroed one is fine */

#endif
