/*
 * support: the contract of source documents 000 and 001: {message, conversation_id?, user_context?,
 * provider?, model?, history?} -> {response, conversation_id, timestamp, status}. Also the native one.
 */
#include "common/base/json.h"
#include "common/dialects/frames.h"
#include "common/dialects/parse.h"

static enum result parse(struct json_object *body, const struct dialect_limits *limits,
                         struct turn_request *out, struct fault *fault)
{
    enum result result = parse_message(body, limits, NULL, out, fault);

    if (result == RESULT_OK)
        result = parse_common(body, false, out, fault);
    if (result == RESULT_OK)
        result = parse_string(body, "conversation_id", CAP_USER_ID, &out->conversation_id, fault);
    if (result == RESULT_OK)
        result = parse_context(body, out, fault);
    if (result == RESULT_OK)
        result = parse_history(body, limits, out, fault);
    if (result == RESULT_OK)
        result = parse_attachments(body, limits, out, fault);
    return result;
}

static void reply_json(const struct turn_reply *reply, struct buf *out)
{
    buf_puts(out, "{");
    json_put_member_len(out, "response", reply->text, reply->text_len);
    json_put_member(out, "conversation_id", reply->conversation_id);
    frames_put_timestamp(out, reply);
    json_put_member(out, "status", reply->finish == FINISH_FALLBACK ? "fallback" : "success");
    json_put_member(out, "message_id", reply->message_id);
    json_put_member(out, "finish_reason", finish_reason_name(reply->finish));
    json_put_member(out, "provider", reply->provider);
    json_put_member(out, "model", reply->model);
    stream_usage_put(out, reply->usage);
    if (reply->cached)
        json_put_member_bool(out, "cached", true);
    frames_put_sources(out, reply);
    buf_puts(out, "}");
}

static void frame_first(const struct turn_reply *reply, size_t offset, struct buf *out)
{
    frames_first(reply, NULL, NULL, offset, out);
}

const struct dialect dialect_support = {
    .name = "support",
    .parse = parse,
    .reply = reply_json,
    .frame_first = frame_first,
    .frame_delta = frames_delta,
    .frame_last = frames_last,
    .frame_failed = frames_failed,
};
