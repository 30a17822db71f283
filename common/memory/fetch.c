/*
 * fetch: see fetch.h. Neighbours: relay.c moves the bytes; embed.c, mem0.c and `parley knowledge` ask.
 */
#include "common/memory/fetch.h"

#include <stdlib.h>

#include "common/base/buf.h"

struct fetch {
    struct relay_call *call;
    void (*done)(void *ctx, const struct fetch_reply *reply);
    void *ctx;
    struct buf body;
    int status;
};

static void fetch_free(struct fetch *fetch)
{
    buf_free(&fetch->body);
    free(fetch);
}

static void on_head(void *ctx, int status)
{
    struct fetch *fetch = ctx;

    fetch->status = status;
}

static void on_body(void *ctx, const char *bytes, size_t len)
{
    struct fetch *fetch = ctx;
    struct fetch_reply reply = {
        .end = RELAY_FAILED, .detail = "too large", .body = "", .content_type = "", .location = ""
    };

    if (buf_put(&fetch->body, bytes, len))
        return;
    reply.status = fetch->status;
    relay_cancel(fetch->call);
    fetch->done(fetch->ctx, &reply);
    fetch_free(fetch);
}

static const char *header(struct fetch *fetch, const char *name)
{
    const char *value = fetch->status != 0 ? relay_header(fetch->call, name) : NULL;

    return value != NULL ? value : "";
}

static void on_done(void *ctx, enum relay_end end, const char *detail)
{
    struct fetch *fetch = ctx;
    struct fetch_reply reply = {
        .end = end,
        .detail = detail,
        .status = fetch->status,
        .body = buf_str(&fetch->body),
        .len = fetch->body.len,
        .content_type = header(fetch, "Content-Type"),
        .location = header(fetch, "Location"),
    };

    fetch->done(fetch->ctx, &reply);
    fetch_free(fetch);
}

static const struct relay_handler handler = { .head = on_head, .body = on_body, .done = on_done };

struct fetch *fetch_start(struct relay *relay, const struct fetch_request *request,
                          void (*done)(void *ctx, const struct fetch_reply *reply), void *ctx)
{
    struct fetch *fetch = calloc(1, sizeof *fetch);
    struct relay_request wire = {
        .method = request->method,
        .url = request->url,
        .headers = request->headers,
        .body = request->body,
        .body_len = request->body_len,
        .shunned = request->shunned,
        .connect_timeout_ms = request->timeout_ms,
        .total_timeout_ms = request->timeout_ms,
    };

    if (fetch == NULL) {
        free(request->body);
        return NULL;
    }
    buf_init(&fetch->body, request->most);
    fetch->done = done;
    fetch->ctx = ctx;
    fetch->call = relay_start(relay, &wire, &handler, fetch);
    if (fetch->call == NULL) {
        fetch_free(fetch);
        return NULL;
    }
    return fetch;
}

void fetch_cancel(struct fetch *fetch)
{
    relay_cancel(fetch->call);
    fetch_free(fetch);
}
