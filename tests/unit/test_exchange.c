/*
 * The frame around a request: handler, log line, end. The table is the test's own.
 */
#include "tests/unit/memory_transport.h"

#include "common/base/log.h"
#include "fcgi/app.h"
#include "fcgi/http/router.h"

static void reply(struct exchange *exchange)
{
    response_send(&exchange->response, 200, "text/plain", "hello", 5);
}

static void forget(struct exchange *exchange)
{
    (void)exchange;
}

static void later(struct exchange *exchange)
{
    exchange->outcome = "finished";
    reply(exchange);
}

static void hand_over(struct exchange *exchange)
{
    exchange->on_loop = later;
}

const struct route routes[] = {
    { HTTP_GET, "/reply/{user_id}", 0, reply },
    { HTTP_GET, "/forget", 0, forget },
    { HTTP_GET, "/hand-over", 0, hand_over },
};
const size_t routes_count = sizeof(routes) / sizeof(routes[0]);

struct fixture {
    struct memory_transport memory;
    struct config config;
    struct app app;
    char lines[8192];
};

static void keep_line(void *ctx, const char *line)
{
    struct fixture *f = ctx;
    size_t used = strlen(f->lines);
    snprintf(f->lines + used, sizeof(f->lines) - used, "%s\n", line);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    memory_open(&f->memory);
    f->config.cors_origin = (char *)"";
    f->app.config = &f->config;
    log_set_sink(keep_line, f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    log_set_sink(NULL, NULL);
    memory_close(&f->memory);
    free(f);
    return 0;
}

static void a_request_is_answered_logged_and_finished(void **state)
{
    struct fixture *f = *state;
    struct exchange *exchange = memory_exchange(&f->memory, &f->app, HTTP_GET, "/reply/alice");
    exchange_run(exchange);
    assert_string_equal(memory_body(&f->memory), "hello");
    assert_false(f->memory.finished);
    exchange_finish(exchange);
    assert_true(f->memory.finished);
    assert_non_null(strstr(f->lines, "\"event\":\"request\""));
    assert_non_null(strstr(f->lines, "\"request_id\":\"req_test\""));
    assert_non_null(strstr(f->lines, "\"method\":\"GET\""));
    assert_non_null(strstr(f->lines, "\"status\":200"));
    assert_non_null(strstr(f->lines, "\"bytes\":5"));
    assert_non_null(strstr(f->lines, "\"queue_ms\":"));
    assert_non_null(strstr(f->lines, "\"total_ms\":"));
    assert_non_null(strstr(f->lines, "\"outcome\":\"ok\""));
    assert_null(strstr(f->lines, "first_delta_ms"));
}

static void the_log_has_the_pattern_and_not_the_path(void **state)
{
    struct fixture *f = *state;
    struct exchange *exchange = memory_exchange(&f->memory, &f->app, HTTP_GET, "/reply/alice");
    exchange_run(exchange);
    exchange_finish(exchange);
    assert_non_null(strstr(f->lines, "{user_id}"));
    assert_null(strstr(f->lines, "alice"));
}

static void a_silent_handler_is_an_error_of_ours(void **state)
{
    struct fixture *f = *state;
    struct exchange *exchange = memory_exchange(&f->memory, &f->app, HTTP_GET, "/forget");
    exchange_run(exchange);
    exchange_finish(exchange);
    assert_string_equal(memory_header(&f->memory, "Status"), "500 Internal Server Error");
    assert_non_null(strstr(memory_body(&f->memory), "\"code\":\"internal\""));
    assert_non_null(strstr(f->lines, "\"event\":\"no_reply\""));
    assert_non_null(strstr(f->lines, "\"outcome\":\"failed\""));
}

static void a_handler_may_hand_over_to_the_loop(void **state)
{
    struct fixture *f = *state;
    struct exchange *exchange = memory_exchange(&f->memory, &f->app, HTTP_GET, "/hand-over");
    exchange_run(exchange);
    assert_int_equal(f->memory.out.len, 0);
    assert_non_null(exchange->on_loop);
    exchange->first_delta_us = exchange->accepted_us + 1500;
    exchange->on_loop(exchange);
    exchange_finish(exchange);
    assert_string_equal(memory_body(&f->memory), "hello");
    assert_non_null(strstr(f->lines, "\"first_delta_ms\":1.5"));
    assert_non_null(strstr(f->lines, "\"outcome\":\"finished\""));
}

static void an_unknown_path_is_logged_with_its_code(void **state)
{
    struct fixture *f = *state;
    struct exchange *exchange = memory_exchange(&f->memory, &f->app, HTTP_GET, "/secret-path");
    exchange_run(exchange);
    exchange_finish(exchange);
    assert_string_equal(memory_header(&f->memory, "Status"), "404 Not Found");
    assert_non_null(strstr(f->lines, "\"code\":\"unknown_path\""));
    assert_non_null(strstr(f->lines, "\"outcome\":\"refused\""));
    assert_non_null(strstr(f->lines, "\"route\":null"));
    assert_null(strstr(f->lines, "secret-path"));
}

static void a_client_that_left_is_logged_as_gone(void **state)
{
    struct fixture *f = *state;
    struct exchange *exchange = memory_exchange(&f->memory, &f->app, HTTP_GET, "/reply/a");
    f->memory.dead = true;
    exchange_run(exchange);
    exchange_finish(exchange);
    assert_true(f->memory.finished);
    assert_non_null(strstr(f->lines, "\"outcome\":\"client_gone\""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_answered_logged_and_finished),
        TEST(the_log_has_the_pattern_and_not_the_path),
        TEST(a_silent_handler_is_an_error_of_ours),
        TEST(a_handler_may_hand_over_to_the_loop),
        TEST(an_unknown_path_is_logged_with_its_code),
        TEST(a_client_that_left_is_logged_as_gone),
    };
    return cmocka_run_group_tests_name("exchange", tests, NULL, NULL);
}
