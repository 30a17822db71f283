/*
 * serve: glue between the processes (fcgi/process), who know nothing of HTTP, and the application with its
 * HTTP server, who know nothing of processes.
 *
 * In the master only the descriptors of struct serve are used; everything else is opened in the worker, after
 * fork, by start().
 */
#include "fcgi/serve.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "common/answers.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/config.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/outflow.h"
#include "fcgi/detached.h"
#include "fcgi/http/server.h"
#include "fcgi/http/transport_cgi.h"
#include "fcgi/process/listen.h"
#include "fcgi/process/master.h"
#include "fcgi/process/worker.h"
#include "fcgi/upkeep.h"

#define WORKERS_LEAST 2

struct serve {
    const struct config *config;
    int fds[SERVE_MAX_SOCKETS];
    size_t count;
    int64_t started_ms; /* wall clock */

    struct app app;
    struct server *servers[SERVE_MAX_SOCKETS];
    struct upkeep *upkeep;
};

/* ---- the worker's hooks ---- */

static void close_servers(struct serve *serve)
{
    for (size_t i = 0; i < serve->count; i++) {
        if (serve->servers[i] != NULL)
            server_close(serve->servers[i]);
        serve->servers[i] = NULL;
    }
}

static bool start(void *ctx, uv_loop_t *loop)
{
    struct serve *serve = ctx;
    struct fault fault = { 0 };

    if (app_open(&serve->app, serve->config, loop, serve->started_ms, &fault) != RESULT_OK) {
        log_error("start_failed", LOG_STR("code", fault.code), LOG_STR("error", fault.text));
        return false;
    }
    for (size_t i = 0; i < serve->count; i++) {
        enum result result = server_open(&serve->app, serve->fds[i], &serve->servers[i]);
        if (result != RESULT_OK) {
            log_error("start_failed", LOG_STR("code", "server_open"),
                      LOG_STR("error", result_name(result)));
            close_servers(serve);
            app_close(&serve->app);
            return false;
        }
    }
    serve->upkeep = upkeep_open(loop, &serve->app);
    log_info("worker_serving", LOG_STR("provider", serve->app.providers.list[0].name),
             LOG_INT("request_threads", serve->config->request_threads),
             LOG_INT("max_streams", serve->config->max_streams));
    return true;
}

static void drain(void *ctx)
{
    struct serve *serve = ctx;

    for (size_t i = 0; i < serve->count; i++)
        server_stop_accepting(serve->servers[i]);
    upkeep_close(serve->upkeep);
    serve->upkeep = NULL;
}

static bool idle(void *ctx)
{
    struct serve *serve = ctx;
    size_t busy = 0;

    for (size_t i = 0; i < serve->count; i++)
        busy += server_busy(serve->servers[i]);
    return busy == 0 && serve->app.turns == 0 && answers_idle(serve->app.answers);
}

static void interrupt(void *ctx)
{
    struct serve *serve = ctx;

    outflow_end_all(&serve->app);
    answers_interrupt_all(serve->app.answers);
}

static void stop(void *ctx)
{
    struct serve *serve = ctx;

    close_servers(serve);
    app_close(&serve->app);
}

static int run_worker(void *ctx, int parent_fd)
{
    struct serve *serve = ctx;
    struct worker_options options = {
        .drain_ms = serve->config->drain_s * 1000,
        .request_threads = serve->config->request_threads,
        .parent_fd = parent_fd,
    };
    struct worker_hooks hooks = { .start = start,
                                  .drain = drain,
                                  .idle = idle,
                                  .interrupt = interrupt,
                                  .stop = stop,
                                  .ctx = serve };

    return worker_run(&options, &hooks);
}

/* ---- the master's side ---- */

static void close_sockets(void *ctx)
{
    struct serve *serve = ctx;

    for (size_t i = 0; i < serve->count; i++) {
        if (serve->fds[i] >= 0)
            close(serve->fds[i]);
        serve->fds[i] = -1;
    }
}

