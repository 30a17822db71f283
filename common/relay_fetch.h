/*
 * relay_fetch: a request whose reply is small and wanted whole. Collects what the relay brings, up to a cap.
 * Loop thread only.
 */
#ifndef PARLEY_RELAY_FETCH_H
#define PARLEY_RELAY_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/relay.h"

struct relay_fetch;

struct relay_fetch_reply {
    enum relay_end end; /* RELAY_COMPLETE: status and body are the peer's */
    int status;         /* 0: no reply */
    const char *body;   /* NUL-terminated; valid during the call only */
    size_t len;
    const char *detail;      /* curl's words, for the log */
    struct relay_call *call; /* for relay_header, where `end` is RELAY_COMPLETE */
};

/* On the loop, once, unless the fetch was cancelled. The fetch is over and freed right after it. A body
 * over the cap is RELAY_BAD_REPLY. */
typedef void relay_fetch_done(void *ctx, const struct relay_fetch_reply *reply);

/* A request's read_body and rewind_body get `ctx`. Never calls `done` itself. NULL when out of memory or the URL is none; takes request->body in any case. */
struct relay_fetch *relay_fetch_start(struct relay *relay, const struct relay_request *request,
                                      size_t cap, relay_fetch_done *done, void *ctx);

/* NULL is fine. Not from inside `done`. */
void relay_fetch_cancel(struct relay_fetch *fetch);

/* The reply came and says 2xx. */
bool relay_fetch_good(const struct relay_fetch_reply *reply);

#endif
