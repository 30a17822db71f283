/*
 * master_switch: new generations, recycling and the watchdog, with tiny workers that write into the scoreboard
 * what real ones would. Each test runs a real master in a child process and waits for events.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "fcgi/process/master.h"
#include "fcgi/process/scoreboard.h"
#include "fcgi/process/worker.h"

#define DEADLINE_MS 8000
#define NEVER       1000000 /* a request limit that nobody reaches */

/* What a process tells the test: s serving, t told to leave, f failed; r reload, k kept, u undone,
 * o logs opened anew. */
struct report {
    pid_t pid;
    char what;
};

static int reports[2];
static struct scoreboard *board;
static int board_fd;

/* Shared with the children: what the next generation does. */
static struct plan {
    bool fails, refused, stuck, reopens_early;
    atomic_int reopens, reloads; /* so far */
    int requests;                /* that a worker has had at once */
    int busy_workers;            /* that have so many, one after the other; 0 = one */
} * plan;

static void tell(char what)
{
    struct report report = { .pid = getpid(), .what = what };

    if (write(reports[1], &report, sizeof report) != sizeof report)
        _exit(99);
}

static pid_t hear(char what)
{
    struct pollfd watched = { .fd = reports[0], .events = POLLIN };
    struct report report = { 0 };

    assert_int_equal(poll(&watched, 1, DEADLINE_MS), 1);
    assert_int_equal(read(reports[0], &report, sizeof report), sizeof report);
    assert_int_equal(report.what, what);
    return report.pid;
}

/* These, in any order. */
static void hear_all(const char *wanted)
{
    struct pollfd watched = { .fd = reports[0], .events = POLLIN };
    struct report report;
    char left[8];
    char *found;

    strcpy(left, wanted);
    for (size_t i = 0; i < strlen(wanted); i++) {
        assert_int_equal(poll(&watched, 1, DEADLINE_MS), 1);
        assert_int_equal(read(reports[0], &report, sizeof report), sizeof report);
        found = strchr(left, report.what);
        assert_non_null(found);
        *found = '-';
    }
}

static void hear_nothing(int ms)
{
    struct pollfd watched = { .fd = reports[0], .events = POLLIN };

    assert_int_equal(poll(&watched, 1, ms), 0);
}

static void tell_reopened(int number)
{
    (void)number;
    tell('o');
}

/* While a worker starts, without a handler, the master is asked to reopen logs; a refused reload shows that it has
 * done all about it. */
