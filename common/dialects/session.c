/*
 * session: the contract of source document 003: {sessionId, message} -> {sessionId, response, timestamp}. The widget
 * adds 000's user_context: what page its visitor looks at.
 */
#include "common/base/id.h"
#include "common/base/json.h"
#include "common/dialects/frames.h"
#include "common/dialects/parse.h"

static enum result parse_session_id(struct json_object *body, struct turn_request *out,
                                    struct fault *fault)
{
    const char *id = NULL;

    if (json_get_string(body, "sessionId", &id, NULL) == JSON_WRONG_TYPE)
        return fault_set(fault, RESULT_INVALID, "invalid_field", "sessionId",
                         "The field sessionId must be a string.");
    if (id == NULL || !id_plausible(id)) /* none of ours: unknown, like any other */
        return fault_set(fault, RESULT_NOT_FOUND, "unknown_session", "sessionId",
                         "Session not found");
    return parse_string(body, "sessionId", CAP_ID - 1, &out->conversation_id, fault);
}

static enum result parse(struct json_object *body, const struct dialect_limits *limits,
                         struct turn_request *out, struct fault *fault)
{
    enum result result = parse_message(body, limits, "Invalid message", out, fault);

    if (result == RESULT_OK)
        result = parse_session_id(body, out, fault);
    if (result == RESULT_OK)
        result = parse_common(body, false, out, fault);
    if (result == RESULT_OK)
        result = parse_context(body, out, fault);
    return result;
}

static void reply_json(const struct turn_reply *reply, struct buf *out)
{
    buf_puts(out, "{");
    json_put_member(out, "sessionId", reply->conversation_id);
    json_put_member_len(out, "response", reply->text, reply->text_len);
    frames_put_timestamp(out, reply);
    json_put_member(out, "message_id", reply->message_id);
    frames_put_sources(out, reply);
    buf_puts(out, "}");
}

static void frame_first(const struct turn_reply *reply, size_t offset, struct buf *out)
{
    frames_first(reply, "sessionId", reply->conversation_id, offset, out);
}

const struct dialect dialect_session = {
    .name = "session",
    .parse = parse,
    .reply = reply_json,
    .frame_first = frame_first,
    .frame_delta = frames_delta,
    .frame_last = frames_last,
    .frame_failed = frames_failed,
};
