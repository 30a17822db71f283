/*
 * status: GET /status (a page; ?json) and GET /metrics (Prometheus), for STATUS_ALLOW, and for whoever brings an
 * API key that ADMIN_KEYS names.
 *
 * By default the first is this machine. Behind a web proxy on the same machine every visitor comes from it, so a
 * request that says it was forwarded, by somebody whom Parley does not believe, has no address here.
 *
 * Request thread.
 */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/net.h"
#include "common/config.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/exchange.h"
#include "fcgi/http/identity.h"
#include "fcgi/process/status.h"

static bool came_through_a_stranger(const struct exchange *exchange)
{
    static const char *const headers[] = { "X-Forwarded-For", "Forwarded", "X-Real-IP" };

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (!exchange->peer.trusted && request_header(&exchange->request, headers[i]) != NULL)
            return true;
    }
    return false;
}

static bool is_allowed_address(const struct exchange *exchange)
{
    struct net_list list;

    return net_list_parse(exchange->app->config->status_allow, &list) &&
           net_list_has(&list, exchange->peer.address) && !came_through_a_stranger(exchange);
}

static bool is_admin_key(const struct exchange *exchange)
{
    const char *list = exchange->app->config->admin_keys;
    char name[CAP_ID];

    while (exchange->owner.kind == OWNER_KEY && config_list_next(&list, name, sizeof name)) {
        if (strcmp(name, exchange->owner.id) == 0)
            return true;
    }
    return false;
}

static bool may_see(struct exchange *exchange)
{
    struct fault fault;

    if (is_allowed_address(exchange))
        return true;
    if (identity_find(exchange, false, &fault) == RESULT_OK) {
        if (is_admin_key(exchange))
            return true;
        fault_set(&fault, RESULT_FORBIDDEN, "not_allowed_here", NULL,
                  "This page is only for the networks of the setting STATUS_ALLOW, and for the API "
                  "keys of ADMIN_KEYS.");
    }
    response_fault(&exchange->response, &fault);
    return false;
}

static bool has_board(struct exchange *exchange)
{
    struct fault fault;

    if (exchange->app->board != NULL)
        return true;
    fault_set(&fault, RESULT_NOT_FOUND, "no_status", NULL,
              "A CGI process ends with its request: there is nothing to show.");
    response_fault(&exchange->response, &fault);
    return false;
}

static void reply(struct exchange *exchange, const char *type, struct buf *body)
{
    struct fault fault;

    if (!body->failed) {
        response_send(&exchange->response, 200, type, buf_str(body), body->len);
    } else {
        fault_set(&fault, RESULT_OVERLOADED, "overloaded", NULL, "The server is out of memory.");
        response_fault(&exchange->response, &fault);
    }
    buf_free(body);
}

void endpoint_status(struct exchange *exchange)
{
    bool as_json = strncmp(exchange->request.query, "json", 4) == 0;
    struct buf body;

    if (!may_see(exchange) || !has_board(exchange))
        return;
    buf_init(&body, STATUS_CAP);
    if (as_json)
        status_put_json(exchange->app->board, &body);
    else
        status_put_html(exchange->app->board, exchange->app->config->app_name, &body);
    reply(exchange, as_json ? RESPONSE_TYPE_JSON : "text/html; charset=utf-8", &body);
}

void endpoint_metrics(struct exchange *exchange)
{
    struct buf body;

    if (!may_see(exchange) || !has_board(exchange))
        return;
    buf_init(&body, STATUS_CAP);
    status_put_prometheus(exchange->app->board, &body);
    reply(exchange, "text/plain; version=0.0.4; charset=utf-8", &body);
}
