/*
 * worker: the process that serves.
 *
 * Everything here runs on the loop thread. The life is a line of named stages: serving, draining (nothing
 * new, what runs may finish), interrupted (what runs was told to end), done. Signals and the end of the
 * master only push the worker further along that line; a tick every 50 ms looks whether it can go on.
 *
 * Signals are blocked while the request threads are born, so that they land on the loop thread: an EINTR
 * inside libfcgi's read would kill the request it belongs to (WEBSERVERS.md section 8).
 */
#include "fcgi/process/worker.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "fcgi/process/dump.h"
#include "fcgi/process/scoreboard.h"

#define BEAT_MS           250 /* how often the scoreboard hears from us */
#define DRAIN_TICK_MS     50
#define INTERRUPT_MS      2000 /* for interrupted answers to be committed and their readers told */
#define MALLOC_ARENAS     2 /* one per core is the default times eight: memory that nobody gives back */
#define MALLOC_TRIM_BYTES (256 * 1024)

enum stage { STAGE_SERVING, STAGE_DRAINING, STAGE_INTERRUPTED, STAGE_DONE };

static const int stop_signals[] = { SIGTERM, SIGINT, SIGQUIT };
#define STOP_SIGNALS (sizeof(stop_signals) / sizeof(stop_signals[0]))

struct worker {
    const struct worker_options *options;
    const struct worker_hooks *hooks;
    uv_loop_t loop;
    uv_signal_t signals[STOP_SIGNALS];
    uv_signal_t reopen;
    uv_poll_t parent;
    uv_timer_t tick;
    uv_timer_t beat;
    int64_t beat_due_us; /* monotonic */
    enum stage stage;
    bool left_work;
    int64_t deadline_ms; /* monotonic; of the present stage, when not serving */
};

/* ---- the process ---- */

/* Every stream costs two descriptors; a worker takes what it is allowed to have. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("file_limit_not_raised", LOG_INT("wanted", (int64_t)limit.rlim_max));
}

static void tune_malloc(void)
{
    mallopt(M_ARENA_MAX, MALLOC_ARENAS);
    mallopt(M_TRIM_THRESHOLD, MALLOC_TRIM_BYTES);
}

static void no_work(uv_work_t *work)
{
    (void)work;
}

static void free_work(uv_work_t *work, int status)
{
    (void)status;
    free(work);
}

static void *wait_for_lock(void *lock)
{
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
    return NULL;
}

bool worker_can_have_threads(int64_t count)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    int64_t made = 0;
    int error = threads == NULL ? ENOMEM : 0;

    pthread_mutex_lock(&lock);
    while (error == 0 && made < count) {
        error = pthread_create(&threads[made], NULL, wait_for_lock, &lock);
        made += error == 0;
    }
    pthread_mutex_unlock(&lock);
    for (int64_t i = 0; i < made; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    if (error != 0)
        log_error("start_failed", LOG_STR("code", "no_threads"), LOG_STR("error", strerror(error)),
                  LOG_INT("wanted", count), LOG_INT("allowed", made),
                  LOG_STR("remedy", "lower REQUEST_THREADS, or raise the limit of processes or "
                                    "memory (ulimit -u, ulimit -v; LimitNPROC=, TasksMax=)"));
    return error == 0;
}

/* libuv makes its threads at the first job: give it one while signals are blocked. But a thread's own faults, or it
 * would die of them without a word (dump.h). SIGABRT is for the loop; abort() lets it through by itself. */
static void start_request_threads(struct worker *worker)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    uv_work_t *work = malloc(sizeof(*work));
    sigset_t all, before;

    if (work == NULL)
        return;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (uv_queue_work(&worker->loop, work, no_work, free_work) != 0)
        free(work);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void prepare_process(const struct worker_options *options)
{
    char threads[24];

    snprintf(threads, sizeof(threads), "%lld", (long long)options->request_threads);
    setenv("UV_THREADPOOL_SIZE", threads, 1);
    signal(SIGPIPE, SIG_IGN);
    dump_on_fatal_signals();
    raise_file_limit();
    tune_malloc();
}

/* ---- signs of life ---- */

static void on_beat(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    int64_t now_us = clock_mono_us();

    scoreboard_beat(now_us > worker->beat_due_us ? now_us - worker->beat_due_us : 0);
    if (worker->hooks->beat != NULL)
        worker->hooks->beat(worker->hooks->ctx);
    worker->beat_due_us = now_us + BEAT_MS * 1000;
    uv_timer_start(timer, on_beat, BEAT_MS, 0);
}

static void start_beating(struct worker *worker)
{
    worker->beat_due_us = clock_mono_us();
    scoreboard_set_state(SLOT_SERVING);
    uv_timer_start(&worker->beat, on_beat, 0, 0);
}

/* ---- from stage to stage ---- */

static void finish(struct worker *worker)
{
    worker->stage = STAGE_DONE;
    /* The loop turns on while it is closed, and the hooks' world is gone. */
    uv_timer_stop(&worker->tick);
    uv_timer_stop(&worker->beat);
    uv_stop(&worker->loop);
}

