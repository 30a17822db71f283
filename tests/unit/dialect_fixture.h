/*
 * dialect_fixture: parsing a body that is written in a test, a finished reply, and comparing what a
 * dialect wrote byte by byte.
 */
#ifndef PARLEY_TESTS_DIALECT_FIXTURE_H
#define PARLEY_TESTS_DIALECT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/dialects/dialect.h"

static const struct dialect_limits limits = { .max_message_length = 10, .max_history = 3 };

/* The caller frees `out`, whatever the result. */
static inline enum result parse_body(const struct dialect *dialect, const char *body,
                                     struct turn_request *out, struct fault *fault)
{
    struct json_object *object = NULL;
    *out = (struct turn_request){ 0 };
    *fault = (struct fault){ 0 };
    if (json_parse(body, strlen(body), &object, fault) != RESULT_OK)
        fail_msg("not JSON: %s", body);
    enum result result = dialect->parse(object, &limits, out, fault);
    json_object_put(object);
    return result;
}

static inline void check_refused(const struct dialect *dialect, const char *body,
                                 enum result result, const char *code, const char *field)
{
    struct turn_request request;
    struct fault fault;
    if (parse_body(dialect, body, &request, &fault) != result || strcmp(fault.code, code) != 0 ||
        strcmp(fault.field, field) != 0 || *fault.text == '\0')
        fail_msg("%s: %s, code %s, field %s: %s", body, result_name(fault.result), fault.code,
                 fault.field, fault.text);
    assert_int_equal(fault.result, result);
    turn_request_free(&request);
}

static inline void check_invalid(const struct dialect *dialect, const char *body, const char *field)
{
    check_refused(dialect, body, RESULT_INVALID, "invalid_field", field);
}

/* Parse what must be accepted; the caller frees. */
static inline void accept_body(const struct dialect *dialect, const char *body,
                               struct turn_request *out)
{
    struct fault fault;
    if (parse_body(dialect, body, out, &fault) != RESULT_OK)
        fail_msg("%s: %s %s", body, fault.code, fault.text);
}

static const struct stream_usage sample_usage = {
    .prompt_tokens = 9, .completion_tokens = 4, .total_tokens = 13, .known = true
};

static inline struct turn_reply sample_reply(void)
{
    return (struct turn_reply){ .conversation_id = "conv_1",
                                .message_id = "msg_1",
                                .question = "Hi \"you\"",
                                .question_len = 8,
                                .text = "Hällo\n",
                                .text_len = 7,
                                .provider = "openai",
                                .model = "m",
                                .finish = FINISH_STOP,
                                .usage = &sample_usage,
                                .finished_ms = 1705314600123 };
}

static inline void check_json_reply(const struct dialect *dialect, const struct turn_reply *reply,
                                    const char *wanted)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    dialect->reply(reply, &out);
    assert_string_equal(buf_str(&out), wanted);
    buf_free(&out);
}

static inline void check_first(const struct dialect *dialect, const struct turn_reply *reply,
                               size_t offset, const char *wanted)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    dialect->frame_first(reply, offset, &out);
    assert_string_equal(buf_str(&out), wanted);
    buf_free(&out);
}

/* Delta, last and failed frames are the same in every contract. */
static inline void check_shared_frames(const struct dialect *dialect)
{
    struct turn_reply reply = sample_reply();
    struct fault fault = { .result = RESULT_UPSTREAM_BAD,
                           .code = "provider_error",
                           .text = "It is \"not\" well." };
    struct buf out;
    buf_init(&out, 1 << 20);
    dialect->frame_delta(&reply, "a\"\n\xe2\x80\xa8ä", 8, 18, &out);
    dialect->frame_last(&reply, 18, &out);
    assert_string_equal(
        buf_str(&out),
        "id: msg_1:18\ndata: {\"content\":\"a\\\"\\n\\u2028ä\",\"done\":false}\n\n"
        "id: msg_1:18\ndata: {\"content\":\"\",\"done\":true,\"message_id\":\"msg_1\","
        "\"finish_reason\":\"stop\",\"provider\":\"openai\",\"model\":\"m\",\"usage\":"
        "{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13}}\n\n"
        "data: [DONE]\n\n");
    buf_clear(&out);
    dialect->frame_failed(&reply, &fault, 0, &out);
    assert_string_equal(
        buf_str(&out),
        "id: msg_1:0\ndata: {\"content\":\"\",\"done\":true,\"error\":\"It is "
        "\\\"not\\\" well.\",\"code\":\"provider_error\",\"message_id\":\"msg_1\"}\n\n"
        "data: [DONE]\n\n");
    buf_free(&out);
}

#endif
