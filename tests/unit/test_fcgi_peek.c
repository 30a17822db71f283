/*
 * fcgi_peek: what passes, what is refused, and that it does not matter how the bytes are cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/caps.h"
#include "fcgi/http/fcgi_peek.h"
#include "fcgi/http/transport.h"
#include "tests/unit/fcgi_records.h"

#define BODY_MAX 1000

static struct buf wire;
static struct fcgi_peek peek;

static int set_up(void **state)
{
    (void)state;
    buf_init(&wire, 16 * 1024 * 1024);
    fcgi_peek_init(&peek, BODY_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&wire);
    fcgi_peek_free(&peek);
    return 0;
}

/* Feed `piece` bytes at a time until there is a verdict. */
static enum fcgi_verdict feed(size_t piece)
{
    enum fcgi_verdict verdict = FCGI_INCOMPLETE;
    for (size_t at = 0; at < wire.len && verdict == FCGI_INCOMPLETE; at += piece)
        verdict =
            fcgi_peek_feed(&peek, wire.data + at, wire.len - at < piece ? wire.len - at : piece);
    return verdict;
}

static void assert_refused(const char *reason)
{
    assert_int_equal(feed(wire.len), FCGI_MALFORMED);
    assert_string_equal(peek.reason, reason);
    fcgi_peek_free(&peek);
    fcgi_peek_init(&peek, BODY_MAX);
    assert_int_equal(feed(1), FCGI_MALFORMED);
    assert_string_equal(peek.reason, reason);
}

static void a_whole_request_is_ready(void **state)
{
    (void)state;
    put_request(&wire, 1, true, "/api/x", "hello", 5);
    assert_int_equal(feed(wire.len), FCGI_READY);
    assert_int_equal(peek.request_id, 1);
    assert_true(peek.keep_conn);
    assert_false(peek.cut);
    assert_int_equal(peek.body.len, 5);
    assert_memory_equal(peek.body.data, "hello", 5);
    assert_memory_equal(peek.params.data, "\x0e\x04REQUEST_METHODPOST", 20);
}

static void ready_comes_with_the_last_byte_at_every_split(void **state)
{
    (void)state;
    put_request(&wire, 513, false, "/api/x", "hello", 5);
    for (size_t split = 0; split <= wire.len; split++) {
        enum fcgi_verdict first = fcgi_peek_feed(&peek, wire.data, split);
        assert_int_equal(first, split < wire.len ? FCGI_INCOMPLETE : FCGI_READY);
        assert_int_equal(fcgi_peek_feed(&peek, wire.data + split, wire.len - split), FCGI_READY);
        assert_int_equal(peek.request_id, 513);
        assert_false(peek.keep_conn);
        assert_memory_equal(peek.body.data, "hello", 5);
        fcgi_peek_free(&peek);
        fcgi_peek_init(&peek, BODY_MAX);
    }
    assert_int_equal(feed(1), FCGI_READY);
}

static void started_is_told_from_silent(void **state)
{
    (void)state;
    assert_false(fcgi_peek_started(&peek));
    fcgi_peek_feed(&peek, "\1", 1);
    assert_true(fcgi_peek_started(&peek));
}

static void padding_is_dropped_that_of_the_last_record_too(void **state)
{
    (void)state;
    put_begin(&wire, 1, 1, true);
    put_record_padded(&wire, REC_PARAMS, 1, "\1\1AB", 4, 255);
    put_record_padded(&wire, REC_PARAMS, 1, NULL, 0, 7);
    put_record_padded(&wire, REC_STDIN, 1, "x", 1, 255);
    put_record_padded(&wire, REC_STDIN, 1, NULL, 0, 200);
    assert_int_equal(fcgi_peek_feed(&peek, wire.data, wire.len - 1), FCGI_INCOMPLETE);
    assert_int_equal(fcgi_peek_feed(&peek, wire.data + wire.len - 1, 1), FCGI_READY);
    assert_int_equal(peek.params.len, 4);
    assert_int_equal(peek.body.len, 1);
}

static void no_params_and_no_body_is_a_request(void **state)
{
    (void)state;
    put_begin(&wire, 1, 1, false);
    put_record(&wire, REC_PARAMS, 1, NULL, 0);
    put_record(&wire, REC_STDIN, 1, NULL, 0);
    assert_int_equal(feed(wire.len), FCGI_READY);
}