static void interrupt(struct worker *worker)
{
    worker->stage = STAGE_INTERRUPTED;
    worker->deadline_ms = clock_mono_ms() + INTERRUPT_MS;
    worker->hooks->interrupt(worker->hooks->ctx);
}

static void leave_work(struct worker *worker)
{
    log_warn("worker_left_work", LOG_INT("jobs", worker->loop.active_reqs.count));
    if (worker->hooks->left != NULL)
        worker->hooks->left(worker->hooks->ctx);
    worker->left_work = true;
    finish(worker);
}

/* Jobs on request threads may outlive what they were for, a last checkpoint for instance. */
static bool is_idle(const struct worker *worker)
{
    return worker->loop.active_reqs.count == 0 && worker->hooks->idle(worker->hooks->ctx);
}

static void on_tick(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    bool late = clock_mono_ms() >= worker->deadline_ms;

    if (is_idle(worker)) {
        finish(worker);
    } else if (late && worker->stage == STAGE_DRAINING) {
        log_warn("worker_drain_over", LOG_INT("drain_ms", worker->options->drain_ms));
        interrupt(worker);
    } else if (late) {
        leave_work(worker);
    }
}

static void drain(struct worker *worker, const char *why)
{
    log_info("worker_draining", LOG_STR("why", why));
    worker->stage = STAGE_DRAINING;
    scoreboard_set_state(SLOT_DRAINING);
    worker->deadline_ms = clock_mono_ms() + worker->options->drain_ms;
    worker->hooks->drain(worker->hooks->ctx);
    uv_timer_start(&worker->tick, on_tick, 0, DRAIN_TICK_MS);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct worker *worker = handle->data;

    switch (worker->stage) {
    case STAGE_SERVING:
        drain(worker, strsignal(number));
        break;
    case STAGE_DRAINING:
        interrupt(worker);
        break;
    case STAGE_INTERRUPTED:
        leave_work(worker);
        break;
    case STAGE_DONE:
        break;
    }
}

static void on_reopen(uv_signal_t *handle, int number)
{
    int error = log_reopen();

    (void)handle;
    (void)number;
    if (error != 0)
        log_error("log_not_reopened", LOG_STR("error", strerror(error)));
}

static void on_parent(uv_poll_t *handle, int status, int events)
{
    struct worker *worker = handle->data;

    (void)status;
    (void)events;
    uv_poll_stop(handle);
    if (worker->stage == STAGE_SERVING)
        drain(worker, "the master has died");
}

/* ---- the loop ---- */

static void watch(struct worker *worker)
{
    bool has_master = worker->options->parent_fd >= 0;

    for (size_t i = 0; i < STOP_SIGNALS; i++) {
        uv_signal_init(&worker->loop, &worker->signals[i]);
        worker->signals[i].data = worker;
        /* Ctrl-C reaches the master too, who passes it on as SIGTERM: together they would count as two. */
        if (has_master && stop_signals[i] != SIGTERM)
            signal(stop_signals[i], SIG_IGN);
        else
            uv_signal_start(&worker->signals[i], on_signal, stop_signals[i]);
    }
    uv_signal_init(&worker->loop, &worker->reopen);
    uv_signal_start(&worker->reopen, on_reopen, SIGUSR1);
    uv_timer_init(&worker->loop, &worker->tick);
    uv_timer_init(&worker->loop, &worker->beat);
    worker->tick.data = worker->beat.data = worker;
    if (!has_master)
        return;
    /* Meant for the master; a terminal that closes tells everybody. */
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    uv_poll_init(&worker->loop, &worker->parent, worker->options->parent_fd);
    worker->parent.data = worker;
    uv_poll_start(&worker->parent, UV_READABLE | UV_DISCONNECT, on_parent);
}

static void close_any(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* What `stop` has closed needs turns of the loop to be gone; after that only our own handles are left. */
static void close_loop(struct worker *worker)
{
    uv_run(&worker->loop, UV_RUN_NOWAIT);
    uv_walk(&worker->loop, close_any, NULL);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    uv_loop_close(&worker->loop);
}

int worker_run(const struct worker_options *options, const struct worker_hooks *hooks)
{
    struct worker worker = { .options = options, .hooks = hooks };
    int status = 0;
    int error;

    prepare_process(options);
    if (!worker_can_have_threads(options->request_threads))
        return WORKER_CANNOT_START;
    error = uv_loop_init(&worker.loop);
    if (error != 0) {
        log_error("worker_failed", LOG_STR("error", uv_strerror(error)));
        return WORKER_CANNOT_START;
    }
    start_request_threads(&worker);
    watch(&worker);
    if (hooks->start(hooks->ctx, &worker.loop)) {
        start_beating(&worker);
        uv_run(&worker.loop, UV_RUN_DEFAULT);
        if (worker.left_work) /* a request thread may be anywhere: nothing can be closed under it */
            return 1;
        hooks->stop(hooks->ctx);
    } else {
        worker.stage = STAGE_DONE; /* a signal that came meanwhile finds nothing to drain */
        status = WORKER_CANNOT_START;
    }
    close_loop(&worker);
    return status;
}
