/*
 * exchange: the frame around one request: gate, handler, and in the end one log line and the end of the
 * transport. What happens in between is the endpoint's.
 *
 * exchange_run belongs to a request thread, exchange_finish to the loop; the exchange itself is never
 * seen by two threads at once, so nothing here locks.
 */
#include "fcgi/http/exchange.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "fcgi/http/gate.h"
#include "fcgi/http/router.h"
#include "fcgi/http/transport.h"

void exchange_run(struct exchange *exchange)
{
    exchange->started_us = clock_mono_us();
    if (!gate_pass(exchange))
        return;
    exchange->route->handle(exchange);
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
    struct log_field fields[12];
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
    fields[n++] = LOG_STR("outcome", outcome_of(exchange));
    if (exchange->response.code[0] != '\0')
        fields[n++] = LOG_STR("code", exchange->response.code);
    fields[n] = (struct log_field){ 0 };
    log_write(LOG_INFO, "request", fields);
}

void exchange_finish(struct exchange *exchange)
{
    struct transport *transport = exchange->transport;
    log_request(exchange, clock_mono_us());
    response_free(&exchange->response);
    request_free(&exchange->request);
    free(exchange);
    transport->ops->finish(transport);
}
