/*
 * serve: glue between the processes (fcgi/process), who know nothing of HTTP, and the application with its
 * HTTP server, who know nothing of processes. Here is what happens in a worker, and in a CGI process;
 * serve_master.c is the master's side.
 *
 * In the master only the descriptors of struct serve are used; everything else is opened in the worker, after
 * fork, by start().
 */
#include "fcgi/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "common/answers.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/breaker.h"
#include "common/config.h"
#include "common/memory/memory.h"
#include "common/models.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/outflow.h"
#include "fcgi/detached.h"
#include "fcgi/http/server.h"
#include "fcgi/http/transport_cgi.h"
#include "fcgi/process/worker.h"
#include "fcgi/serve_private.h"
#include "fcgi/upkeep.h"

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

    if (app_open_shared(&serve->app, serve->config, loop, serve->started_ms, serve->breakers,
                        &fault) != RESULT_OK) {
        log_error("start_failed", LOG_STR("code", fault.code), LOG_STR("error", fault.text));
        return false;
    }
    serve->app.board = serve->board;
    memcpy(serve->app.client_key, serve->board->client_key, sizeof serve->app.client_key);
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
    if (serve->config->discover_models &&
        models_open(loop, &serve->app.providers, serve->app.store, serve->app.relay,
                    &serve->models) != RESULT_OK)
        log_warn("models_not_discovered", LOG_STR("detail", "out of memory"));
    log_info("worker_serving", LOG_STR("provider", serve->app.providers.list[0].name),
             LOG_INT("request_threads", serve->config->request_threads),
             LOG_INT("max_streams", serve->config->max_streams));
    return true;
}

/* Somebody else may want the address while we drain. The number stays taken, because the loop knows it still. */
static void let_go_of(int socket)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup3(null, socket, O_CLOEXEC) < 0)
        log_warn("socket_not_closed", LOG_STR("error", strerror(errno)));
    if (null >= 0)
        close(null);
}

static void drain(void *ctx)
{
    struct serve *serve = ctx;

    for (size_t i = 0; i < serve->count; i++) {
        server_stop_accepting(serve->servers[i]);
        let_go_of(serve->fds[i]);
    }
    upkeep_close(serve->upkeep);
    serve->upkeep = NULL;
}

static size_t busy_requests(const struct serve *serve)
{
    size_t busy = 0;

    for (size_t i = 0; i < serve->count; i++)
        busy += serve->servers[i] != NULL ? server_busy(serve->servers[i]) : 0;
    return busy;
}

static void beat(void *ctx)
{
    struct serve *serve = ctx;

    scoreboard_set_load((int64_t)answers_count(serve->app.answers), (int64_t)busy_requests(serve));
}

static bool idle(void *ctx)
{
    struct serve *serve = ctx;

    return busy_requests(serve) == 0 && serve->app.turns == 0 && answers_idle(serve->app.answers) &&
           memory_idle(serve->app.memory) && models_idle(serve->models);
}

static void interrupt(void *ctx)
{
    struct serve *serve = ctx;

    outflow_end_all(&serve->app);
    answers_interrupt_all(serve->app.answers);
}

static void left(void *ctx)
{
    struct serve *serve = ctx;

    answers_abandon(serve->app.answers);
}

static void stop(void *ctx)
{
    struct serve *serve = ctx;

    close_servers(serve);
    models_close(serve->models);
    serve->models = NULL;
    app_close(&serve->app);
}

int serve_run_worker(void *ctx, int parent_fd)
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
                                  .ctx = serve,
                                  .beat = beat,
                                  .left = left };

    if (serve->pid_fd >= 0)
        close(serve->pid_fd);
    if (!privileges_drop(&serve->privileges))
        return WORKER_CANNOT_START;
    return worker_run(&options, &hooks);
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

    while (answers_count(cgi->app.answers) > 0 || cgi->app.turns > 0 ||
           cgi->loop.active_reqs.count > 0) {
        if (cgi->told_to_end && !interrupted) {
            interrupted = true;
            answers_interrupt_all(cgi->app.answers);
        }
        uv_run(&cgi->loop, UV_RUN_ONCE);
    }
}

/*
 * What is being learned or forgotten has deadlines of its own, and is not given up for a SIGTERM: lighttpd sends one after
 * every reply.
 */
static void cgi_finish_memory(struct cgi *cgi)
{
    while (!memory_idle(cgi->app.memory) || cgi->loop.active_reqs.count > 0)
        uv_run(&cgi->loop, UV_RUN_ONCE);
}

/* Of the store's jobs of one request; libuv would start four. */
#define CGI_THREADS "2"

int serve_cgi(const struct config *config)
{
    struct fault fault = { 0 };
    struct cgi cgi = { .told_to_end = false };
    int status;

    setenv("UV_THREADPOOL_SIZE", CGI_THREADS, 0);
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
    cgi_finish_memory(&cgi);
    app_close(&cgi.app);
    uv_close((uv_handle_t *)&cgi.term, NULL);
    uv_run(&cgi.loop, UV_RUN_DEFAULT);
    uv_loop_close(&cgi.loop);
    return status;
}
