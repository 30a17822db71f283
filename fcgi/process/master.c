/*
 * master: the process that owns the workers.
 *
 * One poll() over the signal pipe, with the next deadline as its timeout: no threads, no requests, no
 * libuv, curl or SQLite. What a signal asks for is in one table. How workers are born and buried is in
 * master_workers.c, how they are replaced in master_switch.c.
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
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "fcgi/process/master_private.h"
#include "fcgi/process/notify.h"
#include "fcgi/process/signals.h"

/* ---- stopping ---- */

void master_begin_stop(struct master *master, const char *why)
{
    const struct master_options *options = &master->options;

    log_info("master_stopping", LOG_STR("why", why), LOG_INT("drain_ms", options->drain_ms));
    master->stage = MASTER_DRAINING;
    master->kill_at_ms = clock_mono_ms() + options->drain_ms + MASTER_KILL_GRACE_MS;
    notify_stopping(options->drain_ms + 2 * MASTER_KILL_GRACE_MS);
    for (int i = 0; i < MASTER_MAX_WORKERS; i++)
        master->places[i].restart_ms = -1;
    if (options->stopping != NULL)
        options->stopping(options->ctx);
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        struct child *child = &master->children[i];

        /* A second SIGTERM would make one that drains already break off its answers. */
        if (child->pid > 0 && child->state <= CHILD_SERVING)
            kill(child->pid, SIGTERM);
    }
}

static void escalate_stop(struct master *master, const char *why)
{
    switch (master->stage) {
    case MASTER_RUNNING:
        master_begin_stop(master, why);
        break;
    case MASTER_DRAINING:
        master->stage = MASTER_HURRYING;
        master->kill_at_ms = clock_mono_ms() + MASTER_KILL_GRACE_MS;
        log_info("master_hurrying", LOG_STR("why", why));
        master_signal_all(master, SIGTERM);
        break;
    case MASTER_HURRYING:
    case MASTER_KILLING:
        master->stage = MASTER_KILLING;
        master->status = 1;
        log_warn("master_killing", LOG_STR("why", why));
        master_signal_all(master, SIGKILL);
        break;
    }
}

static void check_kill_deadline(struct master *master)
{
    if (master->stage == MASTER_RUNNING || clock_mono_ms() < master->kill_at_ms)
        return;
    master->stage = MASTER_KILLING;
    master->kill_at_ms = clock_mono_ms() + MASTER_KILL_GRACE_MS;
    master->status = 1;
    log_error("master_killing", LOG_STR("why", "drain time is over"));
    master_signal_all(master, SIGKILL);
}

/* ---- signals ---- */

static void on_stop(struct master *master, int number)
{
    escalate_stop(master, strsignal(number));
}

static void on_reload(struct master *master, int number)
{
    (void)number;
    if (master->stage == MASTER_RUNNING)
        master_reload(master);
}

static void on_replace(struct master *master, int number)
{
    (void)number;
    if (master->stage == MASTER_RUNNING)
        master_replace_program(master);
}

static void on_reopen(struct master *master, int number)
{
    if (master->options.reopen == NULL)
        return;
    master->options.reopen(master->options.ctx);
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        struct child *child = &master->children[i];

        /* One that is starting may have no handler yet, and would die of it. */
        if (child->pid > 0 && child->state == CHILD_STARTING)
            child->reopen = true;
        else if (child->pid > 0)
            kill(child->pid, number);
    }
}

static void reap(struct master *master)
{
    struct child *child;
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        child = master_find(master, pid);
        if (child != NULL)
            master_bury(master, child, status);
        else if (pid == master->checker)
            master_program_checked(master, status);
    }
}

static void on_child(struct master *master, int number)
{
    (void)number;
    reap(master);
}

static const struct {
    int number;
    void (*handle)(struct master *master, int number);
} reactions[] = {
    { SIGTERM, on_stop },    { SIGINT, on_stop },    { SIGQUIT, on_stop },  { SIGHUP, on_reload },
    { SIGUSR2, on_replace }, { SIGUSR1, on_reopen }, { SIGCHLD, on_child },
};
#define REACTIONS (sizeof(reactions) / sizeof(reactions[0]))

