/*
 * master_workers: birth and death of workers.
 *
 * A worker that dies is started again at once; if it dies again soon, after 100 ms, then doubling to 5 s,
 * until one has lived for 10 s. A worker that says it cannot start (WORKER_CANNOT_START) before its place has
 * ever been filled means a wrong configuration: looping would not mend that, so the master stops with status 1;
 * unless others serve meanwhile, of an older configuration or program.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "fcgi/process/master_private.h"
#include "fcgi/process/signals.h"
#include "fcgi/process/worker.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   5000
#define BACKOFF_RESET_MS 10000 /* a worker that lived this long is forgiven */
#define JITTER_PERCENT   20    /* so that workers of the same age do not end together */

/* ---- birth ---- */

static void enter_child(struct master *master, int slot)
{
    const struct master_options *options = &master->options;
    int parent_fd = master->life_fds[0];

    close(master->life_fds[1]);
    signals_reset();
    if (options->board != NULL)
        scoreboard_enter(options->board, slot);
    exit(options->run(options->ctx, parent_fd));
}

/* A delay before the next start that grows with every death of a short-lived worker. */
static void schedule_restart(struct place *place, int64_t lived_ms)
{
    if (lived_ms >= BACKOFF_RESET_MS)
        place->backoff_ms = 0;
    place->restart_ms = clock_mono_ms() + place->backoff_ms;
    place->backoff_ms = place->backoff_ms == 0 ? BACKOFF_FIRST_MS : place->backoff_ms * 2;
    if (place->backoff_ms > BACKOFF_MAX_MS)
        place->backoff_ms = BACKOFF_MAX_MS;
}

static struct child *free_child(struct master *master)
{
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        if (master->children[i].pid == 0)
            return &master->children[i];
    }
    return NULL;
}

static int64_t jittered(int64_t limit)
{
    uint32_t random = 0;

    id_random(&random, sizeof random);
    return limit + limit * (random % (JITTER_PERCENT + 1)) / 100;
}

static pid_t fork_worker(struct master *master, int slot)
{
    struct scoreboard *board = master->options.board;
    pid_t pid;

    if (board != NULL)
        scoreboard_prepare(board, slot, master->generation);
    signals_hold();
    pid = fork();
    if (pid == 0)
        enter_child(master, slot);
    signals_release();
    if (pid < 0 && board != NULL)
        scoreboard_retire(board, slot);
    return pid;
}

bool master_start_worker(struct master *master, int place)
{
    struct child *child = free_child(master);
    int64_t now = clock_mono_ms();
    pid_t pid = -1;

    master->places[place].restart_ms = -1;
    if (child != NULL)
        pid = fork_worker(master, (int)(child - master->children));
    else
        errno = EAGAIN; /* too many drain still */
    if (pid < 0) {
        log_error("worker_fork_failed", LOG_INT("worker", place),
                  LOG_STR("error", strerror(errno)));
        schedule_restart(&master->places[place], 0);
        return false;
    }
    *child = (struct child){ .pid = pid,
                             .place = place,
                             .generation = master->generation,
                             .started_ms = now,
                             .max_requests = jittered(master->options.max_requests),
                             .max_memory_kb = jittered(master->options.max_memory_kb) };
    child->state = master->options.board != NULL ? CHILD_STARTING : CHILD_SERVING;
    log_info("worker_started", LOG_INT("worker", place), LOG_INT("worker_pid", pid),
             LOG_INT("generation", child->generation));
    return true;
}

void master_start_due(struct master *master)
{
    int64_t now = clock_mono_ms();

    for (int i = 0; i < master->options.workers; i++) {
        struct place *place = &master->places[i];

        if (place->restart_ms >= 0 && place->restart_ms <= now)
            master_start_worker(master, i);
    }
}

void master_adopt(struct master *master, const struct handover *handover)
{
    for (size_t i = 0; i < handover->worker_count; i++) {
        const struct handover_worker *worker = &handover->workers[i];
        int64_t now = clock_mono_ms();

        master->children[worker->slot] = (struct child){
            .pid = worker->pid,
            .place = PLACE_OLD,
            .generation = handover->generation,
            .state = worker->leaving ? CHILD_LEAVING : CHILD_SERVING,
            .started_ms = now,
            .kill_ms = now + master->options.drain_ms + MASTER_KILL_GRACE_MS,
        };
    }
    master->generation = handover->generation;
}

/* ---- who there is ---- */

struct child *master_find(struct master *master, pid_t pid)
{
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        if (master->children[i].pid == pid)
            return &master->children[i];
    }
    return NULL;
}

