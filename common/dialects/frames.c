/*
 * frames: see frames.h. frames_delta is on the hot path (once per delta and reader, on the loop): no printf,
 * few puts. Neighbours: support.c, user.c and session.c say what a contract adds to them.
 */
#include "common/dialects/frames.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"

/* Decimal digits to `at`; returns what is behind them. */
static char *put_number(char *at, size_t number)
{
    char digits[24];
    size_t first = sizeof digits;

    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return mempcpy(at, digits + first, sizeof digits - first);
}

/* `id: <message_id>:<offset>` and the data line up to the content, made here and put at once. */
static void open_frame(struct buf *out, const struct turn_reply *reply, size_t offset)
{
    static const char data[] = "\ndata: {\"content\":";
    char head[4 + CAP_ID + 24 + sizeof data];
    char *at = mempcpy(head, "id: ", 4);

    at = mempcpy(at, reply->message_id, strnlen(reply->message_id, CAP_ID - 1));
    *at++ = ':';
    at = put_number(at, offset);
    at = mempcpy(at, data, sizeof data - 1);
    buf_put(out, head, (size_t)(at - head));
}

void frames_first(const struct turn_reply *reply, const char *key, const char *id, size_t offset,
                  struct buf *out)
{
    open_frame(out, reply, offset);
    buf_puts(out, "\"\",\"done\":false");
    json_put_member(out, "conversation_id", reply->conversation_id);
    json_put_member(out, "message_id", reply->message_id);
    if (key != NULL)
        json_put_member(out, key, id);
    buf_puts(out, "}\n\n");
}

void frames_delta(const struct turn_reply *reply, const char *text, size_t len, size_t offset,
                  struct buf *out)
{
    open_frame(out, reply, offset);
    json_put_string(out, text, len);
    buf_put(out, ",\"done\":false}\n\n", 16);
}

void frames_put_timestamp(struct buf *out, const struct turn_reply *reply)
{
    char stamp[CLOCK_RFC3339_SIZE];

    json_put_member(out, "timestamp", clock_rfc3339(reply->finished_ms, stamp));
}

void frames_put_sources(struct buf *out, const struct turn_reply *reply)
{
    if (reply->sources_json != NULL)
        json_put_member_raw(out, "sources", reply->sources_json);
}

void frames_last(const struct turn_reply *reply, size_t offset, struct buf *out)
{
    open_frame(out, reply, offset);
    buf_puts(out, "\"\",\"done\":true");
    json_put_member(out, "message_id", reply->message_id);
    json_put_member(out, "finish_reason", finish_reason_name(reply->finish));
    json_put_member(out, "provider", reply->provider);
    json_put_member(out, "model", reply->model);
    stream_usage_put(out, reply->usage);
    if (reply->cached)
        json_put_member_bool(out, "cached", true);
    frames_put_sources(out, reply);
    buf_puts(out, "}\n\ndata: [DONE]\n\n");
}

void frames_failed(const struct turn_reply *reply, const struct fault *fault, size_t offset,
                   struct buf *out)
{
    open_frame(out, reply, offset);
    buf_puts(out, "\"\",\"done\":true");
    json_put_member(out, "error", fault->text);
    json_put_member(out, "code", fault->code);
    json_put_member(out, "message_id", reply->message_id);
    if (fault->retry_after_s > 0)
        json_put_member_int(out, "retry_after", fault->retry_after_s);
    buf_puts(out, "}\n\ndata: [DONE]\n\n");
}
