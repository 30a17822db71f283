/*
 * master_switch: replacing workers that are well, so that nobody notices.
 *
 * A new generation (SIGHUP, or a new program after SIGUSR2) starts beside the old one on the same socket. Only
 * when all of it serves is the old one told to drain; if one of the new cannot, all of the new are sent away and
 * the old one goes on, with its configuration. Recycling (MAX_REQUESTS, MAX_MEMORY_MB) is the same for one
 * place, one at a time.
 *
 * SIGUSR2 first lets the new program look at the configuration (`check-config`), then becomes it (handover.h). That
 * a program exits with 0 does not make it Parley: what it printed must begin as ours does.
 *
 * A service manager is told of both ends of it (notify.h), whatever came of it, because it waits for the second.
 *
 * The watchdog looks at the beats of the scoreboard. A worker that is stuck gets SIGABRT, upon which it logs its
 * stack, and SIGCONT, should it only be stopped; a moment later SIGKILL.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/caps.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/config.h"
#include "fcgi/process/master_private.h"
#include "fcgi/process/notify.h"
#include "fcgi/process/signals.h"

#define TICK_MS        1000
#define SWITCH_TICK_MS 20    /* while somebody waits for a worker to be ready */
#define RECYCLE_MS     1000  /* a limit that every worker exceeds must not make it spin */
#define DUMP_MS        2000  /* for a stack to be logged */
#define NOT_EXECUTED   127   /* as a shell says it */
#define CHECK_MS       30000 /* for a program to look at its configuration */
#define ASLEEP_MS      3000  /* a tick this late means that we could not run ourselves */

/* ---- generations ---- */

void master_begin_switch(struct master *master)
{
    master->generation++;
    master->switching = true;
    if (master->options.board != NULL)
        master->options.board->generation = master->generation;
    for (int i = 0; i < master->options.workers && master->switching; i++) {
        if (!master_start_worker(master, i))
            master_abandon_switch(master, "a worker cannot be forked");
    }
}

static void announce(struct master *master)
{
    master->announced = true;
    notify_ready(master->options.workers);
}

static void settle(struct master *master, bool kept)
{
    master->switching = false;
    if (master->undo && master->options.reloaded != NULL)
        master->options.reloaded(master->options.ctx, kept);
    if (master->undo && !kept)
        master->options = master->before;
    master->undo = false;
    announce(master);
}

static bool is_of_switch(const struct master *master, const struct child *child)
{
    return child->pid > 0 && child->generation == master->generation;
}

void master_abandon_switch(struct master *master, const char *why)
{
    log_error("switch_abandoned", LOG_INT("generation", master->generation), LOG_STR("why", why));
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        struct child *child = &master->children[i];

        if (is_of_switch(master, child) && child->state <= CHILD_SERVING)
            master_retire(master, child);
    }
    settle(master, false);
    /* Those of the old ones that died meanwhile were not started again. With workers of another program every
     * place is empty: then the new program goes on trying, slowly, while they serve. */
    for (int i = 0; i < master->options.workers; i++) {
        struct place *place = &master->places[i];

        if (master_current(master, i) == NULL && place->restart_ms < 0) {
            place->restarted = true;
            place->restart_ms = clock_mono_ms() + TICK_MS;
        }
    }
}

static bool switch_is_ready(const struct master *master)
{
    int ready = 0;

    for (int i = 0; i < SCOREBOARD_SLOTS; i++)
        ready += is_of_switch(master, &master->children[i]) &&
                 master->children[i].state == CHILD_SERVING;
    return ready >= master->options.workers;
}

static void finish_switch(struct master *master)
{
    int leaving = 0;

    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        struct child *child = &master->children[i];

        if (child->pid == 0 || is_of_switch(master, child) || child->state > CHILD_SERVING)
            continue;
        master_retire(master, child);
        leaving++;
    }
    for (int i = 0; i < MASTER_MAX_WORKERS; i++)
        master->places[i] = (struct place){ .restart_ms = -1, .restarted = true };
    log_info("switched", LOG_INT("generation", master->generation),
             LOG_INT("workers", master->options.workers), LOG_INT("draining", leaving));
    settle(master, true);
}

void master_reload(struct master *master)
{
    struct master_options next = master->options;

    if (master->switching || master->checker != 0) {
        master->reload_again = true;
        return;
    }
    if (master->options.reload == NULL) {
        log_warn("reload_refused", LOG_STR("error", "this way of running has nothing to reload"));
        return;
    }
    log_info("reloading", LOG_INT("generation", master->generation + 1));
    notify_reloading();
    if (!master->options.reload(master->options.ctx, &next)) {
        announce(master);
        return;
    }
    master->before = master->options;
    master->undo = true;
    master->options = next;
    if (master->options.board != NULL)
        atomic_fetch_add(&master->options.board->reloads, 1);
    master_begin_switch(master);
}

