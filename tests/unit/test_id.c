/*
 * id: form and randomness of identifiers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/id.h"

static void ids_have_prefix_and_22_characters(void **state)
{
    (void)state;
    char id[CAP_ID];
    id_make(id, "msg_");
    assert_memory_equal(id, "msg_", 4);
    assert_int_equal(strlen(id), 26);
    assert_true(id_plausible(id));
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void ids_do_not_repeat_and_use_the_whole_alphabet(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static char ids[COUNT][CAP_ID];
    unsigned seen[256] = { 0 };
    for (int i = 0; i < COUNT; i++) {
        id_make(ids[i], "");
        for (const char *at = ids[i]; *at; at++)
            seen[(unsigned char)*at]++;
    }
    qsort(ids, COUNT, CAP_ID, compare);
    for (int i = 1; i < COUNT; i++)
        assert_string_not_equal(ids[i - 1], ids[i]);

    unsigned letters = 0;
    for (int i = 0; i < 256; i++) {
        if (seen[i] == 0)
            continue;
        letters++;
        /* expected 6875 each, standard deviation 83 */
        assert_in_range(seen[i], 6875 - 830, 6875 + 830);
    }
    assert_int_equal(letters, 64);
}

static void session_ids_end_with_the_time(void **state)
{
    (void)state;
    char id[CAP_ID];
    id_make_session(id);
    assert_memory_equal(id, "session_", 8);
    assert_int_equal(id[8 + 22], '_');
    assert_int_equal(strspn(id + 31, "0123456789"), 13);
    assert_int_equal(strlen(id), 44);
    assert_true(id_plausible(id));
}

static void only_plain_short_ids_are_plausible(void **state)
{
    (void)state;
    char longest[CAP_ID];
    memset(longest, 'a', sizeof longest);
    longest[CAP_ID - 1] = '\0';
    assert_true(id_plausible(longest));
    char too_long[CAP_ID + 1];
    memset(too_long, 'a', sizeof too_long);
    too_long[CAP_ID] = '\0';
    assert_false(id_plausible(too_long));
    assert_true(id_plausible("a-B_9"));
    static const char *const bad[] = { "", "a b", "../x", "a.b", "a\n", "\xc3\xa4", "a%41", "a'b" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(id_plausible(bad[i]));
}

static void random_bytes_fill_the_place(void **state)
{
    (void)state;
    unsigned char a[64] = { 0 }, b[64] = { 0 };
    id_random(a, sizeof a - 1);
    id_random(b, sizeof b - 1);
    assert_memory_not_equal(a, b, sizeof a - 1);
    assert_int_equal(a[63], 0);
}

static int ready(void **state)
{
    (void)state;
    return id_init() ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_have_prefix_and_22_characters),
        cmocka_unit_test(ids_do_not_repeat_and_use_the_whole_alphabet),
        cmocka_unit_test(session_ids_end_with_the_time),
        cmocka_unit_test(only_plain_short_ids_are_plausible),
        cmocka_unit_test(random_bytes_fill_the_place),
    };
    return cmocka_run_group_tests_name("id", tests, ready, NULL);
}
