/*
 * worker: the process that serves. Owns the loop, its signals and its end; knows nothing of HTTP: serve.c
 * gives it the hooks.
 */
#ifndef PARLEY_PROCESS_WORKER_H
#define PARLEY_PROCESS_WORKER_H

#include <stdbool.h>
#include <stdint.h>

struct uv_loop_s;

/* Exit status of a worker whose start hook failed: a wrong configuration (EX_CONFIG of sysexits.h). */
#define WORKER_CANNOT_START 78

struct worker_hooks {
    /* Open everything on the loop and start serving. False: could not (already logged, everything closed
     * again); the worker ends with WORKER_CANNOT_START and no other hook is called. */
    bool (*start)(void *ctx, struct uv_loop_s *loop);
    /* SIGTERM: take nothing new, finish what runs. */
    void (*drain)(void *ctx);
    /* True when nothing runs any more. Asked every 50 ms while draining. */
    bool (*idle)(void *ctx);
    /* DRAIN_SECONDS are over: end what still runs. The loop turns on for up to two more seconds. */
    void (*interrupt)(void *ctx);
    /* Close everything; nothing runs any more. Not called when work had to be left: then the process ends as
     * it is, with status 1, and `left` may say what is lost. */
    void (*stop)(void *ctx);
    void *ctx;
    /* Four times a second, for figures. NULL = none. */
    void (*beat)(void *ctx);
    void (*left)(void *ctx); /* NULL = nothing is */
};

struct worker_options {
    int64_t drain_ms;
    int64_t request_threads;
    int parent_fd; /* readable EOF means the master died: drain and leave; -1 = none */
};

/* libuv ends a process that cannot have its threads: ask before. False (logged with the remedy): it cannot. */
bool worker_can_have_threads(int64_t count);

/*
 * Run until told to stop: SIGTERM drains, a second one ends what runs, a third ends at once; so do SIGINT and
 * SIGQUIT where there is no master. SIGUSR1 opens the log file anew. To be called before anything in the process
 * has used libuv. Never returns to master code: the caller exits with the result.
 */
int worker_run(const struct worker_options *options, const struct worker_hooks *hooks);

#endif
