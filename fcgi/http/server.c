/*
 * server: connections of the web server, from accept to close.
 *
 * A connection is always in one named stage, and moves along one line:
 *
 *   idle -> receiving -> running -> ending -> idle (kept), lingering or closed
 *
 * idle and receiving are watched for bytes, which fcgi_peek judges as they come; running has its request
 * on a request thread or with an endpoint on the loop, and nobody here looks at the socket; ending waits, only
 * if it must, for the room to write END_REQUEST; lingering is the way out of a body that was too long to be
 * read to its end: closing at once would break the web server's sending, and it would report that instead of
 * our 413.
 *
 * One timer looks after the deadlines of all; it runs only while there are any. Accepting is one connection
 * per turn of the loop, so that a burst spreads over the workers.
 *
 * All of it runs on the loop, but on_request.
 */
#include "fcgi/http/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "fcgi/app.h"
#include "fcgi/http/body_limit.h"
#include "fcgi/http/fcgi_peek.h"
#include "fcgi/http/intake.h"
#include "fcgi/http/transport.h"
#include "fcgi/http/transport_fcgi.h"

#define KEPT_IDLE_MS    (75 * 1000) /* longer than the 60 s after which nginx closes one itself */
#define ACCEPT_PAUSE_MS 100         /* after EMFILE and its like */
#define SWEEP_MS        250         /* how exact the deadlines are */
#define DRAIN_FRESH_MS  1000        /* for a request that was on its way when draining began */
#define LINGER_MS       5000 /* for the web server to get rid of a body that we do not want */
#define RECEIVING_MAX   (64u * 1024 * 1024) /* requests that are not whole yet, all together */
#define SPOOLED_MAX     16 /* uploads of the longest size that may be coming in at the same time */
#define RECEIVE_SIZE    (64 * 1024)

enum stage { STAGE_IDLE, STAGE_RECEIVING, STAGE_RUNNING, STAGE_ENDING, STAGE_LINGERING };

struct connection {
    uv_poll_t poll;
    uv_work_t work;
    struct server *server;
    struct connection *prev, *next;
    int fd;
    enum stage stage;
    bool served;         /* has had a request before: idle is its normal state */
    int64_t deadline_ms; /* monotonic; of every stage but running */
    int64_t accepted_us; /* first byte of the request */
    struct fcgi_peek peek;
    size_t held;    /* memory of peek that is in server->held */
    size_t spooled; /* bytes of its file that are in server->spooled */
    struct transport *transport;
    struct exchange *exchange;
};

struct server {
    struct app *app;
    const struct intake_handler *handler;
    int listen_fd;
    uv_poll_t listener;
    uv_timer_t pause;
    uv_timer_t sweep;
    struct connection *connections;
    size_t count, max;
    size_t held;    /* memory of all requests until a request thread has taken them */
    size_t spooled; /* bytes of their files */
    bool full;      /* logged */
    bool draining;
    bool closed;
    bool accept_failing; /* logged */
    unsigned handles;    /* of the three above, not closed yet */
    unsigned char received[RECEIVE_SIZE];
};

static void on_listener(uv_poll_t *poll, int status, int events);
static void on_sweep(uv_timer_t *timer);
static void connection_read(struct connection *connection);
static void connection_end(struct connection *connection);

static void server_free_when_done(struct server *server)
{
    if (server->closed && server->handles == 0 && server->connections == NULL)
        free(server);
}

static void resume_accepting(struct server *server)
{
    if (!server->draining && server->count < server->max &&
        !uv_is_active((uv_handle_t *)&server->pause) &&
        !uv_is_active((uv_handle_t *)&server->listener))
        uv_poll_start(&server->listener, UV_READABLE, on_listener);
}

/* ---- a connection's life ---- */

