/*
 * stream: the wire names of why an answer ended. The events themselves are plain data (stream.h).
 * Any thread.
 */
#include "common/chat/stream.h"

#include <string.h>

static const char *const finish_names[] = {
    [FINISH_NONE] = "",           [FINISH_STOP] = "stop",
    [FINISH_LENGTH] = "length",   [FINISH_CONTENT_FILTER] = "content_filter",
    [FINISH_REFUSAL] = "refusal", [FINISH_TOOL_CALLS] = "tool_calls",
    [FINISH_STOPPED] = "stopped", [FINISH_FALLBACK] = "fallback",
    [FINISH_ERROR] = "error",     [FINISH_INTERRUPTED] = "interrupted",
};

#define FINISH_COUNT (sizeof finish_names / sizeof *finish_names)

const char *finish_reason_name(enum finish_reason reason)
{
    return (size_t)reason < FINISH_COUNT ? finish_names[reason] : "";
}

enum finish_reason finish_reason_parse(const char *name)
{
    for (size_t i = 0; name && i < FINISH_COUNT; i++)
        if (strcmp(name, finish_names[i]) == 0)
            return (enum finish_reason)i;
    return FINISH_NONE;
}
