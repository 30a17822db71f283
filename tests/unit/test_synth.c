/*
 * Other providers' answers as Responses events, and items as messages for them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "common/base/id.h"
#include "common/responses/item_history.h"
#include "common/responses/synth.h"

/* Types in order, and the last event. */
struct heard {
    struct buf types;
    struct buf ids; /* of items */
    struct json_object *last;
};

static void hear(void *ctx, const char *type, const char *json, size_t len)
{
    struct heard *heard = ctx;
    struct json_object *event = json_tokener_parse(json), *value;

    assert_int_equal(strlen(json), len);
    assert_non_null(event);
    assert_string_equal(json_object_get_string(json_object_object_get(event, "type")), type);
    buf_putf(&heard->types, "%s ", type + strlen("response."));
    if (json_object_object_get_ex(event, "item", &value))
        buf_putf(&heard->ids, "%s ", json_object_get_string(json_object_object_get(value, "id")));
    json_object_put(heard->last);
    heard->last = event;
}

static void begin(struct heard *heard, struct synth *synth)
{
    *heard = (struct heard){ .last = NULL };
    buf_init(&heard->types, 65536);
    buf_init(&heard->ids, 65536);
    assert_true(id_init());
    synth_init(synth, "m", hear, heard);
}

static void end(struct heard *heard, struct synth *synth)
{
    assert_false(synth->failed);
    synth_free(synth);
    buf_free(&heard->types);
    buf_free(&heard->ids);
    json_object_put(heard->last);
}

static struct json_object *output_of(const struct heard *heard)
{
    struct json_object *response = json_object_object_get(heard->last, "response");

    return json_object_object_get(response, "output");
}

static void text_is_one_message_item(void **state)
{
    struct stream_usage usage = { .prompt_tokens = 1, .known = true };
    struct heard heard;
    struct synth synth;

    (void)state;
    begin(&heard, &synth);
    synth_text(&synth, "a\"\n", 3);
    synth_text(&synth, "\xc3\xa9", 2);
    synth_finish(&synth, FINISH_STOP, &usage);
    assert_string_equal(buf_str(&heard.types),
                        "created output_item.added output_text.delta output_text.delta "
                        "output_item.done completed ");
    assert_int_equal(json_object_array_length(output_of(&heard)), 1);
    assert_non_null(strstr(json_object_to_json_string(output_of(&heard)), "\"a\\\"\\n\xc3\xa9\""));
    end(&heard, &synth);
}

static void a_call_closes_the_text_and_a_second_one_is_left_out(void **state)
{
    struct heard heard;
    struct synth synth;

    (void)state;
    begin(&heard, &synth);
    synth_text(&synth, "Let me see", 10);
    synth_call(&synth, "f", "{\"a\":1}", 7);
    synth_call(&synth, "g", "{}", 2);
    synth_text(&synth, "late", 4);
    synth_finish(&synth, FINISH_TOOL_CALLS, NULL);
    assert_string_equal(
        buf_str(&heard.types),
        "created output_item.added output_text.delta output_item.done "
        "output_item.added function_call_arguments.done output_item.done completed ");
    assert_int_equal(json_object_array_length(output_of(&heard)), 2);
    end(&heard, &synth);
}

static void an_answer_without_anything_is_an_empty_message(void **state)
{
    struct heard heard;
    struct synth synth;

    (void)state;
    begin(&heard, &synth);
    synth_finish(&synth, FINISH_STOP, NULL);
    assert_string_equal(buf_str(&heard.types),
                        "created output_item.added output_item.done completed ");
    assert_int_equal(json_object_array_length(output_of(&heard)), 1);
    assert_non_null(
        strstr(json_object_to_json_string_ext(output_of(&heard), JSON_C_TO_STRING_PLAIN),
               "\"text\":\"\""));
    end(&heard, &synth);
}