static void set_deadline(struct connection *connection, int64_t after_ms)
{
    struct server *server = connection->server;
    connection->deadline_ms = clock_mono_ms() + after_ms;
    if (!server->closed && !uv_is_active((uv_handle_t *)&server->sweep))
        uv_timer_start(&server->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

static void on_connection_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct server *server = connection->server;
    if (connection->prev != NULL)
        connection->prev->next = connection->next;
    else
        server->connections = connection->next;
    if (connection->next != NULL)
        connection->next->prev = connection->prev;
    free(connection);
    server_free_when_done(server);
}

static size_t held_max(const struct server *server)
{
    return RECEIVING_MAX + 2 * (size_t)server->app->config->max_body_bytes;
}

/* Keep server->held up to date. */
static void account(struct connection *connection)
{
    struct server *server = connection->server;
    size_t held = connection->peek.params.size + connection->peek.body.size;
    server->held += held - connection->held;
    connection->held = held;
    size_t spooled = connection->peek.file >= 0 ? connection->peek.body_len : 0;
    server->spooled += spooled - connection->spooled;
    connection->spooled = spooled;
    if (server->held < held_max(server) / 2)
        server->full = false;
}

static void connection_close(struct connection *connection)
{
    fcgi_peek_free(&connection->peek);
    account(connection);
    uv_close((uv_handle_t *)&connection->poll, on_connection_closed);
    close(connection->fd);
    connection->server->count--;
    resume_accepting(connection->server);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct connection *connection = poll->data;
    (void)status; /* an error shows at the next read or write */
    (void)events;
    if (connection->stage == STAGE_ENDING)
        connection_end(connection);
    else
        connection_read(connection);
}

static void watch(struct connection *connection, int events)
{
    int rc = uv_poll_start(&connection->poll, events, on_connection);
    if (rc == 0)
        return;
    log_error("watch_failed", LOG_STR("error", uv_strerror(rc)));
    connection->deadline_ms = 0; /* the next sweep closes it */
}

static void park(struct connection *connection)
{
    const struct config *config = connection->server->app->config;
    connection->stage = STAGE_IDLE;
    fcgi_peek_init(&connection->peek, (size_t)config->max_body_bytes);
    connection->peek.asks = (struct fcgi_peek_asks){ .body_max = body_limit_of_params,
                                                     .spill = body_limit_open_file,
                                                     .ctx = (void *)(uintptr_t)config };
    set_deadline(connection, connection->served ? KEPT_IDLE_MS : config->request_timeout_s * 1000);
    watch(connection, UV_READABLE);
}

/* ---- a request's life ---- */

/* A signal on a request thread would make libfcgi take its interrupted write for the end of the stream. */
static void block_signals(void)
{
    static _Thread_local bool blocked;
    static const int own_faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP };
    sigset_t set;
    if (blocked)
        return;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof(own_faults) / sizeof(own_faults[0]); i++)
        sigdelset(&set, own_faults[i]);
    blocked = pthread_sigmask(SIG_BLOCK, &set, NULL) == 0;
}

static void linger(struct connection *connection)
{
    connection->stage = STAGE_LINGERING;
    set_deadline(connection, LINGER_MS);
    watch(connection, UV_READABLE);
}

static void connection_end(struct connection *connection)
{
    bool keep = transport_fcgi_close(connection->transport, true);
    connection->transport = NULL;
    if (keep && !connection->server->draining && !connection->server->closed) {
        connection->served = true;
        park(connection);
        return;
    }
    shutdown(connection->fd, SHUT_WR);
    if (connection->peek.cut && !connection->server->closed)
        linger(connection);
    else
        connection_close(connection);
}

static void on_finished(void *ctx)
{
    struct connection *connection = ctx;
    connection->exchange = NULL;
    connection->stage = STAGE_ENDING;
    if (connection->server->closed || connection->transport->ops->writable(connection->transport)) {
        connection_end(connection);
        return;
    }
    set_deadline(connection, TRANSPORT_SEND_TIMEOUT_MS);
    watch(connection, UV_WRITABLE);
}

/* Request thread. */
static void on_request(uv_work_t *work)
{
    struct connection *connection = work->data;
    struct server *server = connection->server;

    block_signals();
    metrics_gauge_add(METRICS_THREADS_QUEUED, -1);
    metrics_gauge_add(METRICS_THREADS_BUSY, 1);
    if (transport_fcgi_open(&connection->peek, connection->fd, on_finished, connection,
                            &connection->transport) != RESULT_OK)
        return;
    connection->exchange =
        intake_run(server->handler, server->app, connection->transport, connection->accepted_us);
    transport_fcgi_settle(connection->transport);
}

static void on_request_done(uv_work_t *work, int status)
{
    struct connection *connection = work->data;
    (void)status; /* never cancelled */
    metrics_gauge_add(METRICS_THREADS_BUSY, -1);
    account(connection);
    if (connection->exchange != NULL) {
        intake_rest(connection->server->handler, connection->exchange);
        return;
    }
    if (connection->transport != NULL)
        transport_fcgi_close(connection->transport, false);
    connection_close(connection);
}

