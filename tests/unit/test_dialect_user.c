/*
 * test_dialect_user: the contract of 002, as a stream and as /api/chat/simple.
 */
#include "tests/unit/dialect_fixture.h"

#define DIALECT (&dialect_user)
#define LONG_32 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void a_turn_streams_unless_the_body_says_otherwise(void **state)
{
    (void)state;
    struct turn_request request;
    assert_true(dialect_user.stream_by_default);
    accept_body(DIALECT, "{\"user_id\":\"user123\",\"message\":\"Hello\"}", &request);
    assert_true(request.stream);
    assert_string_equal(request.user_id, "user123");
    assert_string_equal(request.message, "Hello");
    assert_null(request.conversation_id);
    turn_request_free(&request);

    accept_body(DIALECT, "{\"user_id\":\"u\",\"message\":\"Hello\",\"stream\":false}", &request);
    assert_false(request.stream);
    turn_request_free(&request);
}

static void simple_never_streams(void **state)
{
    (void)state;
    struct turn_request request;
    assert_false(dialect_simple.stream_by_default);
    accept_body(&dialect_simple, "{\"user_id\":\"u\",\"message\":\"Hello\",\"stream\":true}",
                &request);
    assert_false(request.stream);
    assert_string_equal(request.user_id, "u");
    turn_request_free(&request);
}

static void check_user_id(const char *json, const char *wanted)
{
    char body[800];
    snprintf(body, sizeof body, "{\"message\":\"Hello\",\"user_id\":%s}", json);
    if (!wanted) {
        check_invalid(DIALECT, body, "user_id");
        check_invalid(&dialect_simple, body, "user_id");
        return;
    }
    struct turn_request request;
    accept_body(DIALECT, body, &request);
    assert_string_equal(request.user_id, wanted);
    turn_request_free(&request);
}

static void a_user_id_has_1_to_128_characters_and_no_control_characters(void **state)
{
    (void)state;
    char emoji[600] = "\"", bare[600] = "";
    for (int i = 0; i < 128; i++)
        strcat(bare, "🙂");
    strcat(emoji, bare);
    strcat(emoji, "\"");

    check_user_id("\"user@example.org/ä b\"", "user@example.org/ä b");
    check_user_id("\"" LONG_32 LONG_32 LONG_32 LONG_32 "\"", LONG_32 LONG_32 LONG_32 LONG_32);
    check_user_id(emoji, bare);
    check_user_id("\"" LONG_32 LONG_32 LONG_32 LONG_32 "a\"", NULL);
    check_user_id("\"\"", NULL);
    check_user_id("null", NULL);
    check_user_id("7", NULL);
    check_user_id("\"a\\nb\"", NULL);
    check_user_id("\"a\\u0000\"", NULL);
    check_user_id("\"\\u007f\"", NULL);
    check_user_id("\"\\u0085\"", NULL);
}

static void the_message_is_checked_too(void **state)
{
    (void)state;
    check_refused(DIALECT, "{\"user_id\":\"u\",\"message\":\"\"}", RESULT_INVALID,
                  "invalid_message", "message");
    check_refused(DIALECT, "{\"user_id\":\"u\"}", RESULT_INVALID, "invalid_message", "message");
    check_invalid(DIALECT, "{\"user_id\":\"u\",\"message\":\"x\",\"stream\":\"no\"}", "stream");
}

static void fields_of_other_contracts_are_ignored(void **state)
{
    (void)state;
    struct turn_request request;
    accept_body(DIALECT,
                "{\"user_id\":\"u\",\"message\":\"x\",\"conversation_id\":7,\"user_context\":1,"
                "\"history\":\"no\",\"provider\":\"Demo\"}",
                &request);
    assert_null(request.conversation_id);
    assert_null(request.context_json);
    assert_null(request.history);
    assert_string_equal(request.provider, "demo");
    turn_request_free(&request);
}

static void the_simple_reply_repeats_user_and_question(void **state)
{
    (void)state;
    struct turn_reply reply = sample_reply();
    reply.user_id = "user \"1\"";
    check_json_reply(&dialect_simple, &reply,
                     "{\"user_id\":\"user \\\"1\\\"\",\"message\":\"Hi \\\"you\\\"\",\"response\":"
                     "\"Hällo\\n\",\"timestamp\":\"2024-01-15T10:30:00.123Z\",\"message_id\":"
                     "\"msg_1\"}");
}

static void the_first_frame_names_the_user(void **state)
{
    (void)state;
    struct turn_reply reply = sample_reply();
    reply.user_id = "u";
    check_first(
        DIALECT, &reply, 0,
        "id: msg_1:0\ndata: {\"content\":\"\",\"done\":false,\"conversation_id\":\"conv_1\","
        "\"message_id\":\"msg_1\",\"user_id\":\"u\"}\n\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_streams_unless_the_body_says_otherwise),
        cmocka_unit_test(simple_never_streams),
        cmocka_unit_test(a_user_id_has_1_to_128_characters_and_no_control_characters),
        cmocka_unit_test(the_message_is_checked_too),
        cmocka_unit_test(fields_of_other_contracts_are_ignored),
        cmocka_unit_test(the_simple_reply_repeats_user_and_question),
        cmocka_unit_test(the_first_frame_names_the_user),
    };
    return cmocka_run_group_tests_name("dialect_user", tests, NULL, NULL);
}
