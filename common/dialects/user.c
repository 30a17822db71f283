/*
 * user: the contract of source document 002: {user_id, message} -> SSE, or by /api/chat/simple one JSON
 * reply that repeats the question.
 */
#include <string.h>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/dialects/frames.h"
#include "common/dialects/parse.h"

static enum result parse_user_id(struct json_object *body, struct turn_request *out,
                                 struct fault *fault)
{
    enum result result = parse_string(body, "user_id", CAP_USER_ID - 1, &out->user_id, fault);

    if (result != RESULT_OK)
        return result;
    if (out->user_id == NULL ||
        text_utf8_count(out->user_id, strlen(out->user_id)) > CAP_USER_ID_CHARS)
        return fault_set(fault, RESULT_INVALID, "invalid_field", "user_id",
                         "The field user_id must be a string of 1 to %d characters.",
                         CAP_USER_ID_CHARS);
    return RESULT_OK;
}

static enum result parse(struct json_object *body, const struct dialect_limits *limits,
                         struct turn_request *out, struct fault *fault)
{
    enum result result = parse_user_id(body, out, fault);

    if (result == RESULT_OK)
        result = parse_message(body, limits, NULL, out, fault);
    if (result == RESULT_OK)
        result = parse_common(body, true, out, fault);
    return result;
}

/* /api/chat/simple never streams, whatever the body says. */
static enum result parse_simple(struct json_object *body, const struct dialect_limits *limits,
                                struct turn_request *out, struct fault *fault)
{
    enum result result = parse(body, limits, out, fault);

    out->stream = false;
    return result;
}

static void reply_json(const struct turn_reply *reply, struct buf *out)
{
    buf_puts(out, "{");
    json_put_member(out, "user_id", reply->user_id);
    json_put_member_len(out, "message", reply->question, reply->question_len);
    json_put_member_len(out, "response", reply->text, reply->text_len);
    frames_put_timestamp(out, reply);
    json_put_member(out, "message_id", reply->message_id);
    frames_put_sources(out, reply);
    buf_puts(out, "}");
}

static void frame_first(const struct turn_reply *reply, size_t offset, struct buf *out)
{
    frames_first(reply, "user_id", reply->user_id, offset, out);
}

const struct dialect dialect_user = {
    .name = "user",
    .stream_by_default = true,
    .parse = parse,
    .reply = reply_json,
    .frame_first = frame_first,
    .frame_delta = frames_delta,
    .frame_last = frames_last,
    .frame_failed = frames_failed,
};

const struct dialect dialect_simple = {
    .name = "user",
    .parse = parse_simple,
    .reply = reply_json,
    .frame_first = frame_first,
    .frame_delta = frames_delta,
    .frame_last = frames_last,
    .frame_failed = frames_failed,
};
