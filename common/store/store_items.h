/*
 * store_items: the verbs of the store about the items of turns (contracts/turn_response.md): what went in and came
 * out, as JSON. The same rules as in store.h.
 */
#ifndef PARLEY_STORE_STORE_ITEMS_H
#define PARLEY_STORE_STORE_ITEMS_H

#include <stddef.h>

#include "common/store/store.h"

#define STORE_ITEM_ID_SIZE 128 /* of an item's id, NUL included; longer ones are not kept */

/* The conversation of this owner that one of these items belongs to, "" = none. The first id that is known wins. */
enum result store_items_conversation(struct store *store, const struct owner *owner,
                                     char (*ids)[STORE_ITEM_ID_SIZE], size_t count,
                                     char conversation_id[CAP_ID], struct fault *fault);

struct store_item {
    const char *id; /* NULL or too long: none */
    const char *json;
    size_t len;
};

/*
 * Keep items of the answer `message_id`, or (`asked`) of the question that it answers. `role` NULL, or what
 * the question's message is called from now on. RESULT_NOT_FOUND when it was erased meanwhile.
 */
enum result store_items_add(struct store *store, const char *message_id, bool asked,
                            const char *role, const struct store_item *items, size_t count);

/* Items of a conversation in the order in which they came, as they came. Borrowed during the call. */
enum result store_items_read(struct store *store, const char *conversation_id,
                             void (*visit)(void *ctx, const char *json, size_t len), void *ctx,
                             struct fault *fault);

#endif
