/*
 * stream: the wire names of why an answer ended. The events themselves are plain data (stream.h).
 * Any thread.
 */
#include "common/chat/stream.h"

#include <string.h>

#include "common/base/json.h"

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

void stream_usage_put(struct buf *out, const struct stream_usage *usage)
{
    if (usage == NULL || !usage->known)
        return;
    buf_puts(out, ",\"usage\":{");
    json_put_member_int(out, "prompt_tokens", usage->prompt_tokens);
    json_put_member_int(out, "completion_tokens", usage->completion_tokens);
    json_put_member_int(out, "total_tokens", usage->total_tokens);
    if (usage->cached_tokens > 0)
        json_put_member_int(out, "cached_tokens", usage->cached_tokens);
    if (usage->reasoning_tokens > 0)
        json_put_member_int(out, "reasoning_tokens", usage->reasoning_tokens);
    if (usage->estimated)
        json_put_member_bool(out, "estimated", true);
    buf_puts(out, "}");
}