static int worker_count(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t wanted = config->workers > 0 ? config->workers : cores;

    if (config->workers == 0 && wanted < WORKERS_LEAST)
        wanted = WORKERS_LEAST;
    return wanted > MASTER_MAX_WORKERS ? MASTER_MAX_WORKERS : (int)wanted;
}

static int run_master(struct serve *serve)
{
    struct master_options options = {
        .workers = worker_count(serve->config),
        .drain_ms = serve->config->drain_s * 1000,
        .run = run_worker,
        .stopping = close_sockets,
        .ctx = serve,
    };

    return master_run(&options);
}

static void init(struct serve *serve, const struct config *config)
{
    memset(serve, 0, sizeof(*serve));
    serve->config = config;
    serve->started_ms = clock_wall_ms();
}

int serve_address(const struct config *config, const char *address)
{
    struct fault fault = { 0 };
    struct serve serve;
    int status;

    init(&serve, config);
    if (listen_open(address, &serve.fds[0], &fault) != RESULT_OK) {
        fprintf(stderr, "parley: %s\n", fault.text);
        return 1;
    }
    serve.count = 1;
    log_info("listening", LOG_STR("address", address));
    status = run_master(&serve);
    close_sockets(&serve);
    listen_unlink(address);
    return status;
}

int serve_inherited(const struct config *config, const int *fds, size_t count, bool alone)
{
    struct serve serve;
    int status;

    init(&serve, config);
    serve.count = count;
    memcpy(serve.fds, fds, count * sizeof(fds[0]));
    if (!alone || config_is_set(config, "WORKERS"))
        return run_master(&serve);
    status = run_worker(&serve, -1);
    return status == WORKER_CANNOT_START ? 1 : status;
}

/* ---- plain CGI ---- */

static const char cgi_cannot_start[] =
    "Status: 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 10\r\n\r\n"
    "{\"error\":\"The chat service cannot start; its log says why.\",\"code\":\"cannot_start\","
    "\"status\":\"error\"}\n";

void serve_cgi_refuse(void)
{
    fputs(cgi_cannot_start, stdout);
    fflush(stdout);
}

struct cgi {
    struct app app;
    uv_loop_t loop;
    uv_signal_t term;
    bool told_to_end;
};

static void on_cgi_term(uv_signal_t *handle, int number)
{
    struct cgi *cgi = handle->data;

    (void)number;
    cgi->told_to_end = true;
}

/*
 * The request is over, but its answer may go on without a reader for DISCONNECT_GRACE_SECONDS; not so when the
 * web server has sent SIGTERM, because SIGKILL comes next.
 */
static void cgi_finish_answers(struct cgi *cgi)
{
    bool interrupted = false;

    while (answers_count(cgi->app.answers) > 0 || cgi->app.turns > 0 || cgi->loop.active_reqs.count > 0) {
        if (cgi->told_to_end && !interrupted) {
            interrupted = true;
            answers_interrupt_all(cgi->app.answers);
        }
        uv_run(&cgi->loop, UV_RUN_ONCE);
    }
}

int serve_cgi(const struct config *config)
{
    struct fault fault = { 0 };
    struct cgi cgi = { .told_to_end = false };
    int status;

    if (uv_loop_init(&cgi.loop) != 0 ||
        app_open(&cgi.app, config, &cgi.loop, clock_wall_ms(), &fault) != RESULT_OK) {
        log_error("start_failed", LOG_STR("code", fault.code), LOG_STR("error", fault.text));
        serve_cgi_refuse();
        return 1;
    }
    cgi.app.answer_detached = detached_spawn;
    uv_signal_init(&cgi.loop, &cgi.term);
    cgi.term.data = &cgi;
    uv_signal_start(&cgi.term, on_cgi_term, SIGTERM);

    status = transport_cgi_serve(&cgi.app);
    cgi_finish_answers(&cgi);
    /* After SIGTERM, too, which lighttpd sends whenever the client has closed: it is short. */
    upkeep_run_once(&cgi.app);
    app_close(&cgi.app);
    uv_close((uv_handle_t *)&cgi.term, NULL);
    uv_run(&cgi.loop, UV_RUN_DEFAULT);
    uv_loop_close(&cgi.loop);
    return status;
}
