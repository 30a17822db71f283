/*
 * The one writer of responses: heads, HEAD, error bodies, caps.
 */
#include "tests/unit/memory_transport.h"

#include "common/base/caps.h"
#include "common/base/log.h"

struct fixture {
    struct memory_transport memory;
    struct request request;
    struct response response;
};

/* Refusals are logged; here they are expected. */
static void drop_line(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

static int set_up(void **state)
{
    log_set_sink(drop_line, NULL);
    struct fixture *f = calloc(1, sizeof(*f));
    memory_open(&f->memory);
    memory_request(&f->memory, &f->request, HTTP_GET, "/api/health");
    response_init(&f->response, &f->memory.transport, &f->request);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    response_free(&f->response);
    request_free(&f->request);
    memory_close(&f->memory);
    free(f);
    return 0;
}

static void a_reply_has_the_whole_head(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(response_send(&f->response, 200, RESPONSE_TYPE_JSON, "{}", 2), RESULT_OK);
    assert_string_equal(buf_str(&f->memory.out), "Status: 200 OK\r\n"
                                                 "Content-Type: application/json\r\n"
                                                 "Content-Length: 2\r\n"
                                                 "X-Request-Id: req_test\r\n"
                                                 "X-Content-Type-Options: nosniff\r\n"
                                                 "Cache-Control: no-store\r\n"
                                                 "\r\n"
                                                 "{}");
    assert_int_equal(f->memory.flushed, f->memory.out.len);
    assert_int_equal(f->response.status, 200);
    assert_int_equal(f->response.bytes, 2);
}

static void an_own_cache_control_replaces_no_store(void **state)
{
    struct fixture *f = *state;
    response_header(&f->response, "cache-control", "no-cache");
    response_send(&f->response, 200, "text/html", "x", 1);
    assert_string_equal(memory_header(&f->memory, "cache-control"), "no-cache");
    assert_string_equal(memory_header(&f->memory, "Cache-Control"), "");
}

static void head_gets_the_length_of_get_and_no_body(void **state)
{
    struct fixture *f = *state;
    f->request.method = HTTP_HEAD;
    response_send(&f->response, 200, RESPONSE_TYPE_JSON, "{\"a\":1}", 7);
    assert_string_equal(memory_header(&f->memory, "Content-Length"), "7");
    assert_string_equal(memory_body(&f->memory), "");
    assert_int_equal(f->response.bytes, 0);
}

static void head_of_a_stream_is_over_at_once(void **state)
{
    struct fixture *f = *state;
    f->request.method = HTTP_HEAD;
    assert_int_equal(response_begin_stream(&f->response, 200, RESPONSE_TYPE_SSE), RESULT_GONE);
    assert_true(f->memory.flushed > 0);
    assert_int_equal(response_stream(&f->response, "data: x\n\n", 9), RESULT_GONE);
    assert_string_equal(memory_body(&f->memory), "");
}

static void a_stream_tells_everybody_not_to_buffer(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(response_begin_stream(&f->response, 200, RESPONSE_TYPE_SSE), RESULT_OK);
    assert_int_equal(f->memory.flushed, 0);
    assert_int_equal(response_stream(&f->response, "data: x\n\n", 9), RESULT_OK);
    assert_int_equal(f->memory.flushed, f->memory.out.len);
    assert_string_equal(memory_header(&f->memory, "Content-Type"),
                        "text/event-stream; charset=utf-8");
    assert_string_equal(memory_header(&f->memory, "Cache-Control"), "no-cache, no-transform");
    assert_string_equal(memory_header(&f->memory, "X-Accel-Buffering"), "no");
    assert_string_equal(memory_header(&f->memory, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(memory_header(&f->memory, "Content-Length"), "");
    assert_string_equal(memory_body(&f->memory), "data: x\n\n");
    assert_int_equal(f->response.bytes, 9);
}

static void nothing_is_written_after_the_peer_left(void **state)
{
    struct fixture *f = *state;
    response_begin_stream(&f->response, 200, RESPONSE_TYPE_SSE);
    f->memory.dead = true;
    assert_int_equal(response_stream(&f->response, "a", 1), RESULT_GONE);
    assert_true(f->response.gone);
    f->memory.dead = false;
    size_t before = f->memory.out.len;
    assert_int_equal(response_stream(&f->response, "b", 1), RESULT_GONE);
    assert_int_equal(f->memory.out.len, before);
    assert_true(response_writable(&f->response));
}

static void a_fault_has_the_documented_body(void **state)
{
    struct fixture *f = *state;
    struct fault fault;
    fault_set(&fault, RESULT_INVALID, "invalid_message", "message", "Say \"something\".");
    response_fault(&f->response, &fault);
    assert_string_equal(memory_header(&f->memory, "Status"), "400 Bad Request");
    assert_string_equal(memory_header(&f->memory, "Content-Type"), "application/json");
    assert_string_equal(memory_header(&f->memory, "Retry-After"), "");
    assert_string_equal(memory_body(&f->memory),
                        "{\"error\":\"Say \\\"something\\\".\",\"code\":\"invalid_message\","
                        "\"status\":\"error\",\"request_id\":\"req_test\",\"field\":\"message\"}");
    assert_string_equal(f->response.code, "invalid_message");
}

static void a_limit_says_when_to_come_back(void **state)
{
    struct fixture *f = *state;
    struct fault fault;
    fault_set(&fault, RESULT_LIMITED, "rate_limited", NULL, "Too many.");
    fault.retry_after_s = 17;
    response_fault(&f->response, &fault);
    assert_string_equal(memory_header(&f->memory, "Status"), "429 Too Many Requests");
    assert_string_equal(memory_header(&f->memory, "Retry-After"), "17");
    assert_string_equal(memory_body(&f->memory),
                        "{\"error\":\"Too many.\",\"code\":\"rate_limited\",\"status\":\"error\","
                        "\"request_id\":\"req_test\",\"retry_after\":17}");
}

static void every_503_and_429_has_retry_after(void **state)
{
    (void)state;
    for (int result = RESULT_OK; result < RESULT_COUNT; result++) {
        struct fixture *f;
        assert_int_equal(set_up((void **)&f), 0);
        struct fault fault;
        fault_set(&fault, (enum result)result, "x", NULL, "X.");
        response_fault(&f->response, &fault);
        bool due = f->response.status == 503 || f->response.status == 429;
        assert_int_equal(memory_header(&f->memory, "Retry-After")[0] != '\0', due);
        tear_down((void **)&f);
    }
}

static void results_have_the_documented_status(void **state)
{
    (void)state;
    assert_int_equal(response_status_of(RESULT_OK), 200);
    assert_int_equal(response_status_of(RESULT_INVALID), 400);
    assert_int_equal(response_status_of(RESULT_UNAUTHORIZED), 401);
    assert_int_equal(response_status_of(RESULT_FORBIDDEN), 403);
    assert_int_equal(response_status_of(RESULT_NOT_FOUND), 404);
    assert_int_equal(response_status_of(RESULT_BAD_METHOD), 405);
    assert_int_equal(response_status_of(RESULT_CONFLICT), 409);
    assert_int_equal(response_status_of(RESULT_TOO_LARGE), 413);
    assert_int_equal(response_status_of(RESULT_UNSUPPORTED_TYPE), 415);
    assert_int_equal(response_status_of(RESULT_LIMITED), 429);
    assert_int_equal(response_status_of(RESULT_INTERNAL), 500);
    assert_int_equal(response_status_of(RESULT_UPSTREAM_BAD), 502);
    assert_int_equal(response_status_of(RESULT_OVERLOADED), 503);
    assert_int_equal(response_status_of(RESULT_UPSTREAM_DOWN), 503);
    assert_int_equal(response_status_of(RESULT_STORE_DOWN), 503);
    assert_int_equal(response_status_of(RESULT_UPSTREAM_SLOW), 504);
    for (int result = RESULT_OK; result < RESULT_COUNT; result++)
        assert_in_range(response_status_of((enum result)result), 200, 599);
    assert_int_equal(response_status_of(RESULT_COUNT), 500);
}

static void line_ends_are_dropped_from_header_values(void **state)
{
    struct fixture *f = *state;
    response_header(&f->response, "Location", "/a\r\nSet-Cookie: x=1\n\x01\x7f/b");
    response_send(&f->response, 302, "text/plain", "", 0);
    assert_string_equal(memory_header(&f->memory, "Location"), "/aSet-Cookie: x=1/b");
    assert_string_equal(memory_header(&f->memory, "Set-Cookie"), "");
}

static void the_head_stays_below_its_cap(void **state)
{
    struct fixture *f = *state;
    char value[1000];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (int i = 0; i < 10; i++)
        response_header(&f->response, "X-Filler", value);
    response_header(&f->response, "X-Short", "fits");
    response_send(&f->response, 200, RESPONSE_TYPE_SSE, "body", 4);
    assert_string_equal(memory_body(&f->memory), "body");
    assert_in_range(f->memory.out.len - 4, 3000, CAP_RESPONSE_HEAD - 1);
    assert_string_equal(memory_header(&f->memory, "X-Short"), "fits");
    assert_string_equal(memory_header(&f->memory, "X-Request-Id"), "req_test");
}

static void not_modified_has_neither_body_nor_length(void **state)
{
    struct fixture *f = *state;
    response_send(&f->response, 304, "text/css", "x", 1);
    assert_string_equal(memory_header(&f->memory, "Status"), "304 Not Modified");
    assert_string_equal(memory_header(&f->memory, "Content-Length"), "");
    assert_string_equal(memory_body(&f->memory), "");
}

static void a_second_reply_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(response_send(&f->response, 200, "text/plain", "one", 3), RESULT_OK);
    assert_int_equal(response_send(&f->response, 200, "text/plain", "two", 3), RESULT_INTERNAL);
    assert_string_equal(memory_body(&f->memory), "one");
}

static void a_body_over_its_cap_becomes_500(void **state)
{
    struct fixture *f = *state;
    struct buf body;
    buf_init(&body, 4);
    buf_puts(&body, "{\"secret\":1}");
    response_json(&f->response, 200, &body);
    assert_string_equal(memory_header(&f->memory, "Status"), "500 Internal Server Error");
    assert_non_null(strstr(memory_body(&f->memory), "\"code\":\"internal\""));
    assert_null(strstr(memory_body(&f->memory), "secret"));
    buf_free(&body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reply_has_the_whole_head),
        TEST(an_own_cache_control_replaces_no_store),
        TEST(head_gets_the_length_of_get_and_no_body),
        TEST(head_of_a_stream_is_over_at_once),
        TEST(a_stream_tells_everybody_not_to_buffer),
        TEST(nothing_is_written_after_the_peer_left),
        TEST(a_fault_has_the_documented_body),
        TEST(a_limit_says_when_to_come_back),
        cmocka_unit_test(every_503_and_429_has_retry_after),
        cmocka_unit_test(results_have_the_documented_status),
        TEST(line_ends_are_dropped_from_header_values),
        TEST(the_head_stays_below_its_cap),
        TEST(not_modified_has_neither_body_nor_length),
        TEST(a_second_reply_is_refused),
        TEST(a_body_over_its_cap_becomes_500),
    };
    return cmocka_run_group_tests_name("response", tests, NULL, NULL);
}
