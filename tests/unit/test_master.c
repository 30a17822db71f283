/*
 * master: restarts, back-off and orderly ends, with tiny workers that report through a pipe. Each test runs
 * a real master in a child process; every wait has a deadline and waits for an event.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "fcgi/process/master.h"
#include "fcgi/process/worker.h"

#define DEADLINE_MS 8000

/* What a worker tells the test. */
struct report {
    pid_t pid;
    char what;
    int64_t at_ms;
};

static int reports[2];

static void tell(char what)
{
    struct report report = { .pid = getpid(), .what = what, .at_ms = clock_mono_ms() };

    if (write(reports[1], &report, sizeof(report)) != sizeof(report))
        _exit(99);
}

static struct report hear(char what)
{
    struct pollfd watched = { .fd = reports[0], .events = POLLIN };
    struct report report = { 0 };

    assert_int_equal(poll(&watched, 1, DEADLINE_MS), 1);
    assert_int_equal(read(reports[0], &report, sizeof(report)), sizeof(report));
    assert_int_equal(report.what, what);
    return report;
}

static void swallow_log(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

static void tell_stopping(void *ctx)
{
    (void)ctx;
    tell('m');
}

static pid_t start_master(int workers, int (*run)(void *, int))
{
    struct master_options options = { .workers = workers, .run = run, .stopping = tell_stopping };
    pid_t pid = fork();

    if (pid == 0) {
        log_set_sink(swallow_log, NULL);
        _exit(master_run(&options));
    }
    return pid;
}

/* The exit status of a master that ends within the deadline. */
static int end_of(pid_t master)
{
    int64_t deadline = clock_mono_ms() + DEADLINE_MS;
    int status = 0;

    while (waitpid(master, &status, WNOHANG) == 0) {
        if (clock_mono_ms() > deadline) {
            kill(master, SIGKILL);
            fail_msg("the master does not end");
        }
        poll(NULL, 0, 5);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int open_reports(void **state)
{
    (void)state;
    return pipe(reports);
}

static int close_reports(void **state)
{
    (void)state;
    close(reports[0]);
    close(reports[1]);
    return 0;
}

/* ---- workers ---- */

static void on_term(int number)
{
    (void)number;
    tell('t');
}

static void wait_for_master(int parent_fd)
{
    struct pollfd watched = { .fd = parent_fd, .events = POLLIN };
    char byte;

    while (poll(&watched, 1, -1) < 0 && errno == EINTR)
        continue;
    if (read(parent_fd, &byte, 1) == 0)
        tell('e');
}

static int run_until_term(void *ctx, int parent_fd)
{
    sigset_t term;
    int number;

    (void)ctx;
    (void)parent_fd;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    tell('s');
    sigwait(&term, &number);
    tell('t');
    return 0;
}

static int run_stubborn(void *ctx, int parent_fd)
{
    struct sigaction action = { .sa_handler = on_term };

    (void)ctx;
    sigaction(SIGTERM, &action, NULL);
    tell('s');
    wait_for_master(parent_fd);
    return 0;
}

static int run_and_crash(void *ctx, int parent_fd)
{
    (void)ctx;
    (void)parent_fd;
    tell('s');
    return 3;
}

static int run_impossible(void *ctx, int parent_fd)
{
    (void)ctx;
    (void)parent_fd;
    tell('s');
    return WORKER_CANNOT_START;
}

static int run_and_look_at_signals(void *ctx, int parent_fd)
{
    static const int watched[] = { SIGTERM, SIGINT, SIGQUIT, SIGCHLD };
    struct sigaction action;
    sigset_t mask;
    char what = 'c';

    (void)ctx;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++) {
        sigaction(watched[i], NULL, &action);
        if (action.sa_handler != SIG_DFL || sigismember(&mask, watched[i]) != 0)
            what = 'd';
    }
    tell(what);
    return run_until_term(ctx, parent_fd);
}

/* ---- tests ---- */

static void asked_for_stop_ends_workers_and_is_a_success(void **state)
{
    static const int ways[] = { SIGTERM, SIGINT, SIGQUIT };
    pid_t master;

    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        master = start_master(2, run_until_term);
        hear('s');
        hear('s');
        kill(master, ways[i]);
        hear('m');
        hear('t');
        hear('t');
        assert_int_equal(end_of(master), 0);
    }
}

static void killed_worker_is_replaced_within_a_second_and_the_other_lives(void **state)
{
    pid_t master = start_master(2, run_until_term);
    struct report first, second, third;
    int64_t killed_ms;

    (void)state;
    first = hear('s');
    second = hear('s');
    killed_ms = clock_mono_ms();
    kill(first.pid, SIGKILL);
    third = hear('s');
    assert_true(third.at_ms - killed_ms < 1000);
    assert_int_not_equal(third.pid, first.pid);
    assert_int_not_equal(third.pid, second.pid);
    assert_int_equal(kill(second.pid, 0), 0);
    kill(master, SIGTERM);
    hear('m');
    hear('t');
    hear('t');
    assert_int_equal(end_of(master), 0);
}

static void worker_that_keeps_crashing_is_restarted_more_and_more_slowly(void **state)
{
    pid_t master = start_master(1, run_and_crash);
    int64_t started[5];

    (void)state;
    for (int i = 0; i < 5; i++)
        started[i] = hear('s').at_ms;
    assert_true(started[2] - started[1] >= 99);
    assert_true(started[3] - started[2] >= 199);
    assert_true(started[4] - started[3] >= 399);
    kill(master, SIGTERM);
    hear('m');
    assert_true(end_of(master) >=
                0); /* 0 or 1: the last crash may come before or after the signal */
}

static void worker_that_cannot_start_ends_the_master_with_1(void **state)
{
    pid_t master = start_master(1, run_impossible);

    (void)state;
    hear('s');
    hear('m');
    assert_int_equal(end_of(master), 1);
}

static void second_signal_hurries_and_third_kills(void **state)
{
    pid_t master = start_master(1, run_stubborn);

    (void)state;
    hear('s');
    kill(master, SIGTERM);
    hear('m');
    hear('t');
    kill(master, SIGTERM);
    hear('t');
    kill(master, SIGTERM);
    assert_int_equal(end_of(master), 1);
}

static void worker_that_does_not_stop_is_killed_after_drain_and_grace(void **state)
{
    pid_t master = start_master(1, run_stubborn);
    int64_t asked_ms;

    (void)state;
    hear('s');
    asked_ms = clock_mono_ms();
    kill(master, SIGTERM);
    hear('m');
    hear('t');
    assert_int_equal(end_of(master), 1);
    assert_true(clock_mono_ms() - asked_ms >= 2900);
}

static void workers_notice_that_the_master_was_killed(void **state)
{
    pid_t master = start_master(2, run_stubborn);

    (void)state;
    hear('s');
    hear('s');
    kill(master, SIGKILL);
    hear('e');
    hear('e');
    assert_int_equal(end_of(master), -SIGKILL);
}

static void worker_starts_with_default_signals_and_an_empty_mask(void **state)
{
    pid_t master = start_master(1, run_and_look_at_signals);

    (void)state;
    hear('c');
    hear('s');
    kill(master, SIGTERM);
    hear('m');
    hear('t');
    assert_int_equal(end_of(master), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(asked_for_stop_ends_workers_and_is_a_success, open_reports,
                                        close_reports),
        cmocka_unit_test_setup_teardown(
            killed_worker_is_replaced_within_a_second_and_the_other_lives, open_reports,
            close_reports),
        cmocka_unit_test_setup_teardown(
            worker_that_keeps_crashing_is_restarted_more_and_more_slowly, open_reports,
            close_reports),
        cmocka_unit_test_setup_teardown(worker_that_cannot_start_ends_the_master_with_1,
                                        open_reports, close_reports),
        cmocka_unit_test_setup_teardown(second_signal_hurries_and_third_kills, open_reports,
                                        close_reports),
        cmocka_unit_test_setup_teardown(worker_that_does_not_stop_is_killed_after_drain_and_grace,
                                        open_reports, close_reports),
        cmocka_unit_test_setup_teardown(workers_notice_that_the_master_was_killed, open_reports,
                                        close_reports),
        cmocka_unit_test_setup_teardown(worker_starts_with_default_signals_and_an_empty_mask,
                                        open_reports, close_reports),
    };

    return cmocka_run_group_tests_name("master", tests, NULL, NULL);
}