static void handle_signals(struct master *master)
{
    int number;

    while ((number = signals_next()) != 0) {
        for (size_t i = 0; i < REACTIONS; i++) {
            if (reactions[i].number == number)
                reactions[i].handle(master, number);
        }
    }
    reap(master);
}

/* ---- signs of life ---- */

static void begin_signs(struct master *master)
{
    master->alive_ms = notify_watchdog_ms() > 0 ? clock_mono_ms() : -1;
}

static void give_sign(struct master *master)
{
    int64_t now = clock_mono_ms();

    if (master->alive_ms < 0 || now < master->alive_ms)
        return;
    master->alive_ms = now + notify_watchdog_ms();
    notify_alive();
}

/* ---- the loop ---- */

static void earlier(int64_t *due, int64_t time)
{
    if (time >= 0 && (*due < 0 || time < *due))
        *due = time;
}

/* Milliseconds until something is due, -1 = nothing is. */
static int next_timeout(const struct master *master)
{
    int64_t now = clock_mono_ms();
    int64_t due = master->stage == MASTER_RUNNING ? -1 : master->kill_at_ms;
    int64_t tick = master->stage == MASTER_RUNNING ? master_tick_wait(master) : -1;

    earlier(&due, master->alive_ms);
    for (int i = 0; i < MASTER_MAX_WORKERS; i++)
        earlier(&due, master->places[i].restart_ms);
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        if (master->children[i].pid > 0 && master->children[i].state >= CHILD_LEAVING)
            earlier(&due, master->children[i].kill_ms);
    }
    if (tick >= 0)
        earlier(&due, now + tick);
    if (due < 0)
        return -1;
    return due < now ? 0 : (int)(due - now);
}

static void run_loop(struct master *master)
{
    struct pollfd watched = { .fd = master->signal_fd, .events = POLLIN };

    while (master->stage == MASTER_RUNNING || master_any_child(master)) {
        poll(&watched, 1, next_timeout(master));
        give_sign(master);
        handle_signals(master);
        check_kill_deadline(master);
        master_kill_late(master);
        if (master->stage != MASTER_RUNNING)
            continue;
        master_start_due(master);
        if (master_tick_wait(master) == 0)
            master_tick(master);
    }
}

/* ---- the life of it ---- */

static bool open_life_pipe(struct master *master, const struct handover *handover)
{
    if (handover == NULL)
        return pipe2(master->life_fds, O_CLOEXEC) == 0;
    master->life_fds[0] = handover->life_fds[0];
    master->life_fds[1] = handover->life_fds[1];
    return true;
}

static bool watch_signals(struct master *master)
{
    int list[REACTIONS];
    sigset_t none;

    for (size_t i = 0; i < REACTIONS; i++)
        list[i] = reactions[i].number;
    master->signal_fd = signals_watch(list, REACTIONS);
    /* The program before us has held them back until now. */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return master->signal_fd >= 0;
}

static void begin(struct master *master, const struct handover *handover)
{
    for (int i = 0; i < MASTER_MAX_WORKERS; i++)
        master->places[i].restart_ms = i < master->options.workers && handover == NULL ? 0 : -1;
    master->tick_ms = clock_mono_ms();
    begin_signs(master);
    log_info("master_started", LOG_INT("workers", master->options.workers),
             LOG_INT("taken_over", handover != NULL ? (int64_t)handover->worker_count : 0));
    if (handover != NULL) {
        master_adopt(master, handover);
        master_begin_switch(master);
    }
    master_start_due(master);
}

int master_run(const struct master_options *options)
{
    const struct handover *handover = handover_received();
    struct master master = { .options = *options, .signal_fd = -1, .life_fds = { -1, -1 } };

    assert(options->workers >= 1 && options->workers <= MASTER_MAX_WORKERS);
    if (!watch_signals(&master) || !open_life_pipe(&master, handover)) {
        log_error("master_failed", LOG_STR("error", strerror(errno)));
        master.status = 1;
        goto out;
    }
    begin(&master, handover);
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
