/*
 * sse: the same events wherever the bytes are split, and the caps.
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
#include "common/base/caps.h"
#include "common/chat/sse.h"

/* Events are written down as "name|data;" and so compared as one string. */
static void write_down(void *ctx, const char *event, const char *data, size_t len)
{
    struct buf *events = ctx;
    assert_int_equal(data[len], '\0');
    buf_putf(events, "%s|", event);
    buf_put(events, data, len);
    buf_putc(events, ';');
}

/* Feed the pieces that end at `first`, `second` and the end. */
static void check_pieces(const char *bytes, size_t len, size_t first, size_t second,
                         const char *wanted)
{
    struct sse sse;
    struct buf events;
    buf_init(&events, 1 << 20);
    sse_init(&sse, write_down, &events);
    assert_true(sse_feed(&sse, bytes, first));
    assert_true(sse_feed(&sse, bytes + first, second - first));
    assert_true(sse_feed(&sse, bytes + second, len - second));
    sse_end(&sse);
    if (strcmp(buf_str(&events), wanted) != 0)
        fail_msg("split at %zu and %zu: %s", first, second, buf_str(&events));
    sse_free(&sse);
    buf_free(&events);
}

static void check_every_split(const char *bytes, size_t len, const char *wanted)
{
    for (size_t first = 0; first <= len; first++)
        for (size_t second = first; second <= len; second++)
            check_pieces(bytes, len, first, second, wanted);

    struct sse sse;
    struct buf events;
    buf_init(&events, 1 << 20);
    sse_init(&sse, write_down, &events);
    for (size_t i = 0; i < len; i++)
        assert_true(sse_feed(&sse, bytes + i, 1));
    sse_end(&sse);
    assert_string_equal(buf_str(&events), wanted);
    sse_free(&sse);
    buf_free(&events);
}

#define EVERY_SPLIT(bytes, wanted) check_every_split(bytes, sizeof(bytes) - 1, wanted)

static void lf_ends_lines(void **state)
{
    (void)state;
    EVERY_SPLIT("data: one\n\ndata: two\n\n", "|one;|two;");
}

static void crlf_ends_lines(void **state)
{
    (void)state;
    EVERY_SPLIT("event: x\r\ndata: one\r\n\r\ndata: two\r\n\r\n", "x|one;|two;");
}

static void lone_cr_ends_lines(void **state)
{
    (void)state;
    EVERY_SPLIT("data: one\r\rdata: two\rdata: 3\r\r", "|one;|two\n3;");
}

static void mixed_line_ends_are_told_apart(void **state)
{
    (void)state;
    EVERY_SPLIT("data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\rdata: e\r\n\n", "|a\nb\nc;|d;|e;");
}

static void comments_and_unknown_fields_are_skipped(void **state)
{
    (void)state;
    EVERY_SPLIT(": ping\n\n:\ndata: x\n: inside\nid: 7\nretry: 5\nfoo\nfoo: bar\n\n", "|x;");
}

static void a_leading_bom_is_dropped(void **state)
{
    (void)state;
    EVERY_SPLIT("\xef\xbb\xbf"
                "data: x\n\n",
                "|x;");
    EVERY_SPLIT("\xef\xbb\xbf\n\ndata: x\n\n", "|x;");
}

static void a_bom_further_on_is_not(void **state)
{
    (void)state;
    EVERY_SPLIT("\n\xef\xbb\xbf"
                "data: x\n\ndata: y\n\n",
                "|y;");
    EVERY_SPLIT("data: \xef\xbb\xbf\n\n", "|\xef\xbb\xbf;");
}

static void several_data_lines_are_joined_by_lf(void **state)
{
    (void)state;
    EVERY_SPLIT("data: a\ndata:b\ndata\ndata:  c\n\n", "|a\nb\n\n c;");
}

static void only_one_space_behind_the_colon_is_dropped(void **state)
{
    (void)state;
    EVERY_SPLIT("data:x\n\ndata:  x: y\n\ndata:\tz\n\n", "|x;| x: y;|\tz;");
}

static void an_event_name_counts_for_its_event_only(void **state)
{
    (void)state;
    EVERY_SPLIT("event: a\ndata: 1\n\ndata: 2\n\nevent: b\n\ndata: 3\n\n", "a|1;|2;|3;");
    EVERY_SPLIT("event: a\nevent: b\ndata: 1\n\n", "b|1;");
}

static void empty_data_is_an_event_and_no_data_is_none(void **state)
{
    (void)state;
    EVERY_SPLIT("data\n\n", "|;");
    EVERY_SPLIT("data:\n\n\n\nevent: x\n\n", "|;");
    EVERY_SPLIT("", "");
    EVERY_SPLIT("\n\r\n\r", "");
}

static void an_event_pending_at_the_end_is_delivered(void **state)
{
    (void)state;
    EVERY_SPLIT("data: a\n\nevent: last\ndata: b\n", "|a;last|b;");
    EVERY_SPLIT("data: a\n\ndata: b", "|a;|b;");
    EVERY_SPLIT("data: a\r", "|a;");
    EVERY_SPLIT("data: a\n\n: bye", "|a;");
}

