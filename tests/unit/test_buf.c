/*
 * buf: growth, the cap, the sticky failure mark.
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

static void an_empty_buffer_reads_as_an_empty_string(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    assert_string_equal(buf_str(&buf), "");
    assert_null(buf.data);
    buf_free(&buf);
}

static void puts_append_and_end_with_nul(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    assert_true(buf_puts(&buf, "ab"));
    assert_true(buf_putc(&buf, 'c'));
    assert_true(buf_put(&buf, "d\0e", 3));
    assert_true(buf_putf(&buf, "%d-%s", 7, "x"));
    assert_int_equal(buf.len, 9);
    assert_memory_equal(buf.data, "abcd\0e7-x", 10);
    buf_free(&buf);
}

static void it_fills_up_to_its_cap_and_not_a_byte_more(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    for (int i = 0; i < 1000; i++)
        assert_true(buf_putc(&buf, 'x'));
    assert_false(buf.failed);
    assert_false(buf_putc(&buf, 'y'));
    assert_true(buf.failed);
    assert_int_equal(buf.len, 1000);
    assert_int_equal(strlen(buf_str(&buf)), 1000);
    assert_true(buf.size <= 1001);
    buf_free(&buf);
}

static void after_a_refusal_smaller_puts_are_refused_too(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 5);
    assert_true(buf_puts(&buf, "abc"));
    assert_false(buf_puts(&buf, "defgh"));
    assert_false(buf_putc(&buf, 'd'));
    assert_false(buf_putf(&buf, "%d", 1));
    assert_string_equal(buf_str(&buf), "abc");
    buf_clear(&buf);
    assert_true(buf_puts(&buf, "fresh"));
    assert_string_equal(buf_str(&buf), "fresh");
    buf_free(&buf);
}

static void a_format_that_does_not_fit_leaves_nothing_behind(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 8);
    assert_true(buf_puts(&buf, "1234"));
    assert_false(buf_putf(&buf, "%s", "56789"));
    assert_string_equal(buf_str(&buf), "1234");
    assert_int_equal(buf.len, 4);
    buf_free(&buf);
}

static void formats_of_every_length_come_out_whole(void **state)
{
    (void)state;
    for (int len = 0; len < 600; len++) {
        struct buf buf;
        buf_init(&buf, 1000);
        assert_true(buf_puts(&buf, "ab"));
        assert_true(buf_putf(&buf, "%*s|", len, ""));
        assert_int_equal(buf.len, 3 + len);
        assert_int_equal(buf.data[buf.len - 1], '|');
        assert_int_equal(strlen(buf.data), buf.len);
        buf_free(&buf);
    }
}

static void drop_takes_from_the_front(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    buf_drop(&buf, 3);
    buf_puts(&buf, "hello world");
    buf_drop(&buf, 6);
    assert_string_equal(buf_str(&buf), "world");
    buf_drop(&buf, 1000);
    assert_string_equal(buf_str(&buf), "");
    assert_int_equal(buf.len, 0);
    buf_free(&buf);
}

static void take_hands_over_a_string_also_when_empty(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    char *taken = buf_take(&buf);
    assert_string_equal(taken, "");
    free(taken);
    buf_puts(&buf, "mine");
    taken = buf_take(&buf);
    assert_string_equal(taken, "mine");
    assert_null(buf.data);
    assert_true(buf_puts(&buf, "again"));
    assert_string_equal(taken, "mine");
    free(taken);
    buf_free(&buf);
}

static void reserve_keeps_the_content_and_honours_the_cap(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 5000);
    buf_puts(&buf, "keep");
    assert_true(buf_reserve(&buf, 4996));
    assert_string_equal(buf_str(&buf), "keep");
    char *before = buf.data;
    for (int i = 0; i < 4996; i++)
        buf_putc(&buf, 'x');
    assert_ptr_equal(buf.data, before);
    assert_false(buf_reserve(&buf, 1));
    assert_true(buf.failed);
    buf_free(&buf);
}

static void a_zeroed_buffer_holds_nothing_and_is_safe(void **state)
{
    (void)state;
    struct buf buf = { 0 };
    buf_clear(&buf);
    assert_false(buf_putc(&buf, 'x'));
    assert_false(buf_reserve(&buf, SIZE_MAX));
    buf_free(&buf);
    buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_reads_as_an_empty_string),
        cmocka_unit_test(puts_append_and_end_with_nul),
        cmocka_unit_test(it_fills_up_to_its_cap_and_not_a_byte_more),
        cmocka_unit_test(after_a_refusal_smaller_puts_are_refused_too),
        cmocka_unit_test(a_format_that_does_not_fit_leaves_nothing_behind),
        cmocka_unit_test(formats_of_every_length_come_out_whole),
        cmocka_unit_test(drop_takes_from_the_front),
        cmocka_unit_test(take_hands_over_a_string_also_when_empty),
        cmocka_unit_test(reserve_keeps_the_content_and_honours_the_cap),
        cmocka_unit_test(a_zeroed_buffer_holds_nothing_and_is_safe),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
