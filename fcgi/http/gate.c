/*
 * gate: every check that comes before a handler, in one order for all rows of the table: capacity,
 * origin/CORS, method, auth, body. Before all of them: where the request comes from, and whether http will
 * do. The router is asked first, because the row says which checks there are.
 *
 * CORS headers are put on the response before anything can be refused: a page on a listed site shall
 * be able to read why. A preflight is answered here and costs neither a store nor a stream's place.
 *
 * Runs on a request thread. Neighbours: router finds the row, peer and origin compare, identity says who asks,
 * response replies.
 */
#include "fcgi/http/gate.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/answers.h"
#include "common/base/id.h"
#include "common/base/text.h"
#include "common/config.h"
#include "fcgi/app.h"
#include "fcgi/http/exchange.h"
#include "fcgi/http/identity.h"
#include "fcgi/http/origin.h"
#include "fcgi/http/plain.h"
#include "fcgi/http/router.h"
#include "fcgi/http/transport.h"

#define OVERLOADED_RETRY_S 5
#define CAP_LOCATION       2048

/* What the steps look at and hand on. */
struct passage {
    struct exchange *exchange;
    enum result routed;
    struct fault routing_fault;
    char allow[64];
    const char *origin;
    enum origin_verdict verdict;
};

static bool refuse(struct passage *passage, const struct fault *fault)
{
    response_fault(&passage->exchange->response, fault);
    return false;
}

static bool has_flag(const struct passage *passage, unsigned flag)
{
    const struct route *route = passage->exchange->route;
    return route != NULL && (route->flags & flag) != 0;
}

static bool is_page(const struct passage *passage)
{
    return has_flag(passage, ROUTE_PAGE);
}

static void cors_headers(struct passage *passage)
{
    struct response *response = &passage->exchange->response;
    response_header(response, "Vary", "Origin");
    if (passage->verdict != ORIGIN_LISTED && passage->verdict != ORIGIN_ANY)
        return;
    bool listed = passage->verdict == ORIGIN_LISTED;
    response_header(response, "Access-Control-Allow-Origin", listed ? passage->origin : "*");
    if (listed)
        response_header(response, "Access-Control-Allow-Credentials", "true");
    response_header(response, "Access-Control-Expose-Headers",
                    "X-Request-Id, Retry-After, RateLimit-Limit, RateLimit-Remaining, "
                    "RateLimit-Reset, X-Cache");
}

/* The same address over https. Only what a Host header may hold is repeated, without the port: http's is not
 * https's. False: there is no such address. */
static bool secure_address(const struct exchange *exchange, struct buf *out)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-:[]";
    struct transport *transport = exchange->transport;
    const char *host = request_header(&exchange->request, "Host");
    const char *uri = transport->ops->variable(transport, "REQUEST_URI");
    if (host == NULL || *host == '\0' || strspn(host, allowed) != strlen(host) || uri == NULL ||
        *uri != '/')
        return false;
    const char *bracket = strchr(host, ']');
    size_t len = bracket != NULL ? (size_t)(bracket - host) + 1 : strcspn(host, ":");
    buf_puts(out, "https://");
    buf_put(out, host, len);
    buf_puts(out, uri);
    return !out->failed;
}

static bool redirect(struct passage *passage)
{
    struct exchange *exchange = passage->exchange;
    enum http_method method = exchange->request.method;
    struct buf location;
    buf_init(&location, CAP_LOCATION);
    bool sent = (method == HTTP_GET || method == HTTP_HEAD) && secure_address(exchange, &location);
    if (sent) {
        response_header(&exchange->response, "Location", buf_str(&location));
        response_send(&exchange->response, 308, "text/plain; charset=utf-8", "", 0);
    }
    buf_free(&location);
    return sent;
}

static bool step_scheme(struct passage *passage)
{
    struct exchange *exchange = passage->exchange;
    const struct config *config = exchange->app->config;
    char hsts[48];
    if (exchange->peer.https && config->hsts_s > 0) {
        snprintf(hsts, sizeof hsts, "max-age=%lld", (long long)config->hsts_s);
        response_header(&exchange->response, "Strict-Transport-Security", hsts);
    }
    bool forced = config->force_https != NULL && strcmp(config->force_https, "redirect") == 0;
    if (!forced || exchange->peer.https || has_flag(passage, ROUTE_PROBE))
        return true;
    if (redirect(passage))
        return false;
    struct fault fault;
    fault_set(&fault, RESULT_FORBIDDEN, "https_required", NULL,
              "This service is reached over https only.");
    return refuse(passage, &fault);
}

static bool step_capacity(struct passage *passage)
{
    struct exchange *exchange = passage->exchange;
    if (passage->routed != RESULT_OK || (exchange->route->flags & ROUTE_STREAM) == 0)
        return true;
    if (exchange->app->answers == NULL || !answers_full(exchange->app->answers))
        return true;
    struct fault fault;
    fault_set(&fault, RESULT_OVERLOADED, "overloaded", NULL,
              "Too many answers are being written right now. Please try again in a few seconds.");
    fault.retry_after_s = OVERLOADED_RETRY_S;
    return refuse(passage, &fault);
}

