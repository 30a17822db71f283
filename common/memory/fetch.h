/*
 * fetch: a whole reply over the relay, in memory. Loop thread.
 */
#ifndef PARLEY_MEMORY_FETCH_H
#define PARLEY_MEMORY_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include "common/relay.h"

struct fetch;

struct fetch_request {
    const char *method;
    const char *url;
    const char *headers; /* lines "Name: value\n" */
    char *body;          /* malloc'd, taken over; NULL = none */
    size_t body_len;
    const struct net_list *shunned; /* as in relay.h; NULL = none */
    int64_t timeout_ms;             /* of the whole */
    size_t most; /* bytes of the reply; a longer one ends with RELAY_FAILED "too large" */
};

/* What came; borrowed. status 0: no reply. */
struct fetch_reply {
    enum relay_end end;
    const char *detail;
    int status;
    const char *body; /* NUL-terminated */
    size_t len;
    const char *content_type; /* "" = none said */
    const char *location;     /* of a redirection, "" = none */
};

/* `done` comes once, on the loop, never from inside. NULL when it could not be started: then it does not come. */
struct fetch *fetch_start(struct relay *relay, const struct fetch_request *request,
                          void (*done)(void *ctx, const struct fetch_reply *reply), void *ctx);
/* `done` does not come any more. */
void fetch_cancel(struct fetch *fetch);

#endif
