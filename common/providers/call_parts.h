/*
 * call_parts: a function call that a decoder receives in pieces. Only the first call of an answer counts: whoever
 * asked allows one at a time. One owner at a time.
 */
#ifndef PARLEY_PROVIDERS_CALL_PARTS_H
#define PARLEY_PROVIDERS_CALL_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/providers/emit.h"
#include "common/providers/skim.h"

struct call_parts {
    struct buf name;
    struct buf arguments;
    struct buf id;
    int64_t index;
    bool wanted;
    bool begun;
};

/* `wanted`: tools were offered; otherwise no call is sent whatever comes. */
void call_parts_init(struct call_parts *parts, bool wanted);
void call_parts_free(struct call_parts *parts);

/* A piece of the call number `index`. Values that are no strings are left out; `id` and `name` count once. Pieces of
 * other calls are ignored. */
void call_parts_add(struct call_parts *parts, int64_t index, struct skim id, struct skim name,
                    struct skim arguments, struct buf *scratch);

/* Send the call, if there was one. Once. */
void call_parts_emit(struct call_parts *parts, struct emit *emit);

#endif