/* Anything may stand in the header; a sentence for people gets printable ASCII, and not too much. */
static void printable(const char *text, char out[128])
{
    size_t len = 0;
    for (; len < 127 && text[len] != '\0'; len++)
        out[len] = text[len] > 0x20 && text[len] < 0x7f ? text[len] : '?';
    out[len] = '\0';
}

static bool step_origin(struct passage *passage)
{
    if (passage->verdict != ORIGIN_REFUSED)
        return true;
    char shown[128];
    printable(passage->origin, shown);
    struct fault fault;
    fault_set(&fault, RESULT_FORBIDDEN, "origin_not_allowed", NULL,
              "Pages from %s may not use this service. The sites that may are listed in the "
              "setting CORS_ORIGIN.",
              shown);
    return refuse(passage, &fault);
}

static void answer_options(struct passage *passage)
{
    struct response *response = &passage->exchange->response;
    response_header(response, "Allow", passage->allow);
    if (passage->verdict == ORIGIN_LISTED || passage->verdict == ORIGIN_ANY) {
        response_header(response, "Access-Control-Allow-Methods", passage->allow);
        response_header(response, "Access-Control-Allow-Headers",
                        "Accept, Authorization, Content-Type, Last-Event-ID");
        response_header(response, "Access-Control-Max-Age", "600");
    }
    response_send(response, 204, "text/plain; charset=utf-8", "", 0);
}

static bool step_method(struct passage *passage)
{
    if (passage->routed == RESULT_OK)
        return true;
    if (passage->routed != RESULT_BAD_METHOD)
        return refuse(passage, &passage->routing_fault);
    if (passage->exchange->request.method == HTTP_OPTIONS) {
        answer_options(passage);
        return false;
    }
    response_header(&passage->exchange->response, "Allow", passage->allow);
    return refuse(passage, &passage->routing_fault);
}

static bool step_auth(struct passage *passage)
{
    struct fault fault = { 0 };
    if (has_flag(passage, ROUTE_PAGE | ROUTE_PROBE))
        return true;
    if (identity_find(passage->exchange, passage->verdict == ORIGIN_LISTED, &fault) == RESULT_OK)
        return true;
    return refuse(passage, &fault);
}

/* "application/json" or anything "+json", with any parameters. */
static bool is_json_type(const char *type)
{
    static const char json[] = "application/json";
    static const char suffix[] = "+json";
    size_t len = strcspn(type, "; \t");
    if (len == sizeof(json) - 1)
        return strncasecmp(type, json, len) == 0;
    return len > sizeof(suffix) - 1 &&
           strncasecmp(type + len - (sizeof(suffix) - 1), suffix, sizeof(suffix) - 1) == 0;
}

static bool is_form_type(const char *type)
{
    static const char form[] = "application/x-www-form-urlencoded";
    size_t len = strcspn(type, "; \t");
    return len == sizeof(form) - 1 && strncasecmp(type, form, len) == 0;
}

/* The bodies that there are, by the row's flag. */
static const struct {
    unsigned flag;
    bool (*fits)(const char *type);
    const char *refusal;
} bodies[] = {
    { ROUTE_JSON, is_json_type,
      "The body must be JSON: send it with Content-Type: application/json." },
    { ROUTE_FORM, is_form_type, "The body must be a form: application/x-www-form-urlencoded." },
};

static bool step_body(struct passage *passage)
{
    struct exchange *exchange = passage->exchange;
    struct fault fault;
    size_t kind = 0, kinds = sizeof(bodies) / sizeof(bodies[0]);
    while (kind < kinds && (exchange->route->flags & bodies[kind].flag) == 0)
        kind++;
    if (kind == kinds)
        return true;
    const char *type = request_header(&exchange->request, "Content-Type");
    if (type != NULL && type[0] != '\0' && !bodies[kind].fits(type)) {
        fault_set(&fault, RESULT_UNSUPPORTED_TYPE, "unsupported_media_type", NULL, "%s",
                  bodies[kind].refusal);
        return refuse(passage, &fault);
    }
    if (request_body(&exchange->request, (size_t)exchange->app->config->max_body_bytes, &fault) !=
        RESULT_OK)
        return refuse(passage, &fault);
    return true;
}

/* A proxy of ours has a name for the request already; anybody else's would only confuse the log. */
static void take_request_id(struct exchange *exchange)
{
    const char *id = request_header(&exchange->request, "X-Request-Id");
    if (exchange->peer.trusted && id != NULL && id_plausible(id))
        text_copy(exchange->request.id, sizeof(exchange->request.id), id);
}

bool gate_pass(struct exchange *exchange)
{
    static bool (*const steps[])(struct passage *) = { step_scheme, step_capacity, step_origin,
                                                       step_method, step_auth,     step_body };
    struct passage passage = { .exchange = exchange };
    identity_peer(exchange);
    take_request_id(exchange);
    passage.routed = router_find(&exchange->request, &exchange->route, passage.allow,
                                 sizeof(passage.allow), &passage.routing_fault);
    if (exchange->route != NULL && (exchange->route->flags & ROUTE_FORM) != 0) {
        exchange->response.plain = true;
        plain_headers(&exchange->response);
    }
    if (!is_page(&passage)) {
        passage.verdict = origin_judge(&exchange->request, exchange->app->config, &passage.origin);
        cors_headers(&passage);
    }
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (!steps[i](&passage))
            return false;
    return true;
}
