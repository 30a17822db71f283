/*
 * frames: the SSE frames that all chat contracts share, and the members that their JSON replies share
 * (chat_api.md, "SSE frames of the chat API"). Private to the dialects.
 */
#ifndef PARLEY_DIALECTS_FRAMES_H
#define PARLEY_DIALECTS_FRAMES_H

#include "common/dialects/dialect.h"

/* The first frame; `key` and `id` are the contract's own further member, key NULL for none. */
void frames_first(const struct turn_reply *reply, const char *key, const char *id, size_t offset,
                  struct buf *out);
void frames_delta(const struct turn_reply *reply, const char *text, size_t len, size_t offset,
                  struct buf *out);
void frames_last(const struct turn_reply *reply, size_t offset, struct buf *out);
void frames_failed(const struct turn_reply *reply, const struct fault *fault, size_t offset,
                   struct buf *out);

/* `"sources":[…]` as a member; nothing when the answer was given none. */
void frames_put_sources(struct buf *out, const struct turn_reply *reply);

/* `"timestamp":"…"` of the answer's end. */
void frames_put_timestamp(struct buf *out, const struct turn_reply *reply);

#endif
