/*
 * intake: the hand-over between transports, which know connections, and exchanges, which know HTTP.
 *
 * intake_run belongs to a request thread, intake_rest to the loop.
 */
#include "fcgi/http/intake.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "fcgi/app.h"
#include "fcgi/http/exchange.h"

const struct intake_handler intake_default = { .run = exchange_run, .finish = exchange_finish };

struct exchange *intake_run(const struct intake_handler *handler, struct app *app,
                            struct transport *transport, int64_t accepted_us)
{
    struct fault fault;
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL) {
        log_error("no_memory", LOG_STR("for", "exchange"));
        return NULL;
    }
    exchange->app = app;
    exchange->transport = transport;
    exchange->accepted_us = accepted_us;
    enum result result = request_read(&exchange->request, transport, app->config, &fault);
    response_init(&exchange->response, transport, &exchange->request);
    if (result == RESULT_OK)
        handler->run(exchange);
    else
        response_fault(&exchange->response, &fault);
    /* Nobody reads it on the loop, and a stream would hold it for a minute. */
    buf_free(&exchange->request.body);
    return exchange;
}

void intake_rest(const struct intake_handler *handler, struct exchange *exchange)
{
    if (exchange->on_loop != NULL)
        exchange->on_loop(exchange);
    else
        handler->finish(exchange);
}
