/*
 * request: an HTTP request as the endpoints see it, whatever the web server and the transport.
 * Filled on a request thread by request_read; plain data afterwards.
 */
#ifndef PARLEY_HTTP_REQUEST_H
#define PARLEY_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/caps.h"
#include "common/base/result.h"

struct config;
struct transport;

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER
};
const char *http_method_name(enum http_method method);

struct request {
    struct transport *transport;
    enum http_method method;
    char id[CAP_ID];   /* X-Request-Id */
    char *path;        /* decoded, below our base, "/" first, no trailing slash (but "/" itself) */
    char *base;        /* what stands before it in URLs: "" or "/chat" or "/cgi-bin/parley.cgi" */
    const char *query; /* raw, "" when absent */
    const char *address; /* of the client */
    struct buf body;
    bool body_read;
    char path_arg[CAP_USER_ID]; /* the {name} of the route, decoded; "" without one */
};

/* Everything but the body. RESULT_INVALID for a path with "..", NUL or controls, or no method. */
enum result request_read(struct request *request, struct transport *transport,
                         const struct config *config, struct fault *fault);

/*
 * Web servers tidy the path that they decode, so a name such as "https://idp.example/7" or "a/" has lost slashes by the time
 * it is in path_arg, and of "/" or "." nothing is left: put it there as it was sent behind `prefix`. RESULT_INVALID for what request_read refuses, too.
 */
enum result request_restore_tail(struct request *request, const char *prefix, size_t prefix_len,
                                 struct fault *fault);

/*
 * Read the body, at most `max` bytes, until its end: Content-Length may be absent, "", "0" or "-1"; shorter
 * than declared is RESULT_INVALID body_incomplete; longer than `max` is RESULT_TOO_LARGE
 * body_too_large, whatever Content-Length claims. The rest is read and dropped up to a bound. The server
 * keeps no more than MAX_BODY_BYTES of a body, and frees it when the handler has returned.
 */
enum result request_body(struct request *request, size_t max, struct fault *fault);

/* A header by its usual name ("Accept", "Last-Event-ID"), NULL when absent. */
const char *request_header(const struct request *request, const char *name);

/* A query parameter, percent-decoded into `out`; false when absent, malformed or too long. */
bool request_query(const struct request *request, const char *name, char *out, size_t size);

/* A cookie's raw value into `out`; false when absent or too long. */
bool request_cookie(const struct request *request, const char *name, char *out, size_t size);

void request_free(struct request *request);

#endif
