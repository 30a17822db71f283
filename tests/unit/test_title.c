/*
 * title: the beginning of a question as a name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/text.h"
#include "common/chat/title.h"

static void assert_title(const char *question, const char *expected)
{
    char title[CAP_TITLE];

    title_make(question, strlen(question), title);
    assert_string_equal(title, expected);
}

static void a_short_question_is_its_own_title(void **state)
{
    (void)state;
    assert_title("Hello", "Hello");
    assert_title("", "");
    assert_title("  What   is\n\tthis? \n", "What is this?");
}

static void a_long_question_is_cut_where_a_word_ends(void **state)
{
    (void)state;
    assert_title("What is the capital of France and why do they call it the city of light?",
                 "What is the capital of France and why do they call it the\xe2\x80\xa6");
    assert_title("123456789 123456789 123456789 123456789 123456789 1234567890",
                 "123456789 123456789 123456789 123456789 123456789 1234567890");
    assert_title("123456789 123456789 123456789 123456789 123456789 1234567890   ",
                 "123456789 123456789 123456789 123456789 123456789 1234567890");
    assert_title("123456789 123456789 123456789 123456789 123456789 1234567890 x",
                 "123456789 123456789 123456789 123456789 123456789 1234567890\xe2\x80\xa6");
}

static void a_script_without_spaces_is_cut_between_characters(void **state)
{
    char question[600] = "", title[CAP_TITLE];

    (void)state;
    for (int i = 0; i < 100; i++)
        strcat(question, "\xe6\xbc\xa2");
    title_make(question, strlen(question), title);
    assert_int_equal(text_utf8_count(title, strlen(title)), TITLE_CHARS + 1);
    assert_true(text_utf8_valid(title, strlen(title)));
}

static void one_long_word_after_a_short_one_is_not_reduced_to_the_short_one(void **state)
{
    char title[CAP_TITLE];
    const char question[] =
        "See https://example.org/a/very/long/address/that/does/not/end/anywhere/near/here";

    (void)state;
    title_make(question, sizeof question - 1, title);
    assert_int_equal(text_utf8_count(title, strlen(title)), TITLE_CHARS + 1);
}

static void the_longest_title_fits(void **state)
{
    char question[600] = "", title[CAP_TITLE];

    (void)state;
    for (int i = 0; i < 61; i++)
        strcat(question, "\xf0\x9f\x98\x80");
    title_make(question, strlen(question), title);
    assert_int_equal(strlen(title), 60 * 4 + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_question_is_its_own_title),
        cmocka_unit_test(a_long_question_is_cut_where_a_word_ends),
        cmocka_unit_test(a_script_without_spaces_is_cut_between_characters),
        cmocka_unit_test(one_long_word_after_a_short_one_is_not_reduced_to_the_short_one),
        cmocka_unit_test(the_longest_title_fits),
    };
    return cmocka_run_group_tests_name("title", tests, NULL, NULL);
}
