/*
 * transport: how a request came in and how its answer goes out, flattened to CGI variables, a body to
 * read and bytes to write. transport_fcgi.c (libfcgi) and transport_cgi.c implement it; everything above
 * is blind to which one it is.
 *
 * One owner at a time: the request thread while the handler runs, afterwards the loop.
 */
#ifndef PARLEY_HTTP_TRANSPORT_H
#define PARLEY_HTTP_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/result.h"

/* A web server that takes no bytes for this long is given up. */
#define TRANSPORT_SEND_TIMEOUT_MS (10 * 1000)

/* So much of a body over the limit is read and dropped, for the peer to finish sending and see our 413. */
#define TRANSPORT_DRAIN (1024 * 1024)

struct transport;

struct transport_ops {
    /* A CGI variable ("HTTP_ACCEPT", "PATH_INFO"), NULL when absent. Repeated ones: Cookie joined by "; ",
     * HTTP_* by ", ", others (and HTTP_HOST, of which no request has two) the last. Valid until finish. */
    const char *(*variable)(struct transport *transport, const char *name);

    /* Read body bytes; *got = 0 at its end. RESULT_GONE when the peer broke off or missed the deadline. */
    enum result (*read)(struct transport *transport, char *out, size_t size, size_t *got);

    /* Put bytes into the output buffer; may write when that is full. On a request thread any amount
     * (SO_SNDTIMEO bounds it); on the loop at most CAP_FLUSH after writable() said yes. RESULT_GONE. */
    enum result (*write)(struct transport *transport, const char *bytes, size_t len);
    enum result (*flush)(struct transport *transport);

    /* Would a flush of CAP_FLUSH bytes go out now without waiting? */
    bool (*writable)(struct transport *transport);

    /* The descriptor to watch on the loop: *events gets the UV_* events that may mean hang-up. -1 = none. */
    int (*watch_fd)(struct transport *transport, int *hangup_events);

    /* After such an event: has the peer really gone? (WEBSERVERS.md section 3, detection recipe) */
    bool (*hung_up)(struct transport *transport);

    /* The answer is whole (or given up). Loop thread. Frees the transport; a kept connection goes back to
     * the server. */
    void (*finish)(struct transport *transport);
};

struct transport {
    const struct transport_ops *ops;
    /* Whoever watches may leave these here: called on the loop when the transport learns of a hang-up by other means
     * than the descriptor. It may finish the transport. NULL = nobody. */
    void (*hang_up)(void *ctx);
    void *hang_up_ctx;
};

#endif
