/*
 * synth: the events of a Responses stream made of the stream events of any provider: what the front end consumes
 * (contracts/turn_response.md, section 4), with item ids that never repeat and at most one function call. Pure.
 *
 * An answer is a message item while there is text, then perhaps a function_call item, then
 * response.completed with all items.
 */
#ifndef PARLEY_RESPONSES_SYNTH_H
#define PARLEY_RESPONSES_SYNTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/caps.h"
#include "common/chat/stream.h"

/* One event: `json` is the event object; valid during the call. */
typedef void synth_sink(void *ctx, const char *type, const char *json, size_t len);

struct synth {
    synth_sink *sink;
    void *ctx;
    struct buf event;  /* scratch */
    struct buf text;   /* of the open message */
    struct buf output; /* items that are done, comma-separated */
    char response_id[CAP_ID];
    char item_id[CAP_ID]; /* of the open message; "" = none is open */
    char model[CAP_MODEL_NAME];
    int64_t created_s;
    int64_t sequence;
    int64_t index; /* of the item */
    bool begun;
    bool called; /* there was a function call */
    bool failed; /* a buffer is full */
};

void synth_init(struct synth *synth, const char *model, synth_sink *sink, void *ctx);
void synth_free(struct synth *synth);

void synth_text(struct synth *synth, const char *text, size_t len);
/* `arguments` is a JSON object. The second call of an answer is left out. */
void synth_call(struct synth *synth, const char *name, const char *arguments, size_t len);

/* An item that is whole from the beginning: added and done. `item` is its JSON. */
void synth_item(struct synth *synth, const char *item, size_t len);

/* The end: response.completed, or response.incomplete where something is missing (length, filter). */
void synth_finish(struct synth *synth, enum finish_reason finish, const struct stream_usage *usage);

#endif
