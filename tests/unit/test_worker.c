/*
 * worker: from serving to its end, with hooks that report. Each test runs a real worker in a child process,
 * because signals, limits and libuv's thread pool belong to the whole process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "fcgi/process/worker.h"

#define DEADLINE_MS 5000
#define NOBODY      65534

static int reports[2];
static int life[2]; /* the master's side is [1] */

/* What the hooks of one test do. */
struct plan {
    bool start_fails;
    bool told_to_end; /* while it starts */
    bool no_threads;
    bool busy_until_interrupt;
    bool busy_for_ever;
    bool interrupted;
    bool with_job;
    bool job_tells_signals;
    bool slow_stop;
    bool stopped;
    uv_work_t job;
};

static void tell(char what)
{
    if (write(reports[1], &what, 1) != 1)
        _exit(99);
}

static void hear(char what)
{
    struct pollfd watched = { .fd = reports[0], .events = POLLIN };
    char heard = '-';

    assert_int_equal(poll(&watched, 1, DEADLINE_MS), 1);
    assert_int_equal(read(reports[0], &heard, 1), 1);
    assert_int_equal(heard, what);
}

static void hear_nothing(void)
{
    struct pollfd watched = { .fd = reports[0], .events = POLLIN };

    assert_int_equal(poll(&watched, 1, 0), 0);
}

/* 'f': faults come through here, and the signals that are for the loop do not. */
static void tell_signals(void)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    static const int others[] = { SIGTERM, SIGABRT, SIGUSR1 };
    bool good = true;
    sigset_t held;

    pthread_sigmask(SIG_BLOCK, NULL, &held);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        good = good && !sigismember(&held, faults[i]);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        good = good && sigismember(&held, others[i]);
    tell(good ? 'f' : '!');
}

/* A job that ends when the test lets go of its side of the life pipe. */
static void run_job(uv_work_t *job)
{
    const struct plan *plan = job->data;
    struct pollfd watched = { .fd = life[0], .events = POLLIN };

    poll(&watched, 1, DEADLINE_MS);
    if (plan->job_tells_signals)
        tell_signals();
}

static void job_done(uv_work_t *job, int status)
{
    (void)job;
    (void)status;
    tell('j');
}

static bool start(void *ctx, uv_loop_t *loop)
{
    struct plan *plan = ctx;
    struct rlimit limit;
    const char *threads = getenv("UV_THREADPOOL_SIZE");

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur != limit.rlim_max || threads == NULL || strcmp(threads, "3") != 0)
        tell('?');
    plan->job.data = plan;
    if (plan->with_job)
        uv_queue_work(loop, &plan->job, run_job, job_done);
    tell('s');
    if (plan->told_to_end)
        raise(SIGTERM);
    return !plan->start_fails;
}

static void drain(void *ctx)
{
    (void)ctx;
    tell('d');
}

static bool idle(void *ctx)
{
    struct plan *plan = ctx;

    return !plan->busy_for_ever && (!plan->busy_until_interrupt || plan->interrupted);
}

static void interrupt(void *ctx)
{
    struct plan *plan = ctx;

    plan->interrupted = true;
    tell('i');
}

/* Slower than a beat. */
static void stop(void *ctx)
{
    struct plan *plan = ctx;

    if (plan->slow_stop)
        poll(NULL, 0, 300);
    plan->stopped = true;
    tell('x');
}

static void beat(void *ctx)
{
    struct plan *plan = ctx;

    if (plan->stopped)
        tell('b');
}

