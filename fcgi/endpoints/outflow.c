/*
 * outflow: see outflow.h. One watcher and one slow timer per flow; both must be closed before the memory goes.
 * Loop thread.
 */
#include "fcgi/endpoints/outflow.h"

#include <stdlib.h>
#include <uv.h>

#include "common/base/buf.h"
#include "common/base/caps.h"
#include "common/base/clock.h"
#include "fcgi/app.h"
#include "fcgi/http/exchange.h"
#include "fcgi/http/transport.h"

#define TICK_MS   250
#define STALL_MS  (60 * 1000) /* a client that takes nothing for this long has left */
#define CAP_QUEUE (96u * 1024 * 1024)

struct outflow {
    struct exchange *exchange;
    const struct outflow_handler *handler;
    void *ctx;
    struct outflow *next, *prev; /* of the process */
    struct buf queue;
    uv_poll_t watch;
    uv_timer_t tick;
    unsigned handles;
    bool watching, lagging;
    bool was_full; /* since the queue was empty last */
    bool ending;   /* outflow_end was called */
    bool over;
    const char *outcome;
    int64_t put_ms, moved_ms; /* monotonic */
};

static void on_closed(uv_handle_t *handle)
{
    struct outflow *flow = handle->data;

    if (--flow->handles > 0)
        return;
    buf_free(&flow->queue);
    free(flow);
}

static void unlink_flow(struct outflow *flow)
{
    if (flow->prev != NULL)
        flow->prev->next = flow->next;
    else
        flow->exchange->app->outflows = flow->next;
    if (flow->next != NULL)
        flow->next->prev = flow->prev;
}

static void finish(struct outflow *flow, const char *outcome)
{
    if (flow->over)
        return;
    flow->over = true;
    unlink_flow(flow);
    if (flow->watching)
        uv_close((uv_handle_t *)&flow->watch, on_closed);
    uv_close((uv_handle_t *)&flow->tick, on_closed);
    flow->exchange->outcome = outcome;
    exchange_finish(flow->exchange);
}

static void leave(struct outflow *flow)
{
    if (flow->over)
        return;
    if (!flow->ending)
        flow->handler->gone(flow->ctx);
    finish(flow, "client_gone");
}

static bool is_gone(const struct outflow *flow)
{
    return flow->exchange->response.gone;
}

static void watch(struct outflow *flow);

/* As much as the socket takes. */
static void push(struct outflow *flow)
{
    struct response *response = &flow->exchange->response;

    while (flow->queue.len > 0 && !is_gone(flow) && response_writable(response)) {
        size_t len = flow->queue.len < CAP_FLUSH ? flow->queue.len : CAP_FLUSH;

        response_stream(response, flow->queue.data, len);
        buf_drop(&flow->queue, len);
        flow->moved_ms = clock_mono_ms();
    }
    if (flow->lagging == (flow->queue.len > 0))
        return;
    flow->lagging = flow->queue.len > 0;
    watch(flow);
}

/* What follows from a queue that moved; not from inside outflow_put. */
static void settle(struct outflow *flow)
{
    if (flow->over)
        return;
    if (is_gone(flow)) {
        leave(flow);
        return;
    }
    if (flow->queue.len > 0)
        return;
    if (flow->ending) {
        finish(flow, flow->outcome);
        return;
    }
    if (flow->was_full && flow->handler->drained != NULL) {
        flow->was_full = false;
        flow->handler->drained(flow->ctx);
    }
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct outflow *flow = poll->data;
    struct transport *transport = flow->exchange->transport;

    (void)events;
    if (status < 0 || transport->ops->hung_up(transport)) {
        leave(flow);
        return;
    }
    push(flow);
    settle(flow);
    if (!flow->over)
        watch(flow);
}

static void on_hang_up(void *ctx)
{
    leave(ctx);
}

/* (Re)arm the watcher: hang-up always, room to write while lagging. */
static void watch(struct outflow *flow)
{
    struct transport *transport = flow->exchange->transport;
    int events = 0;
    int fd = transport->ops->watch_fd(transport, &events);

    if (fd < 0)
        return;
    if (!flow->watching) {
        if (uv_poll_init(flow->exchange->app->loop, &flow->watch, fd) != 0)
            return;
        flow->watch.data = flow;
        flow->watching = true;
        flow->handles++;
    }
    uv_poll_start(&flow->watch, events | (flow->lagging ? UV_WRITABLE : 0), on_socket);
}

static void on_tick(uv_timer_t *timer)
{
    struct outflow *flow = timer->data;

    push(flow); /* where nothing can be watched, this is what goes on */
    if (flow->lagging && clock_mono_ms() - flow->moved_ms >= STALL_MS) {
        leave(flow);
        return;
    }
    settle(flow);
    if (!flow->over && !flow->ending && flow->handler->tick != NULL)
        flow->handler->tick(flow->ctx);
}

struct outflow *outflow_open(struct exchange *exchange, const struct outflow_handler *handler,
                             void *ctx)
{
    struct outflow *flow = calloc(1, sizeof *flow);

    if (flow == NULL)
        return NULL;
    flow->exchange = exchange;
    flow->handler = handler;
    flow->ctx = ctx;
    flow->put_ms = flow->moved_ms = clock_mono_ms();
    buf_init(&flow->queue, CAP_QUEUE);
    uv_timer_init(exchange->app->loop, &flow->tick);
    flow->tick.data = flow;
    flow->handles = 1;
    uv_timer_start(&flow->tick, on_tick, TICK_MS, TICK_MS);
    flow->next = exchange->app->outflows;
    if (flow->next != NULL)
        flow->next->prev = flow;
    exchange->app->outflows = flow;
    exchange->transport->hang_up = on_hang_up;
    exchange->transport->hang_up_ctx = flow;
    watch(flow);
    return flow;
}

void outflow_put(struct outflow *flow, const char *bytes, size_t len)
{
    if (is_gone(flow))
        return;
    if (flow->queue.len == 0)
        flow->moved_ms = clock_mono_ms();
    if (!buf_put(&flow->queue, bytes, len))
        flow->exchange->response.gone = true; /* half a stream is worse than none */
    flow->put_ms = clock_mono_ms();
    push(flow);
    if (flow->queue.len > OUTFLOW_HIGH)
        flow->was_full = true;
}

bool outflow_full(const struct outflow *flow)
{
    return flow->was_full;
}

int64_t outflow_silence_ms(const struct outflow *flow)
{
    return clock_mono_ms() - flow->put_ms;
}

void outflow_end(struct outflow *flow, const char *outcome)
{
    flow->ending = true;
    flow->outcome = outcome;
    if (flow->queue.len == 0 || is_gone(flow))
        finish(flow, is_gone(flow) ? "client_gone" : outcome);
}

void outflow_end_all(struct app *app)
{
    while (app->outflows != NULL)
        leave(app->outflows);
}
