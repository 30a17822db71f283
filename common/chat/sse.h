/*
 * sse: decoder of text/event-stream (WHATWG HTML 9.2), for bytes split at any point. Pure.
 *
 * LF, CRLF and lone CR end lines; a leading BOM is dropped; comment lines are skipped; several data
 * lines are joined by LF. An event that the peer did not end with a blank line is delivered by
 * sse_end() (Anthropic's fixtures end so; FIELD.md 4.2).
 */
#ifndef PARLEY_CHAT_SSE_H
#define PARLEY_CHAT_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

/*
 * One event: `event` is "" when the stream named none. `data` is NUL-terminated and lives during
 * the call.
 */
typedef void sse_sink(void *ctx, const char *event, const char *data, size_t len);

struct sse {
    struct buf line; /* the unfinished line (cap CAP_SSE_LINE) */
    struct buf data; /* the event's data so far (cap CAP_SSE_EVENT) */
    char event[64];  /* its name; longer names are cut */
    bool has_data;
    bool after_cr;
    bool started;
    sse_sink *sink;
    void *ctx;
};

void sse_init(struct sse *sse, sse_sink *sink, void *ctx);

/* False when a line or an event is over its cap; the stream is then of no use any more. */
bool sse_feed(struct sse *sse, const char *bytes, size_t len);

/* The peer closed: deliver what is pending. */
void sse_end(struct sse *sse);
void sse_free(struct sse *sse);

#endif
