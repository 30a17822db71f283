/*
 * metrics: counts by labels from many threads, histograms, what Prometheus and JSON see of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>
#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/metrics.h"

#define THREADS 4
#define ROUNDS  5000

static struct metrics *board;

static int open_board(void **state)
{
    (void)state;
    board = calloc(1, sizeof *board);
    metrics_use(board);
    return board == NULL;
}

static int close_board(void **state)
{
    (void)state;
    metrics_use(NULL);
    free(board);
    return 0;
}

static void *count_a_lot(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < ROUNDS; i++) {
        METRICS_COUNT(METRICS_REQUESTS, 1, { "route", i % 2 ? "/a" : "/b" }, { "status", "200" });
        metrics_time(METRICS_STORE, i);
    }
    return NULL;
}

static void threads_lose_no_count(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, count_a_lot, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metrics_total(board, METRICS_REQUESTS), THREADS * ROUNDS);
    assert_int_equal(board->times[METRICS_STORE].count, THREADS * ROUNDS);
    assert_int_equal(board->dropped, 0);
}

static void the_same_labels_are_one_series_and_kinds_do_not_mix(void **state)
{
    struct buf out;

    (void)state;
    for (int i = 0; i < 3; i++)
        METRICS_COUNT(METRICS_ERRORS, 2, { "code", "busy" });
    METRICS_COUNT(METRICS_TURNS, 1, { "code", "busy" });
    buf_init(&out, 1 << 20);
    metrics_put_prometheus(board, &out);
    assert_non_null(strstr(buf_str(&out), "\nparley_errors_total{code=\"busy\"} 6\n"));
    assert_non_null(strstr(buf_str(&out), "\nparley_turns_total{code=\"busy\"} 1\n"));
    buf_free(&out);
}

static void cost_is_counted_finer_than_it_is_shown(void **state)
{
    struct buf out;

    (void)state;
    for (int i = 0; i < 3; i++)
        METRICS_COUNT(METRICS_COST, 700, { "provider", "openai" });
    buf_init(&out, 1 << 20);
    metrics_put_prometheus(board, &out);
    assert_non_null(strstr(buf_str(&out), "\nparley_cost_total{provider=\"openai\"} 2\n"));
    buf_clear(&out);
    metrics_put_json(board, &out);
    assert_non_null(strstr(buf_str(&out), "\"cost\":[{\"provider\":\"openai\",\"value\":2}]"));
    buf_free(&out);
}

static void odd_label_values_cannot_break_the_formats(void **state)
{
    struct json_object *object = NULL;
    struct fault fault;
    struct buf out, json;

    (void)state;
    METRICS_COUNT(METRICS_TURNS, 1, { "model", "a\"b\\c,d=\"e\nf}" }, { "status", NULL });
    buf_init(&out, 1 << 20);
    metrics_put_prometheus(board, &out);
    assert_non_null(strstr(
        buf_str(&out), "\nparley_turns_total{model=\"a\\\"b\\\\c,d=\\\"e f}\",status=\"\"} 1\n"));
    buf_init(&json, 1 << 20);
    buf_putc(&json, '{');
    metrics_put_json(board, &json);
    buf_putc(&json, '}');
    assert_int_equal(json_parse(json.data, json.len, &object, &fault), RESULT_OK);
    assert_non_null(strstr(json_object_to_json_string(object), "a\\\"b\\\\c,d=\\\"e f}"));
    json_object_put(object);
    buf_free(&json);
    buf_free(&out);
}

static void a_full_table_drops_and_says_so(void **state)
{
    char name[32];

    (void)state;
    for (int i = 0; i < METRICS_SERIES + 10; i++) {
        snprintf(name, sizeof name, "n%d", i);
        METRICS_COUNT(METRICS_ERRORS, 1, { "code", name });
    }
    assert_int_equal(metrics_total(board, METRICS_ERRORS), METRICS_SERIES);
    assert_int_equal(board->dropped, 10);
    METRICS_COUNT(METRICS_ERRORS, 1, { "code", "n3" });
    assert_int_equal(metrics_total(board, METRICS_ERRORS), METRICS_SERIES + 1);
}

static void labels_that_are_too_long_are_dropped_whole(void **state)
{
    char name[METRICS_LABELS + 1];

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    METRICS_COUNT(METRICS_ERRORS, 1, { "code", name });
    assert_int_equal(board->dropped, 1);
}

static void folding_adds_up(void **state)
{
    struct metrics *sum = calloc(1, sizeof *sum);

    (void)state;
    METRICS_COUNT(METRICS_ERRORS, 3, { "code", "a" });
    metrics_time(METRICS_REPLY, 2000);
    metrics_fold(sum, board);
    metrics_fold(sum, board);
    assert_int_equal(metrics_total(sum, METRICS_ERRORS), 6);
    assert_int_equal(sum->times[METRICS_REPLY].count, 2);
    assert_int_equal(sum->times[METRICS_REPLY].sum_us, 4000);
    free(sum);
}

static void quantiles_are_the_bounds_of_their_buckets(void **state)
{
    const struct metrics_histogram *reply = &board->times[METRICS_REPLY];

    (void)state;
    assert_int_equal(metrics_quantile(reply, 0.5), 0);
    for (int i = 0; i < 90; i++)
        metrics_time(METRICS_REPLY, 3000);
    for (int i = 0; i < 10; i++)
        metrics_time(METRICS_REPLY, 2000000);
    metrics_time(METRICS_REPLY, -5); /* a clock that went back */
    assert_int_equal(metrics_quantile(reply, 0.5), 5000);
    assert_int_equal(metrics_quantile(reply, 0.95), 2500000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_lose_no_count, open_board, close_board),
        cmocka_unit_test_setup_teardown(the_same_labels_are_one_series_and_kinds_do_not_mix,
                                        open_board, close_board),
        cmocka_unit_test_setup_teardown(cost_is_counted_finer_than_it_is_shown, open_board,
                                        close_board),
        cmocka_unit_test_setup_teardown(odd_label_values_cannot_break_the_formats, open_board,
                                        close_board),
        cmocka_unit_test_setup_teardown(a_full_table_drops_and_says_so, open_board, close_board),
        cmocka_unit_test_setup_teardown(labels_that_are_too_long_are_dropped_whole, open_board,
                                        close_board),
        cmocka_unit_test_setup_teardown(folding_adds_up, open_board, close_board),
        cmocka_unit_test_setup_teardown(quantiles_are_the_bounds_of_their_buckets, open_board,
                                        close_board),
    };

    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
