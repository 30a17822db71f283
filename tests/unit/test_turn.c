/*
 * turn: names on the wire and in the store, and freeing what a question owns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/chat/turn.h"

static void finish_reasons_have_names_that_come_back(void **state)
{
    (void)state;
    static const char *const names[] = { "",        "stop",       "length",  "content_filter",
                                         "refusal", "tool_calls", "stopped", "fallback",
                                         "error",   "interrupted" };
    for (int i = FINISH_NONE; i <= FINISH_INTERRUPTED; i++) {
        assert_string_equal(finish_reason_name((enum finish_reason)i), names[i]);
        assert_int_equal(finish_reason_parse(names[i]), i);
    }
    assert_int_equal(finish_reason_parse("end_turn"), FINISH_NONE);
    assert_int_equal(finish_reason_parse("STOP"), FINISH_NONE);
    assert_int_equal(finish_reason_parse(NULL), FINISH_NONE);
    assert_string_equal(finish_reason_name((enum finish_reason)99), "");
}

static void statuses_have_names_that_come_back(void **state)
{
    (void)state;
    static const char *const names[] = { "streaming", "complete", "stopped", "interrupted",
                                         "failed" };
    for (int i = TURN_STREAMING; i <= TURN_FAILED; i++) {
        assert_string_equal(turn_status_name((enum turn_status)i), names[i]);
        assert_int_equal(turn_status_parse(names[i]), i);
    }
    assert_int_equal(turn_status_parse("odd"), TURN_FAILED);
    assert_int_equal(turn_status_parse(NULL), TURN_FAILED);
    assert_string_equal(turn_status_name((enum turn_status)99), "failed");
}

static void roles_are_named_as_models_do(void **state)
{
    (void)state;
    assert_string_equal(chat_role_name(CHAT_SYSTEM), "system");
    assert_string_equal(chat_role_name(CHAT_USER), "user");
    assert_string_equal(chat_role_name(CHAT_ASSISTANT), "assistant");
}

static void freeing_a_request_frees_all_of_it_and_may_be_repeated(void **state)
{
    (void)state;
    struct turn_request request = { .stream = true };
    request.message = strdup("m");
    request.conversation_id = strdup("c");
    request.user_id = strdup("u");
    request.provider = strdup("p");
    request.model = strdup("m");
    request.client_message_id = strdup("i");
    request.context_json = strdup("{}");
    request.history = calloc(2, sizeof *request.history);
    request.history_len = 2;
    request.history[0].content = strdup("one");
    turn_request_free(&request);
    assert_null(request.message);
    assert_null(request.history);
    assert_int_equal(request.history_len, 0);
    turn_request_free(&request);
    chat_messages_free(NULL, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finish_reasons_have_names_that_come_back),
        cmocka_unit_test(statuses_have_names_that_come_back),
        cmocka_unit_test(roles_are_named_as_models_do),
        cmocka_unit_test(freeing_a_request_frees_all_of_it_and_may_be_repeated),
    };
    return cmocka_run_group_tests_name("turn", tests, NULL, NULL);
}
