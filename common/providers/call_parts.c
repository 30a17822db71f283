/*
 * call_parts: see call_parts.h. Pieces belong together by their index; some servers give every call index 0,
 * and then a new id tells that it is another one. Runs on the thread that feeds the decoder.
 */
#include "common/providers/call_parts.h"

#include <string.h>

#include "common/base/caps.h"

#define CAP_NAME      256
#define CAP_ARGUMENTS CAP_SSE_EVENT

void call_parts_init(struct call_parts *parts, bool wanted)
{
    *parts = (struct call_parts){ .wanted = wanted };
    buf_init(&parts->name, CAP_NAME);
    buf_init(&parts->id, CAP_NAME);
    buf_init(&parts->arguments, CAP_ARGUMENTS);
}

void call_parts_free(struct call_parts *parts)
{
    buf_free(&parts->name);
    buf_free(&parts->id);
    buf_free(&parts->arguments);
}

static void add(struct buf *out, struct skim value, struct buf *scratch)
{
    const char *chars;
    size_t len;

    if (skim_is_string(value) && skim_string(value, scratch, &chars, &len))
        buf_put(out, chars, len);
}

static bool is_other(const struct call_parts *parts, int64_t index, struct skim id)
{
    bool has_id = skim_is_string(id) && id.len > 2;

    if (!parts->begun)
        return false;
    return index != parts->index ||
           (has_id && parts->id.len > 0 &&
            (id.len - 2 != parts->id.len || memcmp(id.at + 1, parts->id.data, id.len - 2) != 0));
}

void call_parts_add(struct call_parts *parts, int64_t index, struct skim id, struct skim name,
                    struct skim arguments, struct buf *scratch)
{
    if (is_other(parts, index, id))
        return;
    parts->begun = true;
    parts->index = index;
    if (parts->id.len == 0)
        add(&parts->id, id, scratch);
    if (parts->name.len == 0)
        add(&parts->name, name, scratch);
    add(&parts->arguments, arguments, scratch);
}

void call_parts_emit(struct call_parts *parts, struct emit *emit)
{
    if (!parts->begun || !parts->wanted || parts->name.failed || parts->arguments.failed)
        return;
    parts->begun = false;
    emit_tool_call(emit, buf_str(&parts->name), buf_str(&parts->arguments), parts->arguments.len);
}