static void get_values_is_refused(void **state)
{
    (void)state;
    put_record(&wire, REC_GET_VALUES, 0, "\x0e\0FCGI_MAX_CONNS", 16);
    assert_refused("a management record");
}

static void get_values_inside_stdin_is_refused(void **state)
{
    (void)state;
    put_begin(&wire, 1, 1, false);
    put_record(&wire, REC_PARAMS, 1, NULL, 0);
    put_record(&wire, REC_STDIN, 1, "body", 4);
    put_record(&wire, REC_GET_VALUES, 0, "\x0e\0FCGI_MAX_CONNS", 16);
    assert_refused("a management record");
}

static void wrong_version_is_refused(void **state)
{
    (void)state;
    buf_puts(&wire, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
    assert_refused("not FastCGI version 1");
}

static void other_roles_are_refused(void **state)
{
    (void)state;
    put_begin(&wire, 1, 3, false);
    assert_refused("a role other than responder");
}

static void records_out_of_order_are_refused(void **state)
{
    (void)state;
    put_record(&wire, REC_PARAMS, 1, "\1\1AB", 4);
    assert_refused("a record of this type is not due");
}

static void abort_is_refused(void **state)
{
    (void)state;
    put_begin(&wire, 1, 1, false);
    put_record(&wire, REC_ABORT, 1, NULL, 0);
    assert_refused("a record of this type is not due");
}

static void begin_of_a_wrong_length_is_refused(void **state)
{
    (void)state;
    put_record(&wire, REC_BEGIN, 1, "\0\1\0\0", 4);
    assert_refused("BEGIN_REQUEST of a wrong length");
}

static void another_request_id_is_refused(void **state)
{
    (void)state;
    put_begin(&wire, 1, 1, false);
    put_record(&wire, REC_PARAMS, 2, "\1\1AB", 4);
    assert_refused("a second request on the connection");
}

static void bytes_behind_the_end_are_refused(void **state)
{
    (void)state;
    put_request(&wire, 1, true, "/", "", 0);
    put_request(&wire, 1, true, "/", "", 0);
    assert_int_equal(feed(wire.len), FCGI_MALFORMED);
    assert_string_equal(peek.reason, "bytes behind the end of the request");
}

/* The body of PARAMS from raw bytes. */
static void put_params(const char *bytes, size_t len)
{
    buf_clear(&wire);
    put_begin(&wire, 1, 1, false);
    put_stream(&wire, REC_PARAMS, 1, bytes, len, 3);
    put_record(&wire, REC_STDIN, 1, NULL, 0);
}

static void lengths_beyond_the_stream_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        { "\1\2AB", 4 },                          /* value one byte short */
        { "\5\0AB", 4 },                          /* name short */
        { "\1", 1 },                              /* no value length */
        { "\xff\xff\xff\xff\1A", 6 },             /* 2^31 - 1 */
        { "\x7f\xff\xff\xff\xff", 5 },            /* short name, huge value */
        { "\xff\xff\xff\xfe\x80\0\0\4AAAA", 12 }, /* the pair that makes libfcgi abort */
        { "\1\xff\xff\xff", 4 },                  /* long length cut off */
        { "\xff", 1 },                            /* the same, of the name */
        { "\1\1AB\1\xff\xff\xff\xffX", 10 },      /* second pair */
        { "\x80\0\0\1\x80\0\0\2AB", 10 },         /* long form, one byte short */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        put_params(bad[i].bytes, bad[i].len);
        assert_refused("PARAMS that are no name-value pairs");
        fcgi_peek_free(&peek);
        fcgi_peek_init(&peek, BODY_MAX);
    }
}

static void pairs_that_are_no_variables_are_refused(void **state)
{
    (void)state;
    put_params("\1\3Aa\0b", 6); /* NUL in a value */
    assert_refused("PARAMS that are no name-value pairs");
    fcgi_peek_free(&peek);
    fcgi_peek_init(&peek, BODY_MAX);
    put_params("\3\1A=Bx", 6); /* "=" in a name */
    assert_refused("PARAMS that are no name-value pairs");
    fcgi_peek_free(&peek);
    fcgi_peek_init(&peek, BODY_MAX);
    put_params("\0\1x", 3); /* no name */
    assert_refused("PARAMS that are no name-value pairs");
}

