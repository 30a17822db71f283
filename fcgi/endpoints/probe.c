/*
 * probe: GET /api/probe, for `parley doctor`: what of a request arrives here, and ?stream: ten pieces, one each
 * 100 ms, so that whoever reads them can tell whether something on the way holds them back. It asks no store
 * and no model, and tells a client only what it has sent itself.
 *
 * ?stream goes on on the loop, by a timer; the rest is on a request thread.
 */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/exchange.h"

#define PIECES   10
#define EVERY_MS 100
#define MOST     20 /* streams at the same time; they cost little, but ask nothing of the asker */
#define CAP_BODY 8192

struct probe {
    uv_timer_t timer;
    struct exchange *exchange;
    int64_t started_us;
    int sent;
};

static unsigned running; /* loop thread only */

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void probe_end(struct probe *probe)
{
    running--;
    probe->exchange->outcome = "probed";
    exchange_finish(probe->exchange);
    uv_close((uv_handle_t *)&probe->timer, on_closed);
}

static void on_piece(uv_timer_t *timer)
{
    struct probe *probe = timer->data;
    struct response *response = &probe->exchange->response;
    struct buf frame;

    buf_init(&frame, 256);
    buf_putf(&frame, "data: {\"piece\":%d,\"at_ms\":%lld}\n\n", probe->sent,
             (long long)((clock_mono_us() - probe->started_us) / 1000));
    if (!response_writable(response) ||
        response_stream(response, frame.data, frame.len) != RESULT_OK || ++probe->sent == PIECES)
        probe_end(probe);
    buf_free(&frame);
}

static void probe_begin(struct exchange *exchange)
{
    struct probe *probe = running < MOST ? calloc(1, sizeof *probe) : NULL;
    struct fault fault;

    if (probe == NULL) {
        fault_set(&fault, RESULT_OVERLOADED, "overloaded", NULL,
                  "Too many probes at the same time. Please try again in a moment.");
        fault.retry_after_s = 2;
        response_fault(&exchange->response, &fault);
        exchange_finish(exchange);
        return;
    }
    if (response_begin_stream(&exchange->response, 200, RESPONSE_TYPE_SSE) != RESULT_OK) {
        free(probe);
        exchange_finish(exchange);
        return;
    }
    running++;
    probe->exchange = exchange;
    probe->started_us = clock_mono_us();
    uv_timer_init(exchange->app->loop, &probe->timer);
    probe->timer.data = probe;
    uv_timer_start(&probe->timer, on_piece, 0, EVERY_MS);
}

/* By a proxy in front of the web server; Caddy itself names its peer there, whose address we have. */
static bool is_forwarded(const struct exchange *exchange)
{
    const char *hops = request_header(&exchange->request, "X-Forwarded-For");

    return request_header(&exchange->request, "Forwarded") != NULL ||
           (hops != NULL && strcmp(hops, exchange->peer.address) != 0);
}

static void reply_facts(struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    struct buf body;

    buf_init(&body, CAP_BODY);
    buf_putc(&body, '{');
    json_put_member(&body, "address", exchange->peer.address);
    json_put_member_bool(&body, "forwarded", is_forwarded(exchange));
    json_put_member_bool(&body, "believed", exchange->peer.trusted);
    json_put_member_bool(&body, "authorization", request_header(request, "Authorization") != NULL);
    json_put_member_bool(&body, "https", exchange->peer.https);
    json_put_member(&body, "base", request->base);
    buf_putc(&body, '}');
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
}

void endpoint_probe(struct exchange *exchange)
{
    if (strncmp(exchange->request.query, "stream", 6) == 0)
        exchange->on_loop = probe_begin;
    else
        reply_facts(exchange);
}
