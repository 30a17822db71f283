/*
 * master: the process that owns the workers.
 *
 * One poll() over the signal pipe, with the next deadline as its timeout: no threads, no requests, no
 * libuv, curl or SQLite. A worker that dies is started again at once; if it dies again soon, after 100 ms,
 * then doubling to 5 s, until one has lived for 10 s. A worker that says it cannot start
 * (WORKER_CANNOT_START) before it has ever served means a wrong configuration: looping would not mend
 * that, so the master stops with status 1.
 *
 * Stopping escalates: SIGTERM to the workers, who drain; at the second request SIGTERM again, with which
 * they break off their answers; at the third request, or when drain time and grace are over, SIGKILL.
 * Workers notice a master that was killed by the end of file on a pipe that only the master can write to.
 */
#include "fcgi/process/master.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "fcgi/process/signals.h"
#include "fcgi/process/worker.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   5000
#define BACKOFF_RESET_MS 10000 /* a worker that lived this long is forgiven */
#define KILL_GRACE_MS    3000  /* after the drain time, before SIGKILL */

struct slot {
    pid_t pid;          /* 0 = none */
    int64_t started_ms; /* monotonic */
    int64_t backoff_ms; /* of the next restart; 0 = at once */
    int64_t restart_ms; /* monotonic time of the next start; -1 = none is due */
    bool restarted;     /* has been started more than once */
};

enum stage { STAGE_RUNNING, STAGE_DRAINING, STAGE_HURRYING, STAGE_KILLING };

struct master {
    const struct master_options *options;
    struct slot slots[MASTER_MAX_WORKERS];
    enum stage stage;
    int64_t kill_at_ms; /* monotonic; meaningful when stopping */
    int signal_fd;
    int life_fds[2]; /* children read [0]; EOF is the master's death */
    int status;
};

/* ---- starting workers ---- */

static void enter_child(struct master *master)
{
    const struct master_options *options = master->options;
    int parent_fd = master->life_fds[0];

    close(master->life_fds[1]);
    signals_reset();
    exit(options->run(options->ctx, parent_fd));
}

/* A delay before the next start that grows with every death of a short-lived worker. */
static void schedule_restart(struct slot *slot, int64_t now)
{
    if (now - slot->started_ms >= BACKOFF_RESET_MS)
        slot->backoff_ms = 0;
    slot->restart_ms = now + slot->backoff_ms;
    slot->backoff_ms = slot->backoff_ms == 0 ? BACKOFF_FIRST_MS : slot->backoff_ms * 2;
    if (slot->backoff_ms > BACKOFF_MAX_MS)
        slot->backoff_ms = BACKOFF_MAX_MS;
}

static void start_worker(struct master *master, struct slot *slot)
{
    int index = (int)(slot - master->slots);
    pid_t pid;

    slot->started_ms = clock_mono_ms();
    slot->restart_ms = -1;
    signals_hold();
    pid = fork();
    if (pid == 0)
        enter_child(master);
    signals_release();
    if (pid < 0) {
        log_error("worker_fork_failed", LOG_INT("worker", index),
                  LOG_STR("error", strerror(errno)));
        schedule_restart(slot, slot->started_ms);
        return;
    }
    slot->pid = pid;
    log_info("worker_started", LOG_INT("worker", index), LOG_INT("worker_pid", pid));
}

static void start_due(struct master *master)
{
    int64_t now = clock_mono_ms();

    for (int i = 0; i < master->options->workers; i++) {
        struct slot *slot = &master->slots[i];
        if (slot->restart_ms >= 0 && slot->restart_ms <= now)
            start_worker(master, slot);
    }
}

/* ---- stopping ---- */

static void signal_all(const struct master *master, int number)
{
    for (int i = 0; i < master->options->workers; i++) {
        if (master->slots[i].pid > 0)
            kill(master->slots[i].pid, number);
    }
}

static void begin_stop(struct master *master, const char *why)
{
    const struct master_options *options = master->options;

    log_info("master_stopping", LOG_STR("why", why), LOG_INT("drain_ms", options->drain_ms));
    master->stage = STAGE_DRAINING;
    master->kill_at_ms = clock_mono_ms() + options->drain_ms + KILL_GRACE_MS;
    for (int i = 0; i < options->workers; i++)
        master->slots[i].restart_ms = -1;
    if (options->stopping != NULL)
        options->stopping(options->ctx);
    signal_all(master, SIGTERM);
}

static void escalate_stop(struct master *master, const char *why)
{
    switch (master->stage) {
    case STAGE_RUNNING:
        begin_stop(master, why);
        break;
    case STAGE_DRAINING:
        master->stage = STAGE_HURRYING;
        master->kill_at_ms = clock_mono_ms() + KILL_GRACE_MS;
        log_info("master_hurrying", LOG_STR("why", why));
        signal_all(master, SIGTERM);
        break;
    case STAGE_HURRYING:
    case STAGE_KILLING:
        master->stage = STAGE_KILLING;
        master->status = 1;
        log_warn("master_killing", LOG_STR("why", why));
        signal_all(master, SIGKILL);
        break;
    }
}