/* ---- another program ---- */

/* A file of a size that nobody can exceed; -1 if there is none. */
static int open_output(void)
{
    int fd = memfd_create("check", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd >= 0 &&
        (ftruncate(fd, CAP_CHECK_OUTPUT) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool is_parley(int output)
{
    char begins[sizeof CONFIG_CHECK_BEGINS - 1];

    return pread(output, begins, sizeof begins, 0) == (ssize_t)sizeof begins &&
           memcmp(begins, CONFIG_CHECK_BEGINS, sizeof begins) == 0;
}

static void run_checker(int output)
{
    static char check[] = "check-config";
    char name[] = "parley";
    char *arguments[] = { name, check, NULL };
    int null = open("/dev/null", O_RDWR);

    signals_reset();
    dup2(null, STDIN_FILENO); /* a listening socket there would make it serve */
    dup2(output, STDOUT_FILENO);
    execv(handover_program(), arguments);
    _exit(NOT_EXECUTED);
}

/* The process that checks, -1 with errno if there is none. */
static pid_t start_checker(int *output)
{
    pid_t checker;

    *output = open_output();
    if (*output < 0)
        return -1;
    signals_hold();
    checker = fork();
    if (checker == 0)
        run_checker(*output);
    signals_release();
    if (checker < 0)
        close(*output);
    return checker;
}

void master_replace_program(struct master *master)
{
    pid_t checker;

    if (master->switching || master->checker != 0 || master->options.socket_count == 0) {
        log_warn("program_not_replaced",
                 LOG_STR("why", master->options.socket_count == 0
                                    ? "there is no socket to hand over"
                                    : "workers are being replaced already"));
        return;
    }
    checker = start_checker(&master->checker_output);
    if (checker < 0) {
        log_error("program_not_replaced", LOG_STR("error", strerror(errno)));
        return;
    }
    master->checker = checker;
    master->checker_kill_ms = clock_mono_ms() + CHECK_MS;
    log_info("program_checking", LOG_STR("program", handover_program()),
             LOG_INT("checker_pid", master->checker));
}

static void become_program(struct master *master)
{
    const struct master_options *options = &master->options;
    struct handover handover = { .by_address = options->by_address,
                                 .life_fds = { master->life_fds[0], master->life_fds[1] },
                                 .board_fd = options->board != NULL ? options->board_fd : -1,
                                 .generation = master->generation,
                                 .socket_count = options->socket_count };

    memcpy(handover.sockets, options->sockets, options->socket_count * sizeof(int));
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        if (master->children[i].pid > 0 && handover.worker_count < SCOREBOARD_SLOTS - 1)
            handover.workers[handover.worker_count++] =
                (struct handover_worker){ .slot = i,
                                          .pid = master->children[i].pid,
                                          .leaving = master->children[i].state >= CHILD_LEAVING };
    }
    log_info("program_replacing", LOG_STR("program", handover_program()),
             LOG_INT("workers", (int64_t)handover.worker_count));
    if (options->board != NULL)
        atomic_fetch_add(&options->board->replaced, 1);
    notify_reloading();
    signals_hold(); /* until the next program has its handlers */
    signals_give_back();
    handover_exec(&handover);
    signals_release();
    announce(master);
    log_error("program_not_replaced", LOG_STR("error", strerror(errno)));
}

/* Why this must not become our program, or NULL. */
static const char *refusal(int status, int output)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_EXECUTED)
        return "it cannot be executed; the old program goes on";
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return "its check-config fails; the old program goes on";
    return is_parley(output) ? NULL : "it is not Parley; the old program goes on";
}

void master_program_checked(struct master *master, int status)
{
    const char *why = refusal(status, master->checker_output);

    close(master->checker_output);
    master->checker = 0;
    if (master->stage != MASTER_RUNNING)
        return;
    if (why == NULL)
        become_program(master);
    else
        log_error("program_refused", LOG_STR("program", handover_program()),
                  LOG_INT("status", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status)),
                  LOG_STR("why", why));
}

/* ---- one worker at a time ---- */

static const struct scoreboard_slot *slot_of(const struct master *master, const struct child *child)
{
    return &master->options.board->slots[child - master->children];
}

static struct child *predecessor(struct master *master, const struct child *child)
{
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        struct child *other = &master->children[i];

        if (other != child && other->pid > 0 && other->place == child->place &&
            other->state == CHILD_SERVING)
            return other;
    }
    return NULL;
}

