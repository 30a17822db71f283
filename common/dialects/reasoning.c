/*
 * reasoning: the frame that carries the model's thoughts. It has content (empty) and done like every other
 * frame, so that a client which reads only those two is not disturbed. Pure; loop thread.
 */
#include "common/base/json.h"
#include "common/dialects/dialect.h"

void dialect_frame_reasoning(const struct turn_reply *reply, const char *text, size_t len,
                             size_t offset, struct buf *out)
{
    buf_putf(out, "id: %s:%zu\ndata: {\"reasoning\":", reply->message_id, offset);
    json_put_string(out, text, len);
    buf_puts(out, ",\"content\":\"\",\"done\":false}\n\n");
}
