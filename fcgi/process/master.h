/*
 * master: forks the workers of `parley serve`, restarts crashed ones with back-off, replaces them when the
 * configuration or the program changes, when they have grown too big, or when they are stuck, and stops them
 * in order.
 *
 * Single-threaded; never touches a request; opens nothing but the socket and the scoreboard. The child enters
 * worker code through `run` and never returns here.
 */
#ifndef PARLEY_PROCESS_MASTER_H
#define PARLEY_PROCESS_MASTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MASTER_MAX_WORKERS 64

struct scoreboard;

struct master_options {
    int workers; /* 1 to MASTER_MAX_WORKERS */
    int64_t drain_ms;
    /* In the child: serve until told to stop; its result is the exit status, WORKER_CANNOT_START
     * (worker.h) when serving never began. `parent_fd` reads EOF when the master dies. */
    int (*run)(void *ctx, int parent_fd);
    /* In the master, when stopping begins: close the listening socket. NULL = nothing to do. */
    void (*stopping)(void *ctx);
    void *ctx;

    /* ---- what follows may be left zero ---- */

    struct scoreboard *board; /* NULL: a worker counts as serving as soon as it is forked */
    int board_fd;
    int64_t watchdog_ms;   /* a loop that has not turned for so long is stuck; 0 = never */
    int64_t max_requests;  /* per worker, a little more or less; 0 = any number */
    int64_t max_memory_kb; /* the same, of resident memory */

    /* SIGHUP: read the configuration again and put what it says into `next`. False: refused (logged), the old
     * one goes on. Afterwards `reloaded` comes once: did the new workers begin to serve? If not, the old ones
     * have stayed, and so must their configuration. */
    bool (*reload)(void *ctx, struct master_options *next);
    void (*reloaded)(void *ctx, bool kept);
    /* SIGUSR1: open the log files anew; the workers are told afterwards. */
    void (*reopen)(void *ctx);

    /* SIGUSR2 hands these over to the next program; without any it is refused. */
    const int *sockets;
    size_t socket_count;
    bool by_address;
};

/*
 * Returns the exit status: 0 after an asked-for stop (SIGTERM, SIGINT, SIGQUIT) in which every worker
 * ended by itself, 1 otherwise (workers that cannot start at all, killed ones).
 * The second stop signal makes the workers break off their answers, the third kills them.
 * Workers that a program before us has left (handover_received) serve on until our own do.
 */
int master_run(const struct master_options *options);

#endif
