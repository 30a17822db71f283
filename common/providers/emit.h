/*
 * emit: the last step of every decoder: makes stream events of what a provider said. Keeps the promises
 * of chat/stream.h for all formats: text is whole well-formed characters (pieces of a character that
 * came in two deltas are joined), the model is told once, and nothing follows the end.
 */
#ifndef PARLEY_PROVIDERS_EMIT_H
#define PARLEY_PROVIDERS_EMIT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/chat/stream.h"

struct emit {
    stream_sink *sink;
    void *ctx;
    struct buf joined;   /* scratch: held bytes and new ones */
    struct buf repaired; /* scratch: well-formed */
    char held[4];        /* the beginning of a character that the last delta cut */
    size_t held_len;
    enum stream_type held_type; /* STREAM_DELTA or STREAM_REASONING */
    struct stream_usage usage;  /* as told last */
    bool model_told;
    bool ended; /* STREAM_FINISH or STREAM_FAILED was sent */
};

void emit_init(struct emit *emit, stream_sink *sink, void *ctx);
void emit_free(struct emit *emit);

/* STREAM_DELTA or STREAM_REASONING. Any bytes; surrogates as three bytes; U+0000 is dropped. */
void emit_text(struct emit *emit, enum stream_type type, const char *text, size_t len);
/* The first name that is not empty counts. */
void emit_model(struct emit *emit, const char *name, size_t len);
/* Sent when it differs from the last one. */
void emit_usage(struct emit *emit, const struct stream_usage *usage);

/* A call of a function; any bytes, as emit_text. Arguments that are no JSON object become an empty one, all others one
 * line, because they stand in frames; a call without name is none. */
void emit_tool_call(struct emit *emit, const char *name, const char *arguments, size_t len);

void emit_finish(struct emit *emit, enum finish_reason reason);
void emit_failed(struct emit *emit, const struct fault *fault);

#endif
