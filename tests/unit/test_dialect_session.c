/*
 * test_dialect_session: the contract of 003.
 */
#include "tests/unit/dialect_fixture.h"

#define DIALECT (&dialect_session)
#define SESSION "session_AbCdEf-0123456789_x_1748900000000"
#define LONG_32 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void a_session_and_a_message_arrive(void **state)
{
    (void)state;
    struct turn_request request;
    accept_body(DIALECT, "{\"sessionId\":\"" SESSION "\",\"message\":\" Hi \"}", &request);
    assert_string_equal(request.conversation_id, SESSION);
    assert_string_equal(request.message, "Hi");
    assert_null(request.user_id);
    assert_false(request.stream);
    turn_request_free(&request);

    accept_body(DIALECT,
                "{\"sessionId\":\"" SESSION "\",\"message\":\"Hi\",\"stream\":true,\"provider\":"
                "\"DEMO\",\"history\":7,\"conversation_id\":8}",
                &request);
    assert_true(request.stream);
    assert_string_equal(request.provider, "demo");
    assert_string_equal(request.conversation_id, SESSION);
    assert_null(request.history);
    turn_request_free(&request);
}

static void every_bad_message_is_invalid_message_in_the_contract_s_words(void **state)
{
    (void)state;
    static const char *const messages[] = { "null", "\"\"", "\" \"", "7", "\"12345678901\"" };
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        char body[200];
        struct turn_request request;
        struct fault fault;
        snprintf(body, sizeof body, "{\"sessionId\":\"" SESSION "\",\"message\":%s}", messages[i]);
        assert_int_equal(parse_body(DIALECT, body, &request, &fault), RESULT_INVALID);
        assert_string_equal(fault.text, "Invalid message");
        assert_string_equal(fault.code, "invalid_message");
        assert_string_equal(fault.field, "message");
        turn_request_free(&request);
    }
}

static void an_id_that_cannot_be_ours_is_an_unknown_session(void **state)
{
    (void)state;
    static const char *const ids[] = { "", "a b", "../etc", "ä", "x' OR 1=1", LONG_32 LONG_32 };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char body[300];
        struct turn_request request;
        struct fault fault;
        snprintf(body, sizeof body, "{\"sessionId\":\"%s\",\"message\":\"Hi\"}", ids[i]);
        assert_int_equal(parse_body(DIALECT, body, &request, &fault), RESULT_NOT_FOUND);
        assert_string_equal(fault.code, "unknown_session");
        assert_string_equal(fault.text, "Session not found");
        turn_request_free(&request);
    }
}

static void a_session_id_of_the_wrong_type_is_named(void **state)
{
    (void)state;
    check_invalid(DIALECT, "{\"sessionId\":7,\"message\":\"Hi\"}", "sessionId");
    check_invalid(DIALECT, "{\"sessionId\":{},\"message\":\"Hi\"}", "sessionId");
    check_invalid(DIALECT, "{\"sessionId\":\"" SESSION "\",\"message\":\"Hi\",\"stream\":0}",
                  "stream");
}

static void the_context_of_the_visitor_is_taken_and_checked(void **state)
{
    (void)state;
    struct turn_request request;
    accept_body(DIALECT,
                "{\"sessionId\":\"" SESSION
                "\",\"message\":\"Hi\",\"user_context\":{\"page\":\"/x\","
                "\"product_interest\":\"y\",\"other\":1}}",
                &request);
    assert_string_equal(request.context_json, "{\"page\":\"/x\",\"product_interest\":\"y\"}");
    turn_request_free(&request);
    check_invalid(DIALECT, "{\"sessionId\":\"" SESSION "\",\"message\":\"Hi\",\"user_context\":[]}",
                  "user_context");
    check_invalid(
        DIALECT, "{\"sessionId\":\"" SESSION "\",\"message\":\"Hi\",\"user_context\":{\"page\":1}}",
        "user_context.page");
}

static void the_message_is_looked_at_before_the_session(void **state)
{
    (void)state;
    check_refused(DIALECT, "{\"sessionId\":\"?\"}", RESULT_INVALID, "invalid_message", "message");
}

static void the_reply_has_the_contract_s_fields_first(void **state)
{
    (void)state;
    struct turn_reply reply = sample_reply();
    check_json_reply(DIALECT, &reply,
                     "{\"sessionId\":\"conv_1\",\"response\":\"Hällo\\n\",\"timestamp\":"
                     "\"2024-01-15T10:30:00.123Z\",\"message_id\":\"msg_1\"}");
}

static void the_first_frame_names_the_session_as_well(void **state)
{
    (void)state;
    struct turn_reply reply = sample_reply();
    check_first(
        DIALECT, &reply, 0,
        "id: msg_1:0\ndata: {\"content\":\"\",\"done\":false,\"conversation_id\":\"conv_1\","
        "\"message_id\":\"msg_1\",\"sessionId\":\"conv_1\"}\n\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_and_a_message_arrive),
        cmocka_unit_test(every_bad_message_is_invalid_message_in_the_contract_s_words),
        cmocka_unit_test(an_id_that_cannot_be_ours_is_an_unknown_session),
        cmocka_unit_test(a_session_id_of_the_wrong_type_is_named),
        cmocka_unit_test(the_context_of_the_visitor_is_taken_and_checked),
        cmocka_unit_test(the_message_is_looked_at_before_the_session),
        cmocka_unit_test(the_reply_has_the_contract_s_fields_first),
        cmocka_unit_test(the_first_frame_names_the_session_as_well),
    };
    return cmocka_run_group_tests_name("dialect_session", tests, NULL, NULL);
}
