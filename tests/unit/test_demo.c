/*
 * test_demo: the offline provider: what it says, its directives, its pace, and that it always says the
 * same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/text.h"
#include "common/chat/window.h"
#include "common/providers/provider.h"

struct heard {
    struct buf text;
    struct buf thoughts;
    char model[CAP_MODEL_NAME];
    int deltas;
    int waits;
    int64_t wait_ms;
    struct stream_usage usage;
    enum finish_reason finish;
    struct fault fault;
    bool ended;
};

static void hear(void *ctx, const struct stream_event *event)
{
    struct heard *heard = ctx;
    assert_false(heard->ended);
    switch (event->type) {
    case STREAM_TOOL_CALL:
        break;
    case STREAM_DELTA:
        assert_true(event->text_len > 0 && text_utf8_valid(event->text, event->text_len));
        buf_put(&heard->text, event->text, event->text_len);
        heard->deltas++;
        break;
    case STREAM_REASONING:
        assert_int_equal(heard->deltas, 0);
        buf_put(&heard->thoughts, event->text, event->text_len);
        break;
    case STREAM_MODEL:
        snprintf(heard->model, sizeof heard->model, "%.*s", (int)event->text_len, event->text);
        break;
    case STREAM_USAGE:
        heard->usage = *event->usage;
        break;
    case STREAM_FINISH:
        heard->finish = event->finish;
        heard->ended = true;
        break;
    case STREAM_FAILED:
        heard->fault = *event->fault;
        heard->ended = true;
        break;
    }
}

/* Ask, and listen to the end; the caller frees with forget(). */
static void ask(const char *question, struct heard *heard)
{
    struct provider provider = { .name = "demo", .ops = &provider_demo, .demo_delay_ms = 7 };
    struct chat_message messages[] = { { CHAT_USER, (char *)question, strlen(question) } };
    struct provider_call call = { .provider = &provider,
                                  .model = "demo",
                                  .system = "Be kind.",
                                  .messages = messages,
                                  .message_count = 1 };
    *heard = (struct heard){ 0 };
    buf_init(&heard->text, 1 << 20);
    buf_init(&heard->thoughts, 1 << 20);
    struct provider_stream *stream = provider_demo.open(&call, hear, heard);
    assert_non_null(stream);
    assert_int_equal(heard->deltas, 0);
    for (int64_t wait; (wait = provider_demo.next(stream)) >= 0; heard->waits++) {
        assert_false(heard->ended);
        heard->wait_ms = wait;
    }
    assert_true(heard->ended);
    assert_int_equal(provider_demo.next(stream), -1);
    provider_demo.close(stream);
}

static void forget(struct heard *heard)
{
    buf_free(&heard->text);
    buf_free(&heard->thoughts);
}

static void it_says_that_it_is_the_demo_and_how_to_set_a_key(void **state)
{
    (void)state;
    struct heard heard;
    ask("How are\nyou?", &heard);
    assert_non_null(strstr(heard.text.data, "demo"));
    assert_non_null(strstr(heard.text.data, "OPENAI_API_KEY"));
    assert_non_null(strstr(heard.text.data, "OPENAI_API_BASE"));
    assert_non_null(strstr(heard.text.data, "“How are you?”"));
    assert_string_equal(heard.model, "demo");
    assert_int_equal(heard.finish, FINISH_STOP);
    forget(&heard);
}

static void the_same_question_gets_the_same_answer(void **state)
{
    (void)state;
    struct heard first, second;
    ask("Hello", &first);
    ask("Hello", &second);
    assert_string_equal(first.text.data, second.text.data);
    assert_int_equal(first.deltas, second.deltas);
    forget(&first);
    forget(&second);
}

static void words_come_one_by_one_at_the_configured_pace(void **state)
{
    (void)state;
    struct heard heard;
    ask("/repeat 5", &heard);
    assert_string_equal(heard.text.data, "word1 word2 word3 word4 word5");
    assert_int_equal(heard.deltas, 5);
    assert_int_equal(heard.waits, 4);
    assert_int_equal(heard.wait_ms, 7);
    forget(&heard);
}