/* ---- what happened to workers ---- */

static struct slot *find_slot(struct master *master, pid_t pid)
{
    for (int i = 0; i < master->options->workers; i++) {
        if (master->slots[i].pid == pid)
            return &master->slots[i];
    }
    return NULL;
}

/* As it was told to: by itself, or by the signal itself when it had not set up its handlers yet. */
static bool ended_as_asked(const struct master *master, int status)
{
    if (master->stage == STAGE_RUNNING)
        return false;
    if (WIFEXITED(status))
        return WEXITSTATUS(status) == 0;
    return WTERMSIG(status) == SIGTERM;
}

static void log_death(const struct master *master, const struct slot *slot, int status)
{
    int64_t index = slot - master->slots;
    int64_t lived = clock_mono_ms() - slot->started_ms;

    if (ended_as_asked(master, status))
        log_info("worker_ended", LOG_INT("worker", index), LOG_INT("worker_pid", slot->pid));
    else if (WIFSIGNALED(status))
        log_error("worker_died", LOG_INT("worker", index), LOG_INT("worker_pid", slot->pid),
                  LOG_INT("signal", WTERMSIG(status)), LOG_INT("lived_ms", lived));
    else
        log_error("worker_died", LOG_INT("worker", index), LOG_INT("worker_pid", slot->pid),
                  LOG_INT("status", WEXITSTATUS(status)), LOG_INT("lived_ms", lived));
}

static void bury(struct master *master, struct slot *slot, int status)
{
    bool cannot_start = WIFEXITED(status) && WEXITSTATUS(status) == WORKER_CANNOT_START;

    log_death(master, slot, status);
    slot->pid = 0;
    if (master->stage != STAGE_RUNNING) {
        if (!ended_as_asked(master, status))
            master->status = 1;
        return;
    }
    if (cannot_start && !slot->restarted) {
        master->status = 1;
        begin_stop(master, "a worker cannot start");
        return;
    }
    slot->restarted = true;
    schedule_restart(slot, clock_mono_ms());
    log_info("worker_restarting", LOG_INT("worker", slot - master->slots),
             LOG_INT("delay_ms", slot->restart_ms - clock_mono_ms()));
}

static void reap(struct master *master)
{
    struct slot *slot;
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        slot = find_slot(master, pid);
        if (slot != NULL)
            bury(master, slot, status);
    }
}

/* ---- the loop ---- */

static bool any_worker(const struct master *master)
{
    for (int i = 0; i < master->options->workers; i++) {
        if (master->slots[i].pid > 0)
            return true;
    }
    return false;
}

/* Milliseconds until something is due, -1 = nothing is. */
static int next_timeout(const struct master *master)
{
    int64_t due = master->stage == STAGE_RUNNING ? -1 : master->kill_at_ms;
    int64_t left;

    for (int i = 0; i < master->options->workers; i++) {
        int64_t restart = master->slots[i].restart_ms;
        if (restart >= 0 && (due < 0 || restart < due))
            due = restart;
    }
    if (due < 0)
        return -1;
    left = due - clock_mono_ms();
    return left < 0 ? 0 : (int)left;
}

static void check_kill_deadline(struct master *master)
{
    if (master->stage == STAGE_RUNNING || clock_mono_ms() < master->kill_at_ms)
        return;
    master->stage = STAGE_KILLING;
    master->kill_at_ms = clock_mono_ms() + KILL_GRACE_MS;
    master->status = 1;
    log_error("master_killing", LOG_STR("why", "drain time is over"));
    signal_all(master, SIGKILL);
}

static void handle_signals(struct master *master)
{
    int number;

    while ((number = signals_next()) != 0) {
        if (number != SIGCHLD)
            escalate_stop(master, strsignal(number));
    }
    reap(master);
}

static void run_loop(struct master *master)
{
    struct pollfd watched = { .fd = master->signal_fd, .events = POLLIN };

    while (master->stage == STAGE_RUNNING || any_worker(master)) {
        poll(&watched, 1, next_timeout(master));
        handle_signals(master);
        check_kill_deadline(master);
        if (master->stage == STAGE_RUNNING)
            start_due(master);
    }
}

int master_run(const struct master_options *options)
{
    static const int list[] = { SIGTERM, SIGINT, SIGQUIT, SIGCHLD };
    struct master master = { .options = options, .signal_fd = -1, .life_fds = { -1, -1 } };

    assert(options->workers >= 1 && options->workers <= MASTER_MAX_WORKERS);
    master.signal_fd = signals_watch(list, sizeof(list) / sizeof(list[0]));
    if (master.signal_fd < 0 || pipe2(master.life_fds, O_CLOEXEC) != 0) {
        log_error("master_failed", LOG_STR("error", strerror(errno)));
        master.status = 1;
        goto out;
    }
    log_info("master_started", LOG_INT("workers", options->workers));
    start_due(&master);
    run_loop(&master);
    log_info("master_stopped", LOG_INT("status", master.status));
out:
    for (int i = 0; i < 2; i++) {
        if (master.life_fds[i] >= 0)
            close(master.life_fds[i]);
    }
    signals_unwatch();
    return master.status;
}
