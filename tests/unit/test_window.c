/*
 * window: what of a history goes to the model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/chat/window.h"

/* A history from letters: u = user, a = assistant, each message `len` ASCII bytes long. */
static size_t first_of(const char *roles, size_t len, const struct window_limits *limits)
{
    struct chat_message messages[64];
    static char text[4096];
    size_t count = strlen(roles);
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < count; i++) {
        messages[i].role = roles[i] == 'u' ? CHAT_USER : CHAT_ASSISTANT;
        messages[i].content = text;
        messages[i].len = len;
    }
    return window_first(messages, count, limits);
}

static int64_t estimate(const char *text)
{
    return window_estimate(text, strlen(text));
}

static void tokens_are_estimated_by_script(void **state)
{
    (void)state;
    assert_int_equal(estimate(""), 4);
    assert_int_equal(estimate("a"), 5);
    assert_int_equal(estimate("abcd"), 5);
    assert_int_equal(estimate("abcde"), 6);
    assert_int_equal(estimate("\xe4\xbd\xa0\xe5\xa5\xbd"), 6);             /* Chinese */
    assert_int_equal(estimate("\xe3\x81\x82\xe3\x82\xa2\xea\xb0\x80"), 7); /* kana, Hangul */
    assert_int_equal(estimate("\xd0\xbf\xd1\x80\xd0\xb8"), 6);             /* Cyrillic */
    assert_int_equal(estimate("\xe0\xa4\xa8\xe0\xa4\xae"), 5);             /* Devanagari */
    assert_int_equal(estimate("\xe2\x82\xac\xe2\x82\xac"), 5);             /* euro signs */
    assert_int_equal(estimate("\xf0\x9f\x98\x80\xf0\xa0\x80\x80"), 6);     /* beyond the BMP */
    assert_int_equal(estimate("\xef\xbc\xa1\xef\xbd\xb1\xef\xa4\x80"), 7); /* full width */
}

static void an_estimate_never_shrinks_when_text_grows(void **state)
{
    (void)state;
    static const char text[] = "Gr\xc3\xbc\xc3\x9f Gott \xe4\xbd\xa0\xf0\x9f\x98\x80 ende";
    int64_t before = 0;
    for (size_t len = 0; len < sizeof text; len++) {
        int64_t now = window_estimate(text, len);
        assert_true(now >= before);
        before = now;
    }
}

static void without_bounds_all_goes(void **state)
{
    (void)state;
    struct window_limits none = { 0 };
    assert_int_equal(first_of("uauau", 1000, &none), 0);
    assert_int_equal(window_first(NULL, 0, &none), 0);
    assert_int_equal(first_of("u", 1000, &none), 0);
}

static void the_newest_messages_are_kept(void **state)
{
    (void)state;
    struct window_limits limits = { .max_messages = 3 };
    assert_int_equal(first_of("uauauau", 10, &limits), 4);
    limits.max_messages = 7;
    assert_int_equal(first_of("uauauau", 10, &limits), 0);
    limits.max_messages = 1;
    assert_int_equal(first_of("uauauau", 10, &limits), 6);
}

static void it_never_starts_with_an_assistant_message(void **state)
{
    (void)state;
    struct window_limits limits = { 0 };
    for (size_t max = 1; max <= 12; max++) {
        static const char *const histories[] = { "uauauauau", "auauu", "uuaauau", "aaaau",
                                                 "uaaau" };
        limits.max_messages = max;
        for (size_t i = 0; i < sizeof histories / sizeof *histories; i++) {
            size_t first = first_of(histories[i], 10, &limits);
            assert_int_equal(histories[i][first], 'u');
            assert_true(strlen(histories[i]) - first <= max);
        }
    }
    limits.max_messages = 4;
    assert_int_equal(first_of("uauauau", 10, &limits), 4);
}

static void tokens_bound_the_window_with_the_system_prompt(void **state)
{
    (void)state;
    /* 40 bytes are 10 tokens, 14 with the message's own */
    struct window_limits limits = { .max_tokens = 3 * 14 };
    assert_int_equal(first_of("uauau", 40, &limits), 2);
    limits.max_tokens = 3 * 14 - 1;
    assert_int_equal(first_of("uauau", 40, &limits), 4);
    limits.max_tokens = 3 * 14;
    limits.system_tokens = 1;
    assert_int_equal(first_of("uauau", 40, &limits), 4);
    limits.max_tokens = 5 * 14 + 1;
    assert_int_equal(first_of("uauau", 40, &limits), 0);
}

static void the_question_goes_even_when_it_is_over_the_bound(void **state)
{
    (void)state;
    struct window_limits limits = { .max_tokens = 5, .system_tokens = 100, .max_messages = 10 };
    assert_int_equal(first_of("uau", 4000, &limits), 2);
}

static void the_stricter_bound_counts(void **state)
{
    (void)state;
    struct window_limits limits = { .max_tokens = 1000, .max_messages = 3 };
    assert_int_equal(first_of("uauauau", 40, &limits), 4);
    limits = (struct window_limits){ .max_tokens = 14, .max_messages = 7 };
    assert_int_equal(first_of("uauauau", 40, &limits), 6);
}

static void families_are_known_by_their_names(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        int percent;
    } cases[] = {
        { "gpt-4o-mini", 100 },
        { "ft:gpt-4o:acme", 100 },
        { "o3-mini", 100 },
        { "claude-3-5-sonnet-latest", 120 },
        { "anthropic/Claude-3.7", 120 },
        { "meta-llama/Llama-3.1-8B-Instruct", 110 },
        { "mistral-small-latest", 115 },
        { "gemini-2.0-flash", 105 },
        { "solo1", 120 },
        { "", 120 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(window_family_percent(cases[i].model), cases[i].percent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_are_known_by_their_names),
        cmocka_unit_test(tokens_are_estimated_by_script),
        cmocka_unit_test(an_estimate_never_shrinks_when_text_grows),
        cmocka_unit_test(without_bounds_all_goes),
        cmocka_unit_test(the_newest_messages_are_kept),
        cmocka_unit_test(it_never_starts_with_an_assistant_message),
        cmocka_unit_test(tokens_bound_the_window_with_the_system_prompt),
        cmocka_unit_test(the_question_goes_even_when_it_is_over_the_bound),
        cmocka_unit_test(the_stricter_bound_counts),
    };
    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