static void repeat_has_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *question;
        int words;
    } cases[] = {
        { "please /repeat 200 now", 200 },
        { "/repeat 0", 1 },
        { "/repeat -3", 1 },
        { "/repeat many", 1 },
        { "/repeat 99999999999999999999", 10000 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct heard heard;
        ask(cases[i].question, &heard);
        assert_int_equal(heard.deltas, cases[i].words);
        forget(&heard);
    }
}

static void a_long_question_is_repeated_in_part_and_whole_characters(void **state)
{
    (void)state;
    char question[4001];
    for (size_t i = 0; i < 4000; i += 4)
        memcpy(question + i, "🙂", 4);
    question[4000] = '\0';
    struct heard heard;
    ask(question, &heard);
    assert_true(heard.text.len < 1500);
    assert_non_null(strstr(heard.text.data, "🙂…”"));
    forget(&heard);
}

static void markdown_is_shown_when_asked_for(void **state)
{
    (void)state;
    struct heard heard;
    ask("Show me MarkDown", &heard);
    assert_non_null(strstr(heard.text.data, "\n1. "));
    assert_non_null(strstr(heard.text.data, "\n```c\n"));
    assert_non_null(strstr(heard.text.data, "\n|---|---|\n"));
    forget(&heard);
    ask("Hello", &heard);
    assert_null(strstr(heard.text.data, "```"));
    forget(&heard);
}

static void usage_is_the_estimate_and_says_so(void **state)
{
    (void)state;
    struct heard heard;
    ask("Hello", &heard);
    assert_true(heard.usage.known && heard.usage.estimated);
    assert_int_equal(heard.usage.prompt_tokens,
                     window_estimate("Be kind.", 8) + window_estimate("Hello", 5));
    assert_int_equal(heard.usage.completion_tokens,
                     window_estimate(heard.text.data, heard.text.len));
    assert_int_equal(heard.usage.total_tokens,
                     heard.usage.prompt_tokens + heard.usage.completion_tokens);
    forget(&heard);
}

static void fail_breaks_off_after_three_words(void **state)
{
    (void)state;
    struct heard heard;
    ask("/fail", &heard);
    assert_string_equal(heard.fault.code, "provider_error");
    assert_int_equal(heard.deltas, 3);
    assert_int_equal(heard.finish, FINISH_NONE);
    forget(&heard);
}

static void think_sends_reasoning_before_the_answer(void **state)
{
    (void)state;
    struct heard heard;
    ask("/think", &heard);
    assert_true(heard.thoughts.len > 0);
    assert_null(strstr(heard.text.data, heard.thoughts.data));
    forget(&heard);
}

static void a_call_without_messages_is_answered(void **state)
{
    (void)state;
    struct provider provider = { .name = "demo" };
    struct provider_call call = { .provider = &provider, .model = "demo", .system = "" };
    struct heard heard = { 0 };
    buf_init(&heard.text, 1 << 20);
    struct provider_stream *stream = provider_demo.open(&call, hear, &heard);
    assert_non_null(stream);
    assert_int_equal(provider_demo.next(stream), 0);
    assert_int_equal(heard.deltas, 1);
    provider_demo.close(stream);
    provider_demo.close(NULL);
    forget(&heard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_that_it_is_the_demo_and_how_to_set_a_key),
        cmocka_unit_test(the_same_question_gets_the_same_answer),
        cmocka_unit_test(words_come_one_by_one_at_the_configured_pace),
        cmocka_unit_test(repeat_has_bounds),
        cmocka_unit_test(a_long_question_is_repeated_in_part_and_whole_characters),
        cmocka_unit_test(markdown_is_shown_when_asked_for),
        cmocka_unit_test(usage_is_the_estimate_and_says_so),
        cmocka_unit_test(fail_breaks_off_after_three_words),
        cmocka_unit_test(think_sends_reasoning_before_the_answer),
        cmocka_unit_test(a_call_without_messages_is_answered),
    };
    return cmocka_run_group_tests_name("demo", tests, NULL, NULL);
}
