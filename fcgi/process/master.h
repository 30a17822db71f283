/*
 * master: forks the workers of `parley serve`, restarts crashed ones with back-off, stops them in order.
 *
 * Single-threaded; never touches a request; opens nothing but the socket. The child enters worker code
 * through `run` and never returns here.
 */
#ifndef PARLEY_PROCESS_MASTER_H
#define PARLEY_PROCESS_MASTER_H

#include <stdint.h>

#define MASTER_MAX_WORKERS 64

struct master_options {
    int workers; /* 1 to MASTER_MAX_WORKERS */
    int64_t drain_ms;
    /* In the child: serve until told to stop; its result is the exit status, WORKER_CANNOT_START
     * (worker.h) when serving never began. `parent_fd` reads EOF when the master dies. */
    int (*run)(void *ctx, int parent_fd);
    /* In the master, when stopping begins: close the listening socket. NULL = nothing to do. */
    void (*stopping)(void *ctx);
    void *ctx;
};

/*
 * Returns the exit status: 0 after an asked-for stop (SIGTERM, SIGINT, SIGQUIT) in which every worker
 * ended by itself, 1 otherwise (workers that cannot start at all, killed ones).
 * The second stop signal makes the workers break off their answers, the third kills them.
 */
int master_run(const struct master_options *options);

#endif