static void became_ready(struct master *master, struct child *child)
{
    struct child *before;

    child->state = CHILD_SERVING;
    if (child->reopen)
        kill(child->pid, SIGUSR1);
    child->reopen = false;
    if (master->switching)
        return;
    while ((before = predecessor(master, child)) != NULL)
        master_retire(master, before);
    /* What another program has left serves until as many of ours do. */
    if (switch_is_ready(master)) {
        for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
            struct child *old = &master->children[i];

            if (old->pid > 0 && old->place == PLACE_OLD && old->state == CHILD_SERVING)
                master_retire(master, old);
        }
        if (!master->announced)
            announce(master);
    }
}

static bool has_starting(const struct master *master)
{
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        if (master->children[i].pid > 0 && master->children[i].state == CHILD_STARTING)
            return true;
    }
    return false;
}

static const char *grown_too_big(const struct master *master, const struct child *child)
{
    const struct scoreboard_slot *slot = slot_of(master, child);

    if (child->max_requests > 0 &&
        (int64_t)metrics_total(&slot->metrics, METRICS_REQUESTS) >= child->max_requests)
        return "MAX_REQUESTS";
    if (child->max_memory_kb > 0 && slot->memory_kb >= child->max_memory_kb)
        return "MAX_MEMORY_MB";
    return NULL;
}

static void recycle(struct master *master, int64_t now)
{
    if (now < master->recycle_ms)
        return;
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        struct child *child = &master->children[i];
        const char *why;

        if (child->pid == 0 || child->state != CHILD_SERVING || child->place == PLACE_OLD ||
            (why = grown_too_big(master, child)) == NULL)
            continue;
        log_info("worker_recycling", LOG_INT("worker", child->place),
                 LOG_INT("worker_pid", child->pid), LOG_STR("why", why),
                 LOG_INT("memory_kb", slot_of(master, child)->memory_kb));
        atomic_fetch_add(&master->options.board->recycled, 1);
        master_start_worker(master, child->place);
        master->recycle_ms = now + RECYCLE_MS;
        return;
    }
}

/* ---- the watchdog ---- */

static void dump_stuck(struct master *master, struct child *child, int64_t silent_ms)
{
    log_error("worker_stuck", LOG_INT("worker", child->place), LOG_INT("worker_pid", child->pid),
              LOG_INT("silent_ms", silent_ms));
    atomic_fetch_add(&master->options.board->stuck, 1);
    child->state = CHILD_DUMPING;
    child->kill_ms = clock_mono_ms() + DUMP_MS;
    kill(child->pid, SIGABRT);
    kill(child->pid, SIGCONT);
}

static void watch(struct master *master, int64_t now)
{
    if (master->options.watchdog_ms == 0 || now < master->forgive_ms)
        return;
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        struct child *child = &master->children[i];
        int64_t silent;

        if (child->pid == 0 || child->state == CHILD_STARTING || child->state == CHILD_DUMPING ||
            slot_of(master, child)->pid != child->pid)
            continue;
        silent = now - slot_of(master, child)->beat_ms;
        if (silent >= master->options.watchdog_ms)
            dump_stuck(master, child, silent);
    }
}

/* ---- the tick ---- */

int64_t master_tick_wait(const struct master *master)
{
    int64_t every = has_starting(master) ? SWITCH_TICK_MS : TICK_MS;
    int64_t left;

    if (master->options.board == NULL && master->checker == 0 && !master->reload_again)
        return -1;
    left = master->tick_ms + every - clock_mono_ms();
    return left < 0 ? 0 : left;
}

static void look_who_is_ready(struct master *master)
{
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        struct child *child = &master->children[i];

        if (child->pid > 0 && child->state == CHILD_STARTING &&
            slot_of(master, child)->state >= SLOT_SERVING)
            became_ready(master, child);
    }
}

void master_tick(struct master *master)
{
    int64_t now = clock_mono_ms();

    if (now - master->tick_ms > ASLEEP_MS)
        master->forgive_ms = now + master->options.watchdog_ms;
    master->tick_ms = now;
    if (master->checker != 0 && now >= master->checker_kill_ms)
        kill(master->checker, SIGKILL);
    if (master->options.board != NULL) {
        look_who_is_ready(master);
        watch(master, now);
    }
    if (master->switching && switch_is_ready(master))
        finish_switch(master);
    if (master->reload_again && !master->switching && master->checker == 0) {
        master->reload_again = false;
        master_reload(master);
    }
    if (master->options.board != NULL && !master->switching && !has_starting(master))
        recycle(master, now);
}