static void long_and_short_lengths_pass(void **state)
{
    (void)state;
    put_params("\x80\0\0\1\x80\0\0\1AB\1\0C", 13);
    assert_int_equal(feed(1), FCGI_READY);
}

/* One variable such that all of PARAMS has `total` bytes. */
static void put_params_of(size_t total)
{
    struct buf params;
    size_t value_len = total - 6;
    char *value = malloc(value_len);
    assert_non_null(value);
    memset(value, 'v', value_len);
    buf_init(&params, 2 * CAP_PARAMS);
    put_pair_len(&params, "A", value, value_len);
    assert_int_equal(params.len, total);
    buf_clear(&wire);
    put_begin(&wire, 1, 1, false);
    put_stream(&wire, REC_PARAMS, 1, params.data, params.len, 65535);
    put_record(&wire, REC_STDIN, 1, NULL, 0);
    buf_free(&params);
    free(value);
}

static void params_up_to_the_cap_pass_and_one_byte_more_is_refused(void **state)
{
    (void)state;
    put_params_of(CAP_PARAMS);
    assert_int_equal(feed(wire.len), FCGI_READY);
    fcgi_peek_free(&peek);
    fcgi_peek_init(&peek, BODY_MAX);
    put_params_of(CAP_PARAMS + 1);
    assert_refused("PARAMS over the limit");
}

/* A request whose body has `len` bytes; with or without the end of STDIN. */
static void put_body_of(size_t len, bool ended)
{
    char *body = malloc(len);
    assert_non_null(body);
    memset(body, 'b', len);
    put_begin(&wire, 1, 1, true);
    put_record(&wire, REC_PARAMS, 1, NULL, 0);
    for (size_t at = 0; at < len; at += 60000)
        put_record(&wire, REC_STDIN, 1, body + at, len - at < 60000 ? len - at : 60000);
    if (ended)
        put_record(&wire, REC_STDIN, 1, NULL, 0);
    free(body);
}

static void of_a_body_over_the_limit_one_byte_more_is_kept(void **state)
{
    (void)state;
    put_body_of(BODY_MAX + 500, true);
    assert_int_equal(feed(777), FCGI_READY);
    assert_int_equal(peek.body.len, BODY_MAX + 1);
    assert_false(peek.cut);
}

static void a_body_without_end_is_cut_when_enough_was_dropped(void **state)
{
    (void)state;
    put_body_of(BODY_MAX + TRANSPORT_DRAIN, false);
    assert_int_equal(feed(wire.len), FCGI_INCOMPLETE);
    buf_clear(&wire);
    put_record(&wire, REC_STDIN, 1, "more than enough", 16);
    assert_int_equal(feed(wire.len), FCGI_READY);
    assert_true(peek.cut);
    assert_int_equal(peek.body.len, BODY_MAX + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_whole_request_is_ready),
        TEST(ready_comes_with_the_last_byte_at_every_split),
        TEST(started_is_told_from_silent),
        TEST(padding_is_dropped_that_of_the_last_record_too),
        TEST(no_params_and_no_body_is_a_request),
        TEST(get_values_is_refused),
        TEST(get_values_inside_stdin_is_refused),
        TEST(wrong_version_is_refused),
        TEST(other_roles_are_refused),
        TEST(records_out_of_order_are_refused),
        TEST(abort_is_refused),
        TEST(begin_of_a_wrong_length_is_refused),
        TEST(another_request_id_is_refused),
        TEST(bytes_behind_the_end_are_refused),
        TEST(lengths_beyond_the_stream_are_refused),
        TEST(pairs_that_are_no_variables_are_refused),
        TEST(long_and_short_lengths_pass),
        TEST(params_up_to_the_cap_pass_and_one_byte_more_is_refused),
        TEST(of_a_body_over_the_limit_one_byte_more_is_kept),
        TEST(a_body_without_end_is_cut_when_enough_was_dropped),
    };
    return cmocka_run_group_tests_name("fcgi_peek", tests, NULL, NULL);
}