static void names_of_fields_are_exact(void **state)
{
    (void)state;
    EVERY_SPLIT("dat: 1\ndatas: 2\nDATA: 3\n data: 4\ndata : 5\n\n", "");
}

static void bytes_pass_untouched(void **state)
{
    (void)state;
    EVERY_SPLIT("data: \xf0\x9f\x98\x80 \xff \x01 \xc3\xa4\n\n",
                "|\xf0\x9f\x98\x80 \xff \x01 \xc3\xa4;");
}

static void long_event_names_are_cut_at_a_character(void **state)
{
    (void)state;
    char bytes[200];
    char wanted[200];
    char name[80];
    memset(name, 'n', 62);
    strcpy(name + 62, "\xc3\xa4tail");
    snprintf(bytes, sizeof bytes, "event: %s\ndata: x\n\n", name);
    snprintf(wanted, sizeof wanted, "%.62s|x;", name);
    check_pieces(bytes, strlen(bytes), 20, 70, wanted);
}

static void count_event(void *ctx, const char *event, const char *data, size_t len)
{
    (void)event;
    (void)data;
    *(size_t *)ctx += len;
}

/* Feed `len` times 'x' behind "data: ", in pieces of `piece`. */
static bool feed_line(struct sse *sse, size_t len, size_t piece)
{
    char *bytes = malloc(piece);
    memset(bytes, 'x', piece);
    bool good = sse_feed(sse, "data: ", 6);
    for (size_t done = 0; good && done < len; done += piece)
        good = sse_feed(sse, bytes, len - done < piece ? len - done : piece);
    free(bytes);
    return good && sse_feed(sse, "\n", 1);
}

static void a_line_of_ten_megabytes_is_refused(void **state)
{
    (void)state;
    static const size_t pieces[] = { 1000, 16384, 10 * 1024 * 1024 };
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct sse sse;
        size_t got = 0;
        sse_init(&sse, count_event, &got);
        assert_false(feed_line(&sse, 10 * 1024 * 1024, pieces[i]));
        assert_true(sse.line.size <= CAP_SSE_LINE + 1);
        assert_false(sse_feed(&sse, "\n\ndata: more\n\n", 14));
        sse_end(&sse);
        assert_int_equal(got, 0);
        sse_free(&sse);
    }
}

static void a_whole_line_over_the_cap_is_refused_too(void **state)
{
    (void)state;
    size_t len = 10 * 1024 * 1024, got = 0;
    char *bytes = malloc(len);
    memset(bytes, 'x', len);
    memcpy(bytes, "data: ", 6);
    memcpy(bytes + len - 2, "\n\n", 2);
    struct sse sse;
    sse_init(&sse, count_event, &got);
    assert_false(sse_feed(&sse, bytes, len));
    assert_false(sse_feed(&sse, "data: a\n\n", 9));
    assert_int_equal(got, 0);
    sse_free(&sse);
    free(bytes);
}

static void the_longest_line_allowed_comes_through(void **state)
{
    (void)state;
    struct sse sse;
    size_t got = 0;
    sse_init(&sse, count_event, &got);
    assert_true(feed_line(&sse, CAP_SSE_LINE - 6, 1000));
    assert_true(sse_feed(&sse, "\n", 1));
    assert_int_equal(got, CAP_SSE_LINE - 6);
    assert_false(feed_line(&sse, CAP_SSE_LINE - 5, 1000));
    sse_free(&sse);
}

static void an_event_over_its_cap_is_refused(void **state)
{
    (void)state;
    struct sse sse;
    size_t got = 0;
    sse_init(&sse, count_event, &got);
    assert_true(feed_line(&sse, 1000000, 1000));
    assert_true(feed_line(&sse, 1000000, 1000));
    assert_false(feed_line(&sse, 1000000, 1000));
    assert_false(sse_feed(&sse, "\n", 1));
    sse_end(&sse);
    assert_int_equal(got, 0);
    sse_free(&sse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lf_ends_lines),
        cmocka_unit_test(crlf_ends_lines),
        cmocka_unit_test(lone_cr_ends_lines),
        cmocka_unit_test(mixed_line_ends_are_told_apart),
        cmocka_unit_test(comments_and_unknown_fields_are_skipped),
        cmocka_unit_test(a_leading_bom_is_dropped),
        cmocka_unit_test(a_bom_further_on_is_not),
        cmocka_unit_test(several_data_lines_are_joined_by_lf),
        cmocka_unit_test(only_one_space_behind_the_colon_is_dropped),
        cmocka_unit_test(an_event_name_counts_for_its_event_only),
        cmocka_unit_test(empty_data_is_an_event_and_no_data_is_none),
        cmocka_unit_test(an_event_pending_at_the_end_is_delivered),
        cmocka_unit_test(names_of_fields_are_exact),
        cmocka_unit_test(bytes_pass_untouched),
        cmocka_unit_test(long_event_names_are_cut_at_a_character),
        cmocka_unit_test(a_line_of_ten_megabytes_is_refused),
        cmocka_unit_test(a_whole_line_over_the_cap_is_refused_too),
        cmocka_unit_test(the_longest_line_allowed_comes_through),
        cmocka_unit_test(an_event_over_its_cap_is_refused),
    };
    return cmocka_run_group_tests_name("sse", tests, NULL, NULL);
}
