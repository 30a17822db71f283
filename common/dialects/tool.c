/*
 * tool: the frame about a tool that the model has called: once when it begins, again with what came of it. Like that
 * of the model's thoughts it has content (empty) and done, for clients that read only those two. Pure; loop thread.
 */
#include "common/dialects/dialect.h"

void dialect_frame_tool(const struct turn_reply *reply, const char *call, size_t offset,
                        struct buf *out)
{
    buf_putf(out, "id: %s:%zu\ndata: {\"tool\":", reply->message_id, offset);
    buf_puts(out, call);
    buf_puts(out, ",\"content\":\"\",\"done\":false}\n\n");
}
