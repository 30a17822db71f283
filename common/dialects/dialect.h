/*
 * dialect: a client-side wire format. Bytes in -> turn_request; stream events -> bytes out. Pure, no I/O.
 *
 * Three contracts share POST /api/chat (contracts/chat_api.md); dialect_choose picks by the body's
 * fields. Each dialect is one file and one row in dialects.c.
 */
#ifndef PARLEY_DIALECTS_DIALECT_H
#define PARLEY_DIALECTS_DIALECT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/chat/turn.h"

struct json_object;

/* What the configuration allows. */
struct dialect_limits {
    size_t max_message_length; /* code points */
    size_t max_history;
    size_t max_image_bytes; /* of one picture; 0 = no pictures */
};

struct dialect {
    /* Stored with the conversation: "support" (000, 001), "user" (002), "session" (003). */
    const char *name;
    /* What happens without "stream" and without an Accept that asks for SSE. */
    bool stream_by_default;

    /*
     * Read the body into `out` (zeroed by the caller, freed by the caller also on failure; `stream` is
     * set from the body's "stream" or stream_by_default). RESULT_INVALID with code and field.
     */
    enum result (*parse)(struct json_object *body, const struct dialect_limits *limits,
                         struct turn_request *out, struct fault *fault);

    /* The whole JSON reply of a turn that was answered. */
    void (*reply)(const struct turn_reply *reply, struct buf *out);

    /* The SSE frames (chat_api.md, "SSE frames of the chat API"). `offset` is in bytes of UTF-8 text.
     * first: before any text. delta: `text` is whole characters, the frame's id is the offset behind it.
     * last: the closing frame and [DONE]. failed: a failure after the stream began, and [DONE]. */
    void (*frame_first)(const struct turn_reply *reply, size_t offset, struct buf *out);
    void (*frame_delta)(const struct turn_reply *reply, const char *text, size_t len, size_t offset,
                        struct buf *out);
    void (*frame_last)(const struct turn_reply *reply, size_t offset, struct buf *out);
    void (*frame_failed)(const struct turn_reply *reply, const struct fault *fault, size_t offset,
                         struct buf *out);

    /* A stream that is not SSE: its Content-Type, and what a quiet one sends to keep the connection. Both
     * NULL: SSE. */
    const char *stream_type;
    const char *ping;
};

extern const struct dialect dialect_support; /* 000 and 001 */
extern const struct dialect dialect_user;    /* 002 */
extern const struct dialect dialect_session; /* 003 */
extern const struct dialect dialect_simple;  /* 002's /api/chat/simple: one JSON reply */

/* The dialect of a POST /api/chat body, by the fields it has (null counts as absent). RESULT_INVALID
 * ambiguous_contract for sessionId and user_id both, invalid_json when it is no object. */
enum result dialect_choose(struct json_object *body, const struct dialect **out,
                           struct fault *fault);

/* A frame with a piece of the model's thoughts, the same in every contract: never part of the text. Sent only
 * to clients that asked for it. */
void dialect_frame_reasoning(const struct turn_reply *reply, const char *text, size_t len,
                             size_t offset, struct buf *out);

/* One attachment, {type:"image", data_url | file_id}, checked; strings of `out` are owned by the caller, also on failure.
 * RESULT_INVALID or RESULT_TOO_LARGE, field attachments. */
enum result dialect_attachment(struct json_object *entry, const struct dialect_limits *limits,
                               struct chat_image *out, struct fault *fault);

/* A frame about a tool that was called, the same in every contract; `call` is its object. Sent only to clients that
 * asked for it. */
void dialect_frame_tool(const struct turn_reply *reply, const char *call, size_t offset,
                        struct buf *out);

/* By stored name, NULL when unknown. */
const struct dialect *dialect_find(const char *name);

/* Does this Accept header ask for text/event-stream by name (q > 0)? NULL: no. A wildcard does not. */
bool dialect_accept_sse(const char *accept);

#endif