static void a_cut_answer_is_incomplete(void **state)
{
    struct heard heard;
    struct synth synth;

    (void)state;
    begin(&heard, &synth);
    synth_text(&synth, "x", 1);
    synth_finish(&synth, FINISH_LENGTH, NULL);
    assert_non_null(strstr(buf_str(&heard.types), "output_item.done incomplete "));
    assert_non_null(strstr(json_object_to_json_string(heard.last), "max_output_tokens"));
    end(&heard, &synth);
}

static void item_ids_never_repeat(void **state)
{
    char first[4096];
    struct heard heard;
    struct synth synth;

    (void)state;
    begin(&heard, &synth);
    synth_text(&synth, "x", 1);
    synth_finish(&synth, FINISH_STOP, NULL);
    snprintf(first, sizeof first, "%s", buf_str(&heard.ids));
    end(&heard, &synth);
    begin(&heard, &synth);
    synth_text(&synth, "x", 1);
    synth_finish(&synth, FINISH_STOP, NULL);
    assert_string_not_equal(first, buf_str(&heard.ids));
    end(&heard, &synth);
}

/* ---- items as messages ---- */

static void check_history(const char *items, const char *wanted)
{
    static const char *const kinds[] = { "", "call ", "result " };
    struct item_history history;
    struct fault fault = { 0 };
    struct buf out;

    buf_init(&out, 4096);
    if (item_history_read(items, strlen(items), &history, &fault) != RESULT_OK) {
        assert_string_equal(wanted, fault.code);
        return;
    }
    for (size_t i = 0; i < history.count; i++)
        buf_putf(&out, "%s%s:%s;", kinds[history.uses[i].kind],
                 history.messages[i].role == CHAT_USER ? "u" : "a", history.messages[i].content);
    assert_string_equal(buf_str(&out), wanted);
    buf_free(&out);
    item_history_free(&history);
}

#define STUB   "{\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"\"}]}"
#define CALL   "{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}"
#define RESULT "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"42\"}"

static void stubs_and_foreign_items_are_dropped(void **state)
{
    (void)state;
    check_history(
        "[{\"role\":\"system\",\"content\":\"obey\"},{\"role\":\"user\",\"content\":\"q\"}," STUB
        ",{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","
        "\"text\":\"a\"}]},{\"type\":\"web_search_call\",\"id\":\"x\"},"
        "{\"role\":\"user\",\"content\":[{\"text\":\"r\"},{\"text\":\"s\"}]}]",
        "u:q;a:a;u:rs;");
}

static void a_call_needs_its_result_and_a_result_its_call(void **state)
{
    (void)state;
    check_history("[{\"role\":\"user\",\"content\":\"q\"}," CALL "," RESULT "]",
                  "u:q;call a:{};result u:42;");
    check_history("[{\"role\":\"user\",\"content\":\"q\"}," CALL
                  ",{\"role\":\"user\",\"content\":\"r\"}]",
                  "u:q;u:r;");
    check_history("[{\"role\":\"user\",\"content\":\"q\"}," RESULT "]", "u:q;");
    check_history("[{\"role\":\"user\",\"content\":\"q\"}," CALL "," STUB
                  ",{\"role\":\"assistant\",\"content\":\"hm\"}," RESULT "]",
                  "u:q;a:hm;call a:{};result u:42;");
}

static void a_list_without_question_is_refused(void **state)
{
    (void)state;
    check_history("[" STUB "]", "no_question");
    check_history(
        "[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"}]",
        "no_question");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_one_message_item),
        cmocka_unit_test(a_call_closes_the_text_and_a_second_one_is_left_out),
        cmocka_unit_test(an_answer_without_anything_is_an_empty_message),
        cmocka_unit_test(a_cut_answer_is_incomplete),
        cmocka_unit_test(item_ids_never_repeat),
        cmocka_unit_test(stubs_and_foreign_items_are_dropped),
        cmocka_unit_test(a_call_needs_its_result_and_a_result_its_call),
        cmocka_unit_test(a_list_without_question_is_refused),
    };

    return cmocka_run_group_tests_name("synth", tests, NULL, NULL);
}
