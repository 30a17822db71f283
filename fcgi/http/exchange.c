/*
 * exchange: the frame around one request: gate, handler, and in the end its counts, one log line (a second one
 * when it was slow) and the end of the transport. What happens in between is the endpoint's.
 *
 * exchange_run belongs to a request thread, exchange_finish to the loop; the exchange itself is never
 * seen by two threads at once, so nothing here locks.
 */
#include "fcgi/http/exchange.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/config.h"
#include "fcgi/app.h"
#include "fcgi/http/client_hash.h"
#include "fcgi/http/gate.h"
#include "fcgi/http/router.h"
#include "fcgi/http/transport.h"

void exchange_run(struct exchange *exchange)
{
    exchange->started_us = clock_mono_us();
    if (gate_pass(exchange))
        exchange->route->handle(exchange);
    exchange->handled_us = clock_mono_us();
    if (exchange->response.status != 0 || exchange->on_loop != NULL)
        return;

    struct fault fault;
    log_error("no_reply", LOG_STR("request_id", exchange->request.id),
              LOG_STR("route", exchange->route->path));
    fault_set(&fault, RESULT_INTERNAL, "internal", NULL,
              "Something went wrong on the server. The request id helps to find out what.");
    response_fault(&exchange->response, &fault);
}

static double ms_since(int64_t from_us, int64_t until_us)
{
    return (double)(until_us - from_us) / 1000.0;
}

static const char *outcome_of(const struct exchange *exchange)
{
    if (exchange->outcome != NULL)
        return exchange->outcome;
    if (exchange->response.status == 0)
        return "no_reply";
    /* A HEAD of a stream counts as gone, so that nothing more is written; nobody has left. */
    if (exchange->response.gone && exchange->request.method != HTTP_HEAD)
        return "client_gone";
    if (exchange->response.status < 400)
        return "ok";
    return exchange->response.status < 500 ? "refused" : "failed";
}

/* The route's pattern and not the path: paths carry user ids and message ids. */
static void log_request(const struct exchange *exchange, int64_t now_us)
{
    char client[CLIENT_HASH_SIZE];
    struct log_field fields[20];
    size_t n = 0;
    fields[n++] = LOG_STR("request_id", exchange->request.id);
    fields[n++] = LOG_STR("method", http_method_name(exchange->request.method));
    fields[n++] = LOG_STR("route", exchange->route != NULL ? exchange->route->path : NULL);
    fields[n++] = LOG_INT("status", exchange->response.status);
    fields[n++] = LOG_INT("bytes", (int64_t)exchange->response.bytes);
    if (exchange->started_us != 0)
        fields[n++] = LOG_FLOAT("queue_ms", ms_since(exchange->accepted_us, exchange->started_us));
    if (exchange->first_delta_us != 0)
        fields[n++] =
            LOG_FLOAT("first_delta_ms", ms_since(exchange->accepted_us, exchange->first_delta_us));
    fields[n++] = LOG_FLOAT("total_ms", ms_since(exchange->accepted_us, now_us));
    if (exchange->turn.provider != NULL) {
        fields[n++] = LOG_STR("provider", exchange->turn.provider);
        fields[n++] = LOG_STR("model", exchange->turn.model);
        fields[n++] = LOG_INT("prompt_tokens", exchange->turn.prompt_tokens);
        fields[n++] = LOG_INT("completion_tokens", exchange->turn.completion_tokens);
    }
    if (exchange->app != NULL && exchange->peer.address[0] != '\0')
        fields[n++] = LOG_STR(
            "client", client_hash(exchange->app->client_key, exchange->peer.address, client));
    fields[n++] = LOG_STR("outcome", outcome_of(exchange));
    if (exchange->response.code[0] != '\0')
        fields[n++] = LOG_STR("code", exchange->response.code);
    fields[n] = (struct log_field){ 0 };
    log_write(LOG_INFO, "request", fields);
}

/* ---- figures ---- */

static void count_request(const struct exchange *exchange)
{
    const char *route = exchange->route != NULL ? exchange->route->path : "unknown";
    char status[8];

    snprintf(status, sizeof status, "%d", exchange->response.status);
    METRICS_COUNT(METRICS_REQUESTS, 1, { "route", route },
                  { "method", http_method_name(exchange->request.method) }, { "status", status });
    if (exchange->response.code[0] != '\0')
        METRICS_COUNT(METRICS_ERRORS, 1, { "code", exchange->response.code });
    if (exchange->started_us == 0)
        return;
    metrics_time(METRICS_QUEUE, exchange->started_us - exchange->accepted_us);
    metrics_time(METRICS_HANDLER, exchange->handled_us - exchange->started_us);
}

/* What a visitor waited for: the first piece of an answer, or the end of what has none. */
static void log_slow(const struct exchange *exchange, int64_t now_us)
{
    int64_t slow_us = exchange->app != NULL ? exchange->app->config->slow_ms * 1000 : 0;
    int64_t until_us = exchange->first_delta_us != 0 ? exchange->first_delta_us : now_us;
    const struct {
        const char *name;
        int64_t us;
    } stages[] = {
        { "queue", exchange->started_us - exchange->accepted_us },
        { "handler", exchange->handled_us - exchange->started_us },
        { exchange->turn.provider != NULL ? "provider" : "reply", until_us - exchange->handled_us },
    };
    size_t slowest = 0;

    if (slow_us == 0 || exchange->started_us == 0 || until_us - exchange->accepted_us < slow_us)
        return;
    for (size_t i = 1; i < sizeof(stages) / sizeof(stages[0]); i++)
        slowest = stages[i].us > stages[slowest].us ? i : slowest;
    log_warn("slow_request", LOG_STR("request_id", exchange->request.id),
             LOG_STR("route", exchange->route != NULL ? exchange->route->path : NULL),
             LOG_STR("stage", stages[slowest].name),
             LOG_FLOAT("queue_ms", (double)stages[0].us / 1000.0),
             LOG_FLOAT("handler_ms", (double)stages[1].us / 1000.0),
             LOG_FLOAT("answer_ms", (double)stages[2].us / 1000.0),
             LOG_STR("provider", exchange->turn.provider));
}

void exchange_finish(struct exchange *exchange)
{
    struct transport *transport = exchange->transport;
    int64_t now_us = clock_mono_us();

    count_request(exchange);
    log_request(exchange, now_us);
    log_slow(exchange, now_us);
    response_free(&exchange->response);
    request_free(&exchange->request);
    free(exchange);
    transport->ops->finish(transport);
}
