/*
 * relay: HTTP requests to the outside, streamed, on the worker's loop. The only file pair that knows
 * libcurl. Built on curl_multi_socket_action and libuv: connections are pooled and kept alive per
 * worker, the CA bundle is parsed once, no call blocks. It moves bytes and keeps deadlines; it knows
 * neither chat nor providers.
 *
 * Loop thread only.
 */
#ifndef PARLEY_RELAY_H
#define PARLEY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/result.h"

struct net_list;
struct relay;
struct relay_call;
struct uv_loop_s;

struct relay_options {
    const char *ca_file;     /* "" = the system's bundle */
    size_t max_idle;         /* connections kept for later */
    bool http2;              /* offer HTTP/2 over TLS */
    const char *https_proxy; /* for https addresses; "" = none, whatever the environment says */
    const char *no_proxy;    /* hosts that are asked directly */
};

/* Load libcurl now, for the children that will be forked to share it; else the first call does. False when there is
 * none, which is logged. */
bool relay_load(void);

/* RESULT_INTERNAL when out of memory. curl itself is set up by the first call. */
enum result relay_open(struct uv_loop_s *loop, const struct relay_options *options,
                       struct relay **out);

/* Every call must have ended or been cancelled. NULL is fine. The loop must run once more afterwards. */
void relay_close(struct relay *relay);

/* Will this address be asked of a proxy? */
bool relay_proxies(const struct relay *relay, const char *url);

struct relay_request {
    const char *method;  /* "POST" */
    const char *url;     /* copied */
    const char *headers; /* lines "Name: value\n", copied; secrets among them are never logged */
    char *body;          /* malloc'd, owned by the call from here on; NULL = none */
    size_t body_len;
    /* Instead of `body`: the next bytes of a body of body_len, 0 when they cannot be had; and back to its
     * beginning, for a connection that turned out dead. Both get the handler's ctx. */
    size_t (*read_body)(void *ctx, char *out, size_t size);
    bool (*rewind_body)(void *ctx);
    /* Networks that this call may not end up in, whatever its host's name means at that moment: it ends with
     * RELAY_FAILED. Must live as long as the call. NULL = none; a proxy does its own connecting. */
    const struct net_list *shunned;
    int64_t connect_timeout_ms;    /* each 0 = none */
    int64_t first_byte_timeout_ms; /* from start to the response head */
    int64_t idle_timeout_ms;       /* between body bytes */
    int64_t total_timeout_ms;
};

enum relay_end {
    RELAY_COMPLETE,    /* the whole body came */
    RELAY_UNREACHABLE, /* name not found, connection refused, no route */
    RELAY_TLS,         /* handshake refused, or a certificate that is no good for another reason */
    RELAY_TLS_HOST,    /* the certificate is for another host name */
    RELAY_TLS_CA,      /* nobody whom we trust has signed it */
    RELAY_TLS_EXPIRED, /* not valid yet, or no longer */
    RELAY_TIMEOUT_CONNECT,
    RELAY_TIMEOUT_FIRST_BYTE,
    RELAY_TIMEOUT_IDLE,
    RELAY_TIMEOUT_TOTAL,
    RELAY_CUT,       /* the peer broke off */
    RELAY_BAD_REPLY, /* not HTTP */
    RELAY_FAILED     /* anything else */
};
const char *relay_end_name(enum relay_end end);
/* What an end other than RELAY_COMPLETE means for whoever waits for a model's answer. */
void relay_end_fault(enum relay_end end, struct fault *fault);

/* Callbacks come on the loop, never from inside relay_start. `done` comes exactly once and last, unless
 * the call was cancelled: then nothing comes any more. Any callback may cancel other calls; head and body
 * may cancel their own; done may start new ones (its own call is over and freed right after it). */
struct relay_handler {
    void (*head)(void *ctx, int status);
    void (*body)(void *ctx, const char *bytes, size_t len);
    /* May be NULL. Once after any number of `body`, when all that has come for now is there; may do what
     * `done` may, and cancel its own call. */
    void (*settled)(void *ctx);
    void (*done)(void *ctx, enum relay_end end,
                 const char *detail); /* detail: curl's words, for the log */
};

/* NULL when curl cannot be set up, memory is out or the URL is none; then request->body is freed all the same. */
struct relay_call *relay_start(struct relay *relay, const struct relay_request *request,
                               const struct relay_handler *handler, void *ctx);

/* A response header of the final reply, NULL when absent. Valid inside head, body and done. */
const char *relay_header(struct relay_call *call, const char *name);

/* Take no more of the body until told otherwise; meanwhile no deadline but the total one runs. Some bytes that
 * are there already may still come. */
void relay_hold(struct relay_call *call);
void relay_go_on(struct relay_call *call);

/* Close the connection of a running call now; the provider sees it at once. */
void relay_cancel(struct relay_call *call);

/* All that matters has come: no more callbacks; the call has a second to end by itself, so that its
 * connection can be used again. */
void relay_drain(struct relay_call *call);

#endif
