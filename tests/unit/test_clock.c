/*
 * clock: the formats of the wire, both ways.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"

static void check_rfc3339(const char *text, int64_t wanted)
{
    int64_t got;
    if (!clock_parse_rfc3339(text, &got))
        fail_msg("refused: %s", text);
    assert_int_equal(got, wanted);
}

static void rfc3339_is_read_with_any_offset_and_fraction(void **state)
{
    (void)state;
    check_rfc3339("1970-01-01T00:00:00Z", 0);
    check_rfc3339("1970-01-01T00:00:00.001Z", 1);
    check_rfc3339("1970-01-01 00:00:00.1z", 100);
    check_rfc3339("1970-01-01t01:00:00.123456789+01:00", 123);
    check_rfc3339("1969-12-31T18:30:00-05:30", 0);
    check_rfc3339("2024-02-29T12:00:00Z", INT64_C(1709208000000));
    check_rfc3339("2016-12-31T23:59:60Z", INT64_C(1483228800000));
    check_rfc3339("0000-01-01T00:00:00Z", INT64_C(-62167219200000));
}

static void what_is_not_rfc3339_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "x",
        "1970",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01T00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:61Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00Zx",
        "1970-01-01T00:00:00+1:00",
        "1970-01-01T00:00:00+01",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+00:60",
        "1970-1-01T00:00:00Z",
        "+1970-01-01T00:00:00Z",
        "1970-01-01X00:00:00Z",
    };
    int64_t got;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (clock_parse_rfc3339(bad[i], &got))
            fail_msg("accepted: %s", bad[i]);
}

static void what_is_written_is_read_back_the_same(void **state)
{
    (void)state;
    char text[CLOCK_RFC3339_SIZE];
    int64_t got;
    for (int64_t ms = INT64_C(-62167219200000); ms < INT64_C(253402300799999);
         ms += INT64_C(7777777777777) / 97) {
        check_rfc3339(clock_rfc3339(ms, text), ms);
        assert_int_equal(strlen(text), 24);
        assert_true(clock_parse_http_date(clock_http_date(ms, text), &got));
        assert_int_equal(got, ms - ((ms % 1000) + 1000) % 1000);
    }
}

static void timestamps_have_milliseconds_and_z(void **state)
{
    (void)state;
    char text[CLOCK_RFC3339_SIZE];
    assert_string_equal(clock_rfc3339(INT64_C(1767323045678), text), "2026-01-02T03:04:05.678Z");
    assert_string_equal(clock_rfc3339(-1, text), "1969-12-31T23:59:59.999Z");
    assert_string_equal(clock_rfc3339(INT64_MAX, text), "9999-12-31T23:59:59.999Z");
    assert_string_equal(clock_rfc3339(INT64_MIN, text), "0000-01-01T00:00:00.000Z");
}

static void all_three_http_dates_are_read(void **state)
{
    (void)state;
    static const char *const same[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994" };
    int64_t got;
    for (size_t i = 0; i < 3; i++) {
        assert_true(clock_parse_http_date(same[i], &got));
        assert_int_equal(got, INT64_C(784111777000));
    }
    assert_true(clock_parse_http_date("Thu Nov 17 08:49:37 1994", &got));
    assert_int_equal(got, INT64_C(785062177000));
}

static void what_is_no_http_date_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "120",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 XXX 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
    };
    int64_t got;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (clock_parse_http_date(bad[i], &got))
            fail_msg("accepted: %s", bad[i]);
}

static void two_digit_years_are_never_far_in_the_future(void **state)
{
    (void)state;
    int64_t got;
    for (int year = 0; year < 100; year++) {
        char text[64];
        snprintf(text, sizeof text, "Monday, 02-Jan-%02d 00:00:00 GMT", year);
        assert_true(clock_parse_http_date(text, &got));
        int64_t ahead = got - clock_wall_ms();
        int64_t year_ms = INT64_C(31556952000);
        assert_true(ahead < 51 * year_ms && ahead > -51 * year_ms);
    }
}

static void http_dates_are_written_as_the_rfc_does(void **state)
{
    (void)state;
    char text[CLOCK_RFC3339_SIZE];
    assert_string_equal(clock_http_date(INT64_C(784111777999), text),
                        "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void the_monotonic_clock_does_not_go_back(void **state)
{
    (void)state;
    int64_t last = clock_mono_us();
    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_mono_us();
        assert_true(now >= last);
        last = now;
    }
    assert_true(clock_mono_ms() >= last / 1000);
    assert_true(clock_wall_ms() > INT64_C(1700000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3339_is_read_with_any_offset_and_fraction),
        cmocka_unit_test(what_is_not_rfc3339_is_refused),
        cmocka_unit_test(what_is_written_is_read_back_the_same),
        cmocka_unit_test(timestamps_have_milliseconds_and_z),
        cmocka_unit_test(all_three_http_dates_are_read),
        cmocka_unit_test(what_is_no_http_date_is_refused),
        cmocka_unit_test(two_digit_years_are_never_far_in_the_future),
        cmocka_unit_test(http_dates_are_written_as_the_rfc_does),
        cmocka_unit_test(the_monotonic_clock_does_not_go_back),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
