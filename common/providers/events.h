/*
 * events: the reply side of formats whose streams are events with names (Anthropic's Messages, OpenAI's
 * Responses): bytes -> sse -> the row of a table that takes the event. An event is known by its
 * `event:` line or, where a server leaves that out, by the "type" in its data; unknown ones are
 * ignored, because new ones may appear at any time. One owner at a time.
 */
#ifndef PARLEY_PROVIDERS_EVENTS_H
#define PARLEY_PROVIDERS_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/chat/sse.h"
#include "common/providers/emit.h"
#include "common/providers/failure.h"
#include "common/providers/provider.h"
#include "common/providers/skim.h"

struct events_row {
    const char *name;
    /* Read the event's data, which may be anything. False when it is not what it should be. */
    bool (*take)(struct provider_stream *stream, struct skim data);
};

struct events {
    struct emit emit;
    struct sse sse;
    struct buf scratch; /* unescaped strings */
    const struct events_row *rows;
    size_t row_count;
    struct provider_stream *stream; /* what rows are given */
    enum finish_reason finish;      /* as the model told; FINISH_NONE before that */
    bool got_event;
    bool at_end; /* the body is over; what is delivered now may be half an event */
};

void events_init(struct events *events, const struct events_row *rows, size_t row_count,
                 struct provider_stream *stream, stream_sink *sink, void *ctx);
void events_free(struct events *events);

/* `feed` and `end` of struct provider_ops. The end of the body is good after a reason to finish. */
void events_feed(struct events *events, const char *bytes, size_t len);
void events_end(struct events *events);

/* For rows: pass on a string value; other values are ignored. A malformed string fails the stream. */
void events_text(struct events *events, enum stream_type type, struct skim value);
void events_model(struct events *events, struct skim value);

/* For rows: the answer has ended, for the reason told or else FINISH_STOP. */
void events_finish(struct events *events);
void events_fail(struct events *events, enum failure_kind kind);

/* For rows: the provider ended the stream with this error object (or anything else). */
void events_error(struct events *events, struct skim error);

/* A name of the wire and what it means; tables of them end with a NULL name, whose reason is for names
 * that are not in it. */
struct events_reason {
    const char *name;
    enum finish_reason reason;
};

/* For rows: keep the reason that `value` names; anything but a string leaves things as they are. */
void events_read_reason(struct events *events, const struct events_reason *reasons,
                        struct skim value);

/* True when `value` is the string `text`, which needs no escapes. */
bool events_is(struct skim value, const char *text);

#endif
