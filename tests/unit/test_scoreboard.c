/*
 * scoreboard: slots through the life of a worker process, counts that outlive it, taking over a board, and that
 * a board of another layout is not read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <json-c/json.h>
#include <cmocka.h>

#include "common/base/id.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "fcgi/process/scoreboard.h"
#include "fcgi/process/status.h"

static struct scoreboard *board;
static int board_fd;

static int open_board(void **state)
{
    (void)state;
    board = scoreboard_open(-1, "1.2.3", &board_fd);
    return board == NULL;
}

static int close_board(void **state)
{
    (void)state;
    scoreboard_close(board);
    close(board_fd);
    return 0;
}

/* A worker process that counts `requests` and ends. */
static void run_worker(int slot, int requests)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        scoreboard_enter(board, slot);
        scoreboard_set_state(SLOT_SERVING);
        scoreboard_beat(1500);
        scoreboard_set_load(2, 3);
        for (int i = 0; i < requests; i++)
            METRICS_COUNT(METRICS_REQUESTS, 1, { "route", "/x" });
        _exit(0);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static uint64_t total(void)
{
    struct metrics *sum = calloc(1, sizeof *sum);
    uint64_t number;

    scoreboard_sum(board, sum);
    number = metrics_total(sum, METRICS_REQUESTS);
    free(sum);
    return number;
}

static void a_worker_is_seen_and_its_counts_outlive_it(void **state)
{
    struct scoreboard_slot *slot = &board->slots[3];

    (void)state;
    scoreboard_prepare(board, 3, 7);
    assert_int_equal(slot->state, SLOT_STARTING);
    run_worker(3, 5);
    assert_int_equal(slot->state, SLOT_SERVING);
    assert_int_equal(slot->generation, 7);
    assert_int_equal(slot->streams, 2);
    assert_int_equal(slot->lag_us, 1500);
    assert_true(slot->memory_kb > 0);
    assert_int_equal(total(), 5);
    scoreboard_retire(board, 3);
    scoreboard_retire(board, 3);
    assert_int_equal(slot->state, SLOT_FREE);
    assert_int_equal(total(), 5);
    scoreboard_prepare(board, 3, 8);
    run_worker(3, 2);
    assert_int_equal(total(), 7);
}

static void another_program_takes_the_board_over(void **state)
{
    struct scoreboard *same;
    int fd;

    (void)state;
    scoreboard_prepare(board, 0, 1);
    run_worker(0, 4);
    same = scoreboard_open(dup(board_fd), "1.2.4", &fd);
    assert_non_null(same);
    assert_int_equal(metrics_total(&same->slots[0].metrics, METRICS_REQUESTS), 4);
    assert_memory_equal(same->client_key, board->client_key, sizeof same->client_key);
    assert_string_equal(same->version, "1.2.4");
    scoreboard_close(same);
    close(fd);
}

static void a_board_of_another_layout_is_replaced_and_not_read(void **state)
{
    int other = memfd_create("other", 0);
    struct scoreboard *fresh;
    char path[64];
    bool is_other;
    int fd;

    (void)state;
    assert_int_equal(write(other, "parley 0", 8), 8);
    snprintf(path, sizeof path, "/proc/self/fd/%d", other);
    assert_null(scoreboard_attach(path, &is_other));
    assert_true(is_other);
    fresh = scoreboard_open(other, "1", &fd);
    assert_non_null(fresh);
    assert_int_equal(fresh->slots[0].state, SLOT_FREE);
    scoreboard_close(fresh);
    close(fd);
}

static void a_reader_sees_it_as_json_text_and_page(void **state)
{
    const struct scoreboard *seen;
    struct json_object *object = NULL, *workers = NULL;
    struct fault fault;
    struct buf out;
    char path[64];
    bool other;

    (void)state;
    scoreboard_prepare(board, 1, 1);
    run_worker(1, 1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", board_fd);
    seen = scoreboard_attach(path, &other);
    assert_non_null(seen);
    buf_init(&out, STATUS_CAP);
    status_put_json(seen, &out);
    assert_int_equal(json_parse(out.data, out.len, &object, &fault), RESULT_OK);
    assert_int_equal(json_get_array(object, "workers", &workers), JSON_FOUND);
    assert_int_equal(json_object_array_length(workers), 1);
    json_object_put(object);
    buf_clear(&out);
    status_put_html(seen, "A & <B>", &out);
    assert_non_null(strstr(buf_str(&out), "<title>A &amp; &lt;B&gt;</title>"));
    assert_non_null(strstr(buf_str(&out), "serving"));
    buf_clear(&out);
    status_put_prometheus(seen, &out);
    assert_non_null(strstr(buf_str(&out), "\nparley_workers 1\n"));
    assert_non_null(strstr(buf_str(&out), "\nparley_loop_lag_seconds{slot=\"1\"} 0.001500\n"));
    buf_free(&out);
    scoreboard_detach(seen);
}

static void without_a_slot_nothing_happens(void **state)
{
    (void)state;
    scoreboard_set_state(SLOT_SERVING);
    scoreboard_beat(1);
    scoreboard_set_load(1, 1);
    assert_int_equal(board->slots[0].state, SLOT_FREE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_slot_nothing_happens, open_board, close_board),
        cmocka_unit_test_setup_teardown(a_worker_is_seen_and_its_counts_outlive_it, open_board,
                                        close_board),
        cmocka_unit_test_setup_teardown(another_program_takes_the_board_over, open_board,
                                        close_board),
        cmocka_unit_test_setup_teardown(a_board_of_another_layout_is_replaced_and_not_read,
                                        open_board, close_board),
        cmocka_unit_test_setup_teardown(a_reader_sees_it_as_json_text_and_page, open_board,
                                        close_board),
    };

    if (!id_init())
        return 1;
    return cmocka_run_group_tests_name("scoreboard", tests, NULL, NULL);
}