static void swallow_log(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

/* Root has no such limit. */
static void forbid_threads(void)
{
    const struct rlimit one = { 1, 1 };

    if (setrlimit(RLIMIT_NPROC, &one) != 0 ||
        (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0))
        _exit(98);
}

static pid_t start_worker(struct plan plan, int64_t drain_ms, bool with_master)
{
    struct worker_hooks hooks = { start, drain, idle, interrupt, stop, &plan, beat, NULL };
    struct worker_options options = { .drain_ms = drain_ms,
                                      .request_threads = 3,
                                      .parent_fd = with_master ? life[0] : -1 };
    pid_t pid = fork();

    if (pid == 0) {
        close(life[1]);
        log_set_sink(swallow_log, NULL);
        if (plan.no_threads)
            forbid_threads();
        _exit(worker_run(&options, &hooks));
    }
    return pid;
}

static int end_of(pid_t worker)
{
    int64_t deadline = clock_mono_ms() + DEADLINE_MS;
    int status = 0;

    while (waitpid(worker, &status, WNOHANG) == 0) {
        if (clock_mono_ms() > deadline) {
            kill(worker, SIGKILL);
            fail_msg("the worker does not end");
        }
        poll(NULL, 0, 5);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int open_pipes(void **state)
{
    (void)state;
    return pipe(reports) != 0 || pipe(life) != 0;
}

static int close_pipes(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        close(reports[i]);
        close(life[i]);
    }
    return 0;
}

static void idle_worker_drains_and_ends_at_a_stop_signal(void **state)
{
    static const int ways[] = { SIGTERM, SIGINT, SIGQUIT };
    pid_t worker;

    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        worker = start_worker((struct plan){ 0 }, 60000, false);
        hear('s');
        kill(worker, ways[i]);
        hear('d');
        hear('x');
        assert_int_equal(end_of(worker), 0);
    }
}

static void failed_start_ends_with_the_status_that_says_so(void **state)
{
    pid_t worker = start_worker((struct plan){ .start_fails = true }, 60000, false);

    (void)state;
    hear('s');
    assert_int_equal(end_of(worker), WORKER_CANNOT_START);
}

static void worker_that_may_have_no_threads_says_that_it_cannot_start(void **state)
{
    pid_t worker = start_worker((struct plan){ .no_threads = true }, 60000, false);

    (void)state;
    assert_int_equal(end_of(worker), WORKER_CANNOT_START);
    hear_nothing();
}

static void failed_start_that_is_told_to_end_calls_no_other_hook(void **state)
{
    pid_t worker =
        start_worker((struct plan){ .start_fails = true, .told_to_end = true }, 60000, false);

    (void)state;
    hear('s');
    assert_int_equal(end_of(worker), WORKER_CANNOT_START);
    hear_nothing();
}

static void busy_worker_is_interrupted_when_drain_time_is_over(void **state)
{
    pid_t worker = start_worker((struct plan){ .busy_until_interrupt = true }, 100, false);
    int64_t asked_ms;

    (void)state;
    hear('s');
    asked_ms = clock_mono_ms();
    kill(worker, SIGTERM);
    hear('d');
    hear('i');
    assert_true(clock_mono_ms() - asked_ms >= 99);
    hear('x');
    assert_int_equal(end_of(worker), 0);
}

static void second_signal_interrupts_at_once(void **state)
{
    pid_t worker = start_worker((struct plan){ .busy_until_interrupt = true }, 600000, false);

    (void)state;
    hear('s');
    kill(worker, SIGTERM);
    hear('d');
    kill(worker, SIGTERM);
    hear('i');
    hear('x');
    assert_int_equal(end_of(worker), 0);
}

static void third_signal_ends_work_that_does_not_let_go(void **state)
{
    pid_t worker = start_worker((struct plan){ .busy_for_ever = true }, 600000, false);
    int64_t asked_ms;

    (void)state;
    hear('s');
    kill(worker, SIGTERM);
    hear('d');
    kill(worker, SIGTERM);
    hear('i');
    asked_ms = clock_mono_ms();
    kill(worker, SIGTERM);
    assert_int_equal(end_of(worker), 1);
    assert_true(clock_mono_ms() - asked_ms < 1500);
    hear_nothing();
}

static void work_that_does_not_let_go_is_left_two_seconds_after_the_interrupt(void **state)
{
    pid_t worker = start_worker((struct plan){ .busy_for_ever = true }, 0, false);

    (void)state;
    hear('s');
    kill(worker, SIGTERM);
    hear('d');
    hear('i');
    assert_int_equal(end_of(worker), 1);
    hear_nothing();
}

static void beats_end_before_what_they_look_at(void **state)
{
    pid_t worker = start_worker((struct plan){ .slow_stop = true }, 5000, false);

    (void)state;
    hear('s');
    kill(worker, SIGTERM);
    hear('d');
    hear('x');
    assert_int_equal(end_of(worker), 0);
    hear_nothing();
}

static void death_of_the_master_drains(void **state)
{
    pid_t worker = start_worker((struct plan){ 0 }, 60000, true);

    (void)state;
    hear('s');
    close(life[1]);
    hear('d');
    hear('x');
    assert_int_equal(end_of(worker), 0);
    life[1] = dup(life[0]);
}

static void terminal_signals_are_left_to_the_master(void **state)
{
    pid_t worker = start_worker((struct plan){ .busy_until_interrupt = true }, 600000, true);

    (void)state;
    hear('s');
    kill(worker, SIGINT);
    kill(worker, SIGTERM);
    hear('d');
    kill(worker, SIGINT);
    kill(worker, SIGTERM);
    hear('i');
    hear('x');
    assert_int_equal(end_of(worker), 0);
}

static void job_on_a_request_thread_is_waited_for(void **state)
{
    pid_t worker = start_worker((struct plan){ .with_job = true }, 60000, false);

    (void)state;
    hear('s');
    kill(worker, SIGTERM);
    hear('d');
    poll(NULL, 0, 120); /* two looks at whether it is idle */
    hear_nothing();
    close(life[1]);
    hear('j');
    hear('x');
    assert_int_equal(end_of(worker), 0);
    life[1] = dup(life[0]);
}

static void faults_of_a_request_thread_reach_the_handler_that_logs_its_stack(void **state)
{
    pid_t worker =
        start_worker((struct plan){ .with_job = true, .job_tells_signals = true }, 60000, false);

    (void)state;
    hear('s');
    close(life[1]);
    hear('f');
    hear('j');
    kill(worker, SIGTERM);
    assert_int_equal(end_of(worker), 0);
    life[1] = dup(life[0]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(idle_worker_drains_and_ends_at_a_stop_signal, open_pipes,
                                        close_pipes),
        cmocka_unit_test_setup_teardown(failed_start_ends_with_the_status_that_says_so, open_pipes,
                                        close_pipes),
        cmocka_unit_test_setup_teardown(worker_that_may_have_no_threads_says_that_it_cannot_start,
                                        open_pipes, close_pipes),
        cmocka_unit_test_setup_teardown(failed_start_that_is_told_to_end_calls_no_other_hook,
                                        open_pipes, close_pipes),
        cmocka_unit_test_setup_teardown(busy_worker_is_interrupted_when_drain_time_is_over,
                                        open_pipes, close_pipes),
        cmocka_unit_test_setup_teardown(second_signal_interrupts_at_once, open_pipes, close_pipes),
        cmocka_unit_test_setup_teardown(third_signal_ends_work_that_does_not_let_go, open_pipes,
                                        close_pipes),
        cmocka_unit_test_setup_teardown(
            work_that_does_not_let_go_is_left_two_seconds_after_the_interrupt, open_pipes,
            close_pipes),
        cmocka_unit_test_setup_teardown(job_on_a_request_thread_is_waited_for, open_pipes,
                                        close_pipes),
        cmocka_unit_test_setup_teardown(
            faults_of_a_request_thread_reach_the_handler_that_logs_its_stack, open_pipes,
            close_pipes),
        cmocka_unit_test_setup_teardown(beats_end_before_what_they_look_at, open_pipes,
                                        close_pipes),
        cmocka_unit_test_setup_teardown(death_of_the_master_drains, open_pipes, close_pipes),
        cmocka_unit_test_setup_teardown(terminal_signals_are_left_to_the_master, open_pipes,
                                        close_pipes),
    };

    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
