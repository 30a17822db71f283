/*
 * relay_fetch: see relay_fetch.h. One call of the relay, one buffer. Loop thread.
 */
#include "common/relay_fetch.h"

#include <stdlib.h>

#include "common/base/buf.h"

struct relay_fetch {
    struct relay_call *call;
    struct buf body;
    int status;
    relay_fetch_done *done;
    void *ctx;
    size_t (*read_body)(void *ctx, char *out, size_t size);
    bool (*rewind_body)(void *ctx);
};

static void fetch_free(struct relay_fetch *fetch)
{
    buf_free(&fetch->body);
    free(fetch);
}

static void finish(struct relay_fetch *fetch, struct relay_call *call, enum relay_end end,
                   const char *detail)
{
    struct relay_fetch_reply reply = {
        .end = end,
        .status = fetch->status,
        .body = buf_str(&fetch->body),
        .len = fetch->body.len,
        .detail = detail,
        .call = call,
    };

    fetch->done(fetch->ctx, &reply);
    fetch_free(fetch);
}

static void on_head(void *ctx, int status)
{
    struct relay_fetch *fetch = ctx;

    fetch->status = status;
}

static void on_body(void *ctx, const char *bytes, size_t len)
{
    struct relay_fetch *fetch = ctx;
    struct relay_call *call = fetch->call;

    if (buf_put(&fetch->body, bytes, len))
        return;
    fetch->call = NULL;
    relay_cancel(call);
    finish(fetch, NULL, RELAY_BAD_REPLY, "the reply is too long");
}

static void on_done(void *ctx, enum relay_end end, const char *detail)
{
    struct relay_fetch *fetch = ctx;
    struct relay_call *call = fetch->call;

    fetch->call = NULL; /* the relay frees it when we return */
    finish(fetch, call, end, detail);
}

static size_t on_read_body(void *ctx, char *out, size_t size)
{
    const struct relay_fetch *fetch = ctx;

    return fetch->read_body(fetch->ctx, out, size);
}

static bool on_rewind_body(void *ctx)
{
    const struct relay_fetch *fetch = ctx;

    return fetch->rewind_body(fetch->ctx);
}

static const struct relay_handler handler = { .head = on_head, .body = on_body, .done = on_done };

struct relay_fetch *relay_fetch_start(struct relay *relay, const struct relay_request *request,
                                      size_t cap, relay_fetch_done *done, void *ctx)
{
    struct relay_fetch *fetch = calloc(1, sizeof *fetch);
    struct relay_request forwarded = *request;

    if (fetch == NULL) {
        free(request->body);
        return NULL;
    }
    buf_init(&fetch->body, cap);
    fetch->done = done;
    fetch->ctx = ctx;
    if (request->read_body != NULL) {
        fetch->read_body = request->read_body;
        fetch->rewind_body = request->rewind_body;
        forwarded.read_body = on_read_body;
        forwarded.rewind_body = on_rewind_body;
    }
    fetch->call = relay_start(relay, &forwarded, &handler, fetch);
    if (fetch->call != NULL)
        return fetch;
    fetch_free(fetch);
    return NULL;
}

void relay_fetch_cancel(struct relay_fetch *fetch)
{
    if (fetch == NULL)
        return;
    if (fetch->call != NULL)
        relay_cancel(fetch->call);
    fetch_free(fetch);
}

bool relay_fetch_good(const struct relay_fetch_reply *reply)
{
    return reply->end == RELAY_COMPLETE && reply->status >= 200 && reply->status < 300;
}
