/*
 * stream: the events of an answer as it grows. Providers produce them, answers collects them,
 * dialects and readers show them; providers and dialects meet nowhere else.
 */
#ifndef PARLEY_CHAT_STREAM_H
#define PARLEY_CHAT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/result.h"

/* Why an answer ended: one vocabulary for all providers. */
enum finish_reason {
    FINISH_NONE,           /* not ended */
    FINISH_STOP,           /* "stop": the model was done */
    FINISH_LENGTH,         /* "length": token limit */
    FINISH_CONTENT_FILTER, /* "content_filter" */
    FINISH_REFUSAL,        /* "refusal": the model declined */
    FINISH_TOOL_CALLS,     /* "tool_calls" */
    FINISH_STOPPED,        /* "stopped": the visitor pressed Stop, or everybody left */
    FINISH_FALLBACK,       /* "fallback": FALLBACK_MESSAGE */
    FINISH_ERROR,          /* "error" */
    FINISH_INTERRUPTED     /* "interrupted": the process died or had to leave */
};

/* The wire name, "" for FINISH_NONE. finish_reason_parse gives FINISH_NONE for unknown names. */
const char *finish_reason_name(enum finish_reason reason);
enum finish_reason finish_reason_parse(const char *name);

struct stream_usage {
    int64_t prompt_tokens;
    int64_t completion_tokens;
    int64_t total_tokens;
    int64_t cached_tokens;    /* part of prompt_tokens */
    int64_t reasoning_tokens; /* part of completion_tokens */
    bool known;               /* false: all zero, the provider said nothing */
    bool estimated;           /* our estimate, because the stream was cut */
};

enum stream_type {
    STREAM_DELTA,     /* text: the next piece of the answer, whole characters, not empty */
    STREAM_REASONING, /* text: the model's thinking, never part of the answer */
    STREAM_USAGE,     /* usage: the totals so far (cumulative, not added up) */
    STREAM_MODEL,     /* text: the model that really answers */
    STREAM_TOOL_CALL, /* text: arguments, a JSON object on one line; tool: the name. Only where tools were offered */
    STREAM_FINISH, /* finish: the provider ended the answer; nothing but usage may follow */
    STREAM_FAILED  /* fault: the provider ended it with an error; nothing follows */
};

struct stream_event {
    enum stream_type type;
    const char *text; /* valid during the call only; well-formed UTF-8 */
    size_t text_len;
    const char *tool;
    enum finish_reason finish;
    const struct stream_usage *usage;
    const struct fault *fault;
};

/* `"usage":{…}` as a further member of a JSON object; nothing when `usage` is NULL or its figures are unknown. */
void stream_usage_put(struct buf *out, const struct stream_usage *usage);

/* Receives events in order, on the thread that feeds the provider's decoder. */
typedef void stream_sink(void *ctx, const struct stream_event *event);

#endif
