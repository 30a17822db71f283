/*
 * The body of a turn: what is read of it, the tools that it becomes, the frames that go back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "common/responses/envelope.h"
#include "common/responses/turn_body.h"

static void read_body(const char *text, struct turn_body *out)
{
    struct fault fault = { 0 };

    if (turn_body_read(text, strlen(text), out, &fault) != RESULT_OK)
        fail_msg("%s: %s", text, fault.text);
}

static void check_tools(const char *state, const char *token, const char *wanted)
{
    struct turn_body body;
    struct buf text, tools;

    buf_init(&text, 65536);
    buf_init(&tools, 65536);
    buf_putf(&text, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"toolsState\":%s}",
             state);
    read_body(buf_str(&text), &body);
    turn_tools_put(&tools, &body, token);
    assert_string_equal(buf_str(&tools), wanted);
    buf_free(&text);
    buf_free(&tools);
}

static void tools_come_in_the_contract_s_order(void **state)
{
    struct turn_body body;
    struct buf tools;
    const char *text = "{\"messages\":[{}],\"toolsState\":{\"functionsEnabled\":true,"
                       "\"webSearchEnabled\":true,\"codeInterpreterEnabled\":true}}";

    (void)state;
    buf_init(&tools, 65536);
    read_body(text, &body);
    turn_tools_put(&tools, &body, NULL);
    assert_ptr_equal(strstr(buf_str(&tools),
                            "[{\"type\":\"web_search\"},{\"type\":\"code_interpreter\","
                            "\"container\":{\"type\":\"auto\"}},{\"type\":\"function\","
                            "\"name\":\"get_weather\""),
                     tools.data);
    assert_true(turn_tools_functions(&body));
    buf_free(&tools);
}

static void a_location_counts_when_any_part_says_something(void **state)
{
    (void)state;
    check_tools(
        "{\"webSearchEnabled\":true,\"webSearchConfig\":{\"user_location\":{\"country\":\"\","
        "\"region\":\"\",\"city\":\"\"}}}",
        NULL, "[{\"type\":\"web_search\"}]");
    check_tools(
        "{\"webSearchEnabled\":true,\"webSearchConfig\":{\"user_location\":{ "
        "\"city\":\"K\\u00f6ln\","
        "\"country\":\"\",\"n\":1.0 }}}",
        NULL,
        "[{\"type\":\"web_search\",\"user_location\":{ \"city\":\"K\\u00f6ln\",\"country\":\"\","
        "\"n\":1.0 }}]");
    check_tools("{\"webSearchEnabled\":true}", NULL, "[{\"type\":\"web_search\"}]");
}

static void a_file_search_without_a_store_is_left_out(void **state)
{
    (void)state;
    check_tools("{\"fileSearchEnabled\":true,\"vectorStore\":null}", NULL, "[]");
    check_tools("{\"fileSearchEnabled\":true,\"vectorStore\":{\"id\":\"\"}}", NULL, "[]");
    check_tools("{\"fileSearchEnabled\":true,\"vectorStore\":{\"id\":\"vs_1\"}}", NULL,
                "[{\"type\":\"file_search\",\"vector_store_ids\":[\"vs_1\"]}]");
}

static void mcp_needs_label_and_url_and_asks_unless_told_not_to(void **state)
{
    (void)state;
    check_tools("{\"mcpEnabled\":true,\"mcpConfig\":{\"server_label\":\"\",\"server_url\":\"u\"}}",
                NULL, "[]");
    check_tools("{\"mcpEnabled\":true,\"mcpConfig\":{\"server_label\":\"l\",\"server_url\":\"u\","
                "\"skip_approval\":true,\"allowed_tools\":\" , a , b,\"}}",
                NULL,
                "[{\"type\":\"mcp\",\"server_label\":\"l\",\"server_url\":\"u\",\"require_"
                "approval\":\"never\","
                "\"allowed_tools\":[\"a\",\"b\"]}]");
    check_tools("{\"mcpEnabled\":true,\"mcpConfig\":{\"server_label\":\"l\",\"server_url\":\"u\","
                "\"allowed_tools\":\"  \"}}",
                NULL, "[{\"type\":\"mcp\",\"server_label\":\"l\",\"server_url\":\"u\"}]");
}

static void google_needs_a_token(void **state)
{
    struct turn_body body;
    struct buf tools;
    struct json_object *list;

    (void)state;
    check_tools("{\"googleIntegrationEnabled\":true}", NULL, "[]");
    check_tools("{\"googleIntegrationEnabled\":true}", "", "[]");
    check_tools("{\"googleIntegrationEnabled\":false}", "t", "[]");
    buf_init(&tools, 65536);
    read_body("{\"messages\":[{}],\"toolsState\":{\"googleIntegrationEnabled\":true}}", &body);
    assert_true(body.google);
    turn_tools_put(&tools, &body, "tok");
    list = json_tokener_parse(buf_str(&tools));
    assert_int_equal(json_object_array_length(list), 2);
    assert_non_null(strstr(buf_str(&tools),
                           "\"connector_id\":\"connector_gmail\",\"authorization\":"
                           "\"tok\",\"require_approval\":\"never\""));
    assert_null(strstr(buf_str(&tools), "server_url"));
    json_object_put(list);
    buf_free(&tools);
}

static void bad_bodies_name_the_field(void **state)
{
    static const struct {
        const char *text;
        const char *field;
    } rows[] = {
        { "[]", "" },
        { "{}", "messages" },
        { "{\"messages\":[],\"toolsState\":{}}", "messages" },
        { "{\"messages\":[1],\"toolsState\":{}}", "messages" },
        { "{\"messages\":[{}]}", "toolsState" },
        { "{\"messages\":[{}],\"toolsState\":[]}", "toolsState" },
        { "{\"messages\":[{}],\"tools\":{}}", "toolsState" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct turn_body body;
        struct fault fault = { 0 };

        assert_int_equal(turn_body_read(rows[i].text, strlen(rows[i].text), &body, &fault),
                         RESULT_INVALID);
        assert_string_equal(fault.field, rows[i].field);
    }
}

static void the_question_is_the_last_item_and_ids_come_newest_first(void **state)
{
    struct turn_body body;
    struct buf text;
    const char *role;
    char ids[2][128];

    (void)state;
    buf_init(&text, 1024);
    read_body("{\"messages\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"},{\"role\":\"user\","
              "\"content\":["
              "{\"type\":\"input_text\",\"text\":\"one "
              "\"},{\"type\":\"input_image\"},{\"text\":\"two\"}]}],"
              "\"toolsState\":{}}",
              &body);
    turn_body_question(&body, &text, &role);
    assert_string_equal(buf_str(&text), "one two");
    assert_string_equal(role, "user");
    assert_int_equal(turn_body_ids(&body, ids, 2), 2);
    assert_string_equal(ids[0], "c");
    assert_string_equal(ids[1], "b");
    buf_clear(&text);
    read_body("{\"messages\":[{\"type\":\"function_call_output\",\"output\":\"42\"}],\"tools\":[]}",
              &body);
    turn_body_question(&body, &text, &role);
    assert_string_equal(buf_str(&text), "42");
    assert_string_equal(role, "tool");
    buf_free(&text);
}

static void the_date_is_written_in_full(void **state)
{
    struct tm day = { .tm_wday = 6, .tm_mon = 10, .tm_mday = 7, .tm_year = 126 };
    struct buf out;

    (void)state;
    buf_init(&out, 1024);
    turn_instructions_put(&out, "Be kind.", &day);
    assert_string_equal(buf_str(&out), "Be kind.\n\nToday is Saturday, November 7, 2026.");
    buf_free(&out);
}

static void check_frame(const char *event, const char *json, const char *wanted)
{
    struct buf out;

    buf_init(&out, 4096);
    envelope_put(&out, event, json, strlen(json));
    assert_string_equal(buf_str(&out), wanted);
    buf_free(&out);
}

static void frames_are_one_line_of_ascii_and_change_nothing_else(void **state)
{
    (void)state;
    check_frame(
        "response.x", "{\"a\" : 1.50,\"e\":\"\\u00e9\\/\"}",
        "data: {\"event\":\"response.x\",\"data\":{\"a\" : 1.50,\"e\":\"\\u00e9\\/\"}}\n\n");
    check_frame(
        "response.x", "{\"k\xc3\xa9\":\"\xe2\x82\xac\xf0\x9f\x98\x80\"}",
        "data: {\"event\":\"response.x\",\"data\":{\"k\\u00e9\":\"\\u20ac\\ud83d\\ude00\"}}\n\n");
    check_frame("response.x", "{\n \"a\":\r\n1}",
                "data: {\"event\":\"response.x\",\"data\":{  \"a\":  1}}\n\n");
    check_frame("response.x", "\"\xff\xc3\"",
                "data: {\"event\":\"response.x\",\"data\":\"\\ufffd\\ufffd\"}\n\n");
    check_frame("keepalive", "{}", "data: {\"data\":{}}\n\n");
    check_frame("error", "{}", "data: {\"event\":\"error\",\"data\":{}}\n\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tools_come_in_the_contract_s_order),
        cmocka_unit_test(a_location_counts_when_any_part_says_something),
        cmocka_unit_test(a_file_search_without_a_store_is_left_out),
        cmocka_unit_test(mcp_needs_label_and_url_and_asks_unless_told_not_to),
        cmocka_unit_test(google_needs_a_token),
        cmocka_unit_test(bad_bodies_name_the_field),
        cmocka_unit_test(the_question_is_the_last_item_and_ids_come_newest_first),
        cmocka_unit_test(the_date_is_written_in_full),
        cmocka_unit_test(frames_are_one_line_of_ascii_and_change_nothing_else),
    };

    return cmocka_run_group_tests_name("turn_body", tests, NULL, NULL);
}