static void connection_run(struct connection *connection)
{
    uv_poll_stop(&connection->poll);
    connection->stage = STAGE_RUNNING;
    connection->work.data = connection;
    metrics_gauge_add(METRICS_THREADS_QUEUED, 1);
    uv_queue_work(connection->server->app->loop, &connection->work, on_request, on_request_done);
}

/* More to come; not when slow senders together already fill the memory. */
static void connection_wait(struct connection *connection)
{
    struct server *server = connection->server;
    size_t spooled_max = SPOOLED_MAX * (size_t)server->app->config->upload_max_bytes;
    if (server->held <= held_max(server) && server->spooled <= spooled_max)
        return;
    if (!server->full)
        log_warn("receiving_full", LOG_INT("bytes", (int64_t)server->held),
                 LOG_INT("connections", (int64_t)server->count));
    server->full = true;
    connection_close(connection);
}

static void connection_read(struct connection *connection)
{
    struct server *server = connection->server;
    ssize_t n = recv(connection->fd, server->received, sizeof(server->received), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        if (connection->stage == STAGE_RECEIVING)
            log_info("request_aborted", LOG_INT("params", (int64_t)connection->peek.params.len),
                     LOG_INT("body", (int64_t)connection->peek.body.len));
        connection_close(connection);
        return;
    }
    if (connection->stage == STAGE_LINGERING)
        return;
    if (connection->stage == STAGE_IDLE) {
        connection->stage = STAGE_RECEIVING;
        connection->accepted_us = clock_mono_us();
        set_deadline(connection, server->app->config->request_timeout_s * 1000);
    }
    enum fcgi_verdict verdict = fcgi_peek_feed(&connection->peek, server->received, (size_t)n);
    account(connection);
    switch (verdict) {
    case FCGI_INCOMPLETE:
        connection_wait(connection);
        return;
    case FCGI_READY:
        connection_run(connection);
        return;
    case FCGI_MALFORMED:
        log_warn("request_refused", LOG_STR("reason", connection->peek.reason));
        connection_close(connection);
        return;
    }
}

/* ---- deadlines ---- */

/* Whatever stage it is in, but running. */
static void connection_drop(struct connection *connection)
{
    if (connection->stage == STAGE_ENDING)
        transport_fcgi_close(connection->transport, false);
    connection_close(connection);
}

static void connection_expire(struct connection *connection)
{
    if (connection->stage == STAGE_RECEIVING)
        log_warn("request_timeout", LOG_INT("params", (int64_t)connection->peek.params.len),
                 LOG_INT("body", (int64_t)connection->peek.body.len));
    connection_drop(connection);
}

static void on_sweep(uv_timer_t *timer)
{
    struct server *server = timer->data;
    int64_t now = clock_mono_ms();
    bool waiting = false;
    for (struct connection *next, *at = server->connections; at != NULL; at = next) {
        next = at->next;
        if (at->stage == STAGE_RUNNING || uv_is_closing((uv_handle_t *)&at->poll))
            continue;
        waiting = true;
        if (at->deadline_ms <= now)
            connection_expire(at);
    }
    if (!waiting)
        uv_timer_stop(timer);
}

/* ---- accepting ---- */

static void on_pause_over(uv_timer_t *timer)
{
    resume_accepting(timer->data);
}

/* Out of descriptors or memory: the listener would be readable again at once. */
static void accept_failed(struct server *server, int error)
{
    if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
        return;
    if (!server->accept_failing)
        log_error("accept_failed", LOG_STR("error", strerror(error)),
                  LOG_INT("connections", (int64_t)server->count));
    server->accept_failing = true;
    uv_poll_stop(&server->listener);
    uv_timer_start(&server->pause, on_pause_over, ACCEPT_PAUSE_MS, 0);
}

/*
 * Writes block, up to SO_SNDTIMEO: libfcgi knows nothing else. Reads never do (MSG_DONTWAIT), so there is no
 * SO_RCVTIMEO. uv_poll_init makes the descriptor non-blocking, which is undone.
 */