struct child *master_current(struct master *master, int place)
{
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        struct child *child = &master->children[i];

        if (child->pid > 0 && child->place == place && child->state <= CHILD_SERVING)
            return child;
    }
    return NULL;
}

bool master_any_child(const struct master *master)
{
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        if (master->children[i].pid > 0)
            return true;
    }
    return false;
}

static bool any_serving(const struct master *master)
{
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        const struct child *child = &master->children[i];

        if (child->pid > 0 && child->state == CHILD_SERVING)
            return true;
    }
    return false;
}

void master_signal_all(const struct master *master, int number)
{
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        if (master->children[i].pid > 0)
            kill(master->children[i].pid, number);
    }
}

/* ---- death ---- */

void master_retire(struct master *master, struct child *child)
{
    child->state = CHILD_LEAVING;
    child->kill_ms = clock_mono_ms() + master->options.drain_ms + MASTER_KILL_GRACE_MS;
    kill(child->pid, SIGTERM);
}

void master_kill_late(struct master *master)
{
    int64_t now = clock_mono_ms();

    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        struct child *child = &master->children[i];

        if (child->pid == 0 || child->state < CHILD_LEAVING || now < child->kill_ms)
            continue;
        log_warn("worker_killed", LOG_INT("worker_pid", child->pid),
                 LOG_STR("why", child->state == CHILD_DUMPING ? "stuck" : "drain time is over"));
        kill(child->pid, SIGKILL);
        child->kill_ms = now + MASTER_KILL_GRACE_MS;
    }
}

/* As it was told to: by itself, or by the signal itself when it had not set up its handlers yet. */
static bool ended_as_asked(const struct master *master, const struct child *child, int status)
{
    if (master->stage == MASTER_RUNNING && child->state != CHILD_LEAVING)
        return false;
    if (WIFEXITED(status))
        return WEXITSTATUS(status) == 0;
    return WTERMSIG(status) == SIGTERM;
}

static void log_death(const struct master *master, const struct child *child, int status)
{
    int64_t lived = clock_mono_ms() - child->started_ms;

    if (ended_as_asked(master, child, status))
        log_info("worker_ended", LOG_INT("worker", child->place),
                 LOG_INT("worker_pid", child->pid));
    else if (WIFSIGNALED(status))
        log_error("worker_died", LOG_INT("worker", child->place), LOG_INT("worker_pid", child->pid),
                  LOG_INT("signal", WTERMSIG(status)), LOG_INT("lived_ms", lived));
    else
        log_error("worker_died", LOG_INT("worker", child->place), LOG_INT("worker_pid", child->pid),
                  LOG_INT("status", WEXITSTATUS(status)), LOG_INT("lived_ms", lived));
}

static void restart(struct master *master, const struct child *dead)
{
    struct place *place = &master->places[dead->place];

    place->restarted = true;
    schedule_restart(place, clock_mono_ms() - dead->started_ms);
    if (master->options.board != NULL)
        atomic_fetch_add(&master->options.board->restarts, 1);
    log_info("worker_restarting", LOG_INT("worker", dead->place),
             LOG_INT("delay_ms", place->restart_ms - clock_mono_ms()));
}

/* It was there to serve, and nobody had told it to leave. */
static void lost(struct master *master, const struct child *dead, int status)
{
    bool cannot_start = WIFEXITED(status) && WEXITSTATUS(status) == WORKER_CANNOT_START;
    bool is_new = dead->generation == master->generation;

    if (master->switching && is_new && dead->state == CHILD_STARTING) {
        master_abandon_switch(master, cannot_start ? "a worker cannot start" : "a worker died");
        return;
    }
    if (dead->place == PLACE_OLD || dead->place >= master->options.workers ||
        master_current(master, dead->place) != NULL)
        return;
    if (cannot_start && !master->places[dead->place].restarted && !any_serving(master)) {
        master->status = 1;
        master_begin_stop(master, "a worker cannot start");
        return;
    }
    restart(master, dead);
}

void master_bury(struct master *master, struct child *child, int status)
{
    struct child dead = *child;

    log_death(master, &dead, status);
    child->pid = 0;
    if (master->options.board != NULL)
        scoreboard_retire(master->options.board, (int)(child - master->children));
    if (master->stage == MASTER_RUNNING && dead.state != CHILD_LEAVING)
        lost(master, &dead, status);
    else if (master->stage != MASTER_RUNNING && !ended_as_asked(master, &dead, status))
        master->status = 1;
}
