/*
 * exchange: one request and its answer, from the first byte to the log line. Owned by exactly one thread
 * at a time: a request thread runs gate and handler; if the handler set `on_loop`, the loop goes on with it.
 */
#ifndef PARLEY_HTTP_EXCHANGE_H
#define PARLEY_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/store/store.h"
#include "fcgi/http/peer.h"
#include "fcgi/http/request.h"
#include "fcgi/http/response.h"

struct app;
struct route;
struct transport;

/* Who answered, and what it cost. provider NULL = nobody was asked. */
struct exchange_turn {
    const char *provider; /* static, or the application's */
    char model[CAP_MODEL_NAME];
    int64_t prompt_tokens;
    int64_t completion_tokens;
};

struct exchange {
    struct app *app;
    struct transport *transport;
    struct request request;
    struct response response;
    const struct route *route; /* set by the gate; NULL: unknown path */
    struct peer peer;          /* where it comes from; set by the gate */
    struct owner owner;        /* who asks; set by the gate */
    bool newcomer;             /* a visitor who showed no cookie of ours */
    bool cross_site;           /* a page of another site asks */
    int64_t accepted_us;       /* monotonic, set by the server, as is what stands above */
    int64_t started_us;        /* when a request thread took it; set by exchange_run */
    int64_t handled_us;        /* when the handler returned */
    int64_t first_delta_us;    /* 0 = none */
    const char *outcome;       /* for the log line; static string or NULL */
    struct exchange_turn turn; /* for the log line, of requests that ask a model */

    /* Set by the handler when the rest happens on the loop; called there once, after the handler returned.
     * Whoever runs it calls exchange_finish in the end. NULL: the reply is out, the server finishes. */
    void (*on_loop)(struct exchange *exchange);
    void *state; /* the endpoint's own */
};

/*
 * Run gate and handler on the calling request thread. Before: request_read said RESULT_OK and response_init
 * was called. Where request_read failed, send its fault with response_fault instead and finish.
 * Afterwards a reply is out or on_loop is set.
 */
void exchange_run(struct exchange *exchange);

/*
 * Loop thread: log line, end of the request, free everything, the (malloc'd) exchange too. `state` must have
 * been freed by its endpoint.
 */
void exchange_finish(struct exchange *exchange);

#endif