static bool set_up_socket(struct connection *connection)
{
    struct timeval timeout = { .tv_sec = TRANSPORT_SEND_TIMEOUT_MS / 1000 };
    int one = 1;
    int flags = fcntl(connection->fd, F_GETFL);
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* fails on unix */
    return flags >= 0 && fcntl(connection->fd, F_SETFL, flags & ~O_NONBLOCK) == 0 &&
           setsockopt(connection->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0;
}

static void connection_open(struct server *server, int fd)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    int rc =
        connection == NULL ? UV_ENOMEM : uv_poll_init(server->app->loop, &connection->poll, fd);
    if (rc != 0) {
        log_error("connection_failed", LOG_STR("error", uv_strerror(rc)));
        free(connection);
        close(fd);
        return;
    }
    connection->poll.data = connection;
    connection->server = server;
    connection->fd = fd;
    connection->next = server->connections;
    if (connection->next != NULL)
        connection->next->prev = connection;
    server->connections = connection;
    server->count++;
    if (set_up_socket(connection)) {
        park(connection);
        return;
    }
    log_error("connection_failed", LOG_STR("error", strerror(errno)));
    connection_close(connection);
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;
    (void)events;
    /* accept(2): a NULL address asks for none. */
    /* cppcheck-suppress nullPointer */
    int fd = status < 0 ? -1 : accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        accept_failed(server, status < 0 ? -status : errno);
        return;
    }
    server->accept_failing = false;
    connection_open(server, fd);
    if (server->count < server->max)
        return;
    log_warn("connections_full", LOG_INT("max", (int64_t)server->max));
    uv_poll_stop(&server->listener);
}

/* ---- the server ---- */

enum result server_open_with(struct app *app, int listen_fd, const struct intake_handler *handler,
                             struct server **out)
{
    struct server *server = NULL;
    int flags = fcntl(listen_fd, F_GETFL);
    if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(listen_fd, F_SETFD, FD_CLOEXEC) != 0 || transport_fcgi_init() != RESULT_OK)
        return RESULT_INTERNAL;
    server = calloc(1, sizeof(*server));
    if (server == NULL || uv_poll_init(app->loop, &server->listener, listen_fd) != 0) {
        free(server);
        return RESULT_INTERNAL;
    }
    server->app = app;
    server->handler = handler;
    server->listen_fd = listen_fd;
    /* Each stream has one; kept connections and those still sending come on top. */
    server->max = 4 * (size_t)app->config->max_streams + 64;
    uv_timer_init(app->loop, &server->pause);
    uv_timer_init(app->loop, &server->sweep);
    server->listener.data = server->pause.data = server->sweep.data = server;
    server->handles = 3;
    resume_accepting(server);
    *out = server;
    return RESULT_OK;
}

enum result server_open(struct app *app, int listen_fd, struct server **out)
{
    return server_open_with(app, listen_fd, &intake_default, out);
}

/* A connection without a byte: a kept one can go; on a new one a request is on its way, for a moment. */
static void drain_idle(struct connection *connection)
{
    if (connection->served)
        connection_close(connection);
    else
        set_deadline(connection, DRAIN_FRESH_MS);
}

void server_stop_accepting(struct server *server)
{
    if (server->draining)
        return;
    server->draining = true;
    uv_poll_stop(&server->listener);
    uv_timer_stop(&server->pause);
    for (struct connection *next, *at = server->connections; at != NULL; at = next) {
        next = at->next;
        if (at->stage == STAGE_IDLE && !uv_is_closing((uv_handle_t *)&at->poll))
            drain_idle(at);
    }
}

size_t server_busy(const struct server *server)
{
    size_t busy = 0;
    for (const struct connection *at = server->connections; at != NULL; at = at->next) {
        bool waits = at->stage == STAGE_LINGERING || (at->stage == STAGE_IDLE && !server->draining);
        if (!waits && !uv_is_closing((const uv_handle_t *)&at->poll))
            busy++;
    }
    return busy;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct server *server = handle->data;
    server->handles--;
    server_free_when_done(server);
}

void server_close(struct server *server)
{
    if (server == NULL)
        return;
    server_stop_accepting(server);
    server->closed = true;
    for (struct connection *next, *at = server->connections; at != NULL; at = next) {
        next = at->next;
        if (at->stage == STAGE_RUNNING)
            shutdown(at->fd, SHUT_RDWR);
        else if (!uv_is_closing((uv_handle_t *)&at->poll))
            connection_drop(at);
    }
    uv_close((uv_handle_t *)&server->listener, on_handle_closed);
    uv_close((uv_handle_t *)&server->pause, on_handle_closed);
    uv_close((uv_handle_t *)&server->sweep, on_handle_closed);
}