static void start_during_a_reopen(void)
{
    struct timespec moment = { .tv_nsec = 1000 * 1000 };
    struct sigaction action = { .sa_handler = tell_reopened };

    kill(getppid(), SIGUSR1);
    while (plan->reopens == 0)
        nanosleep(&moment, NULL);
    kill(getppid(), SIGHUP);
    while (plan->reloads == 0)
        nanosleep(&moment, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

static int work(void *ctx, int parent_fd)
{
    struct timespec beat = { .tv_nsec = 50 * 1000 * 1000 };
    sigset_t term;
    bool stuck = plan->stuck;

    (void)ctx;
    (void)parent_fd;
    plan->stuck = false; /* the next one is well */
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    if (plan->fails) {
        tell('f');
        return WORKER_CANNOT_START;
    }
    if (plan->reopens_early)
        start_during_a_reopen();
    scoreboard_set_state(SLOT_SERVING);
    tell('s');
    for (int i = 0; i < plan->requests; i++)
        METRICS_COUNT(METRICS_REQUESTS, 1, { "route", "/" });
    if (--plan->busy_workers <= 0)
        plan->requests = 0;
    while (sigtimedwait(&term, NULL, &beat) != SIGTERM) {
        if (getppid() == 1)
            return 0;
        if (!stuck)
            scoreboard_beat(0);
    }
    tell('t');
    return 0;
}

static bool reload(void *ctx, struct master_options *next)
{
    (void)ctx;
    (void)next;
    plan->reloads++;
    tell('r');
    return !plan->refused;
}

static void reopen(void *ctx)
{
    (void)ctx;
    plan->reopens++;
}

static void reloaded(void *ctx, bool kept)
{
    (void)ctx;
    tell(kept ? 'k' : 'u');
}

static void swallow_log(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

static pid_t running; /* of the test that runs: a failed one must not leave it behind */

static pid_t start_master(struct master_options options)
{
    pid_t pid;

    options.run = work;
    options.reload = reload;
    options.reloaded = reloaded;
    options.reopen = reopen;
    options.board = board;
    options.board_fd = board_fd;
    options.drain_ms = 1000;
    pid = fork();
    if (pid == 0) {
        log_set_sink(swallow_log, NULL);
        _exit(master_run(&options));
    }
    running = pid;
    return pid;
}

static void stop_master(pid_t master, int workers)
{
    int status;

    kill(master, SIGTERM);
    for (int i = 0; i < workers; i++)
        hear('t');
    assert_int_equal(waitpid(master, &status, 0), master);
    running = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int set_up(void **state)
{
    (void)state;
    board = scoreboard_open(-1, "1", &board_fd);
    plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == NULL || plan == MAP_FAILED || pipe(reports) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (running > 0)
        kill(running, SIGKILL); /* its workers see that they are orphans */
    running = 0;
    scoreboard_close(board);
    munmap(plan, sizeof *plan);
    close(board_fd);
    close(reports[0]);
    close(reports[1]);
    return 0;
}

static void the_old_generation_leaves_when_the_new_one_serves(void **state)
{
    pid_t master = start_master((struct master_options){ .workers = 2 });

    (void)state;
    hear('s');
    hear('s');
    for (int i = 0; i < 2; i++) {
        kill(master, SIGHUP);
        hear('r');
        hear('s');
        hear('s');
        hear_all("ktt");
    }
    stop_master(master, 2);
}

static void a_refused_reload_changes_nothing(void **state)
{
    pid_t master = start_master((struct master_options){ .workers = 1 });

    (void)state;
    hear('s');
    plan->refused = true;
    kill(master, SIGHUP);
    hear('r');
    hear_nothing(300);
    stop_master(master, 1);
}

static void a_generation_that_cannot_start_is_undone_and_the_old_one_stays(void **state)
{
    pid_t master = start_master((struct master_options){ .workers = 1 });
    pid_t old;

    (void)state;
    old = hear('s');
    plan->fails = true;
    kill(master, SIGHUP);
    hear('r');
    hear('f');
    hear('u');
    hear_nothing(300);
    assert_int_equal(kill(old, 0), 0);
    plan->fails = false;
    kill(master, SIGHUP);
    hear('r');
    hear('s');
    hear_all("kt");
    stop_master(master, 1);
}

static void a_worker_with_enough_requests_leaves_after_its_successor_serves(void **state)
{
    pid_t master, first;

    (void)state;
    plan->requests = 20;
    master = start_master((struct master_options){ .workers = 1, .max_requests = 10 });
    first = hear('s');
    assert_int_not_equal(hear('s'), first);
    assert_int_equal(hear('t'), first);
    assert_int_equal(board->recycled, 1);
    stop_master(master, 1);
}

static void workers_that_all_have_enough_are_replaced_a_second_apart(void **state)
{
    int64_t begun_ms = clock_mono_ms();
    pid_t master, first;

    (void)state;
    plan->requests = 20;
    plan->busy_workers = 2;
    master = start_master((struct master_options){ .workers = 1, .max_requests = 10 });
    first = hear('s');
    assert_int_not_equal(hear('s'), first);
    assert_int_equal(hear('t'), first);
    hear('s');
    hear('t');
    assert_true(clock_mono_ms() - begun_ms >= 1000);
    stop_master(master, 1);
}

static void a_worker_without_a_beat_is_replaced(void **state)
{
    pid_t master, stuck;

    (void)state;
    plan->stuck = true;
    master = start_master(
        (struct master_options){ .workers = 1, .watchdog_ms = 500, .max_requests = NEVER });
    stuck = hear('s');
    assert_int_not_equal(hear('s'), stuck);
    assert_int_equal(kill(stuck, 0), -1);
    assert_int_equal(board->stuck, 1);
    stop_master(master, 1);
}

static void a_worker_that_starts_while_logs_are_reopened_hears_of_it_later(void **state)
{
    pid_t master;

    (void)state;
    plan->refused = plan->reopens_early = true;
    master = start_master((struct master_options){ .workers = 1 });
    hear('r');
    hear_all("so");
    stop_master(master, 1);
}

static void without_a_socket_no_program_is_replaced(void **state)
{
    pid_t master = start_master((struct master_options){ .workers = 1 });

    (void)state;
    hear('s');
    kill(master, SIGUSR2);
    hear_nothing(200);
    stop_master(master, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_old_generation_leaves_when_the_new_one_serves, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_refused_reload_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_generation_that_cannot_start_is_undone_and_the_old_one_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_worker_with_enough_requests_leaves_after_its_successor_serves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(workers_that_all_have_enough_are_replaced_a_second_apart,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_without_a_beat_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_worker_that_starts_while_logs_are_reopened_hears_of_it_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_socket_no_program_is_replaced, set_up, tear_down),
    };

    if (!id_init())
        return 1;
    return cmocka_run_group_tests_name("master_switch", tests, NULL, NULL);
}
