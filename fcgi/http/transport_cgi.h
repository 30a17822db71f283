/*
 * transport_cgi: a request that came as a plain CGI: variables in the environment, body on one descriptor,
 * answer on another; one request, then the process ends.
 */
#ifndef PARLEY_HTTP_TRANSPORT_CGI_H
#define PARLEY_HTTP_TRANSPORT_CGI_H

#include <stdint.h>

#include "common/base/result.h"

struct app;
struct transport;

struct cgi_options {
    int in_fd;
    int out_fd;                  /* both stay the caller's */
    int64_t read_timeout_ms;     /* the body must have come by then */
    int64_t send_timeout_ms;     /* the web server must take something within it */
    void (*finished)(void *ctx); /* the transport is gone */
    void *ctx;
};

enum result transport_cgi_open(const struct cgi_options *options, struct transport **out);

/* The client has left, says whoever knows (SIGTERM from the web server): writes fail, hung_up is
 * true, and who watches is told, upon which the transport may be gone. */
void transport_cgi_hang_up(struct transport *transport);

/*
 * Run the one request of this process on stdin and stdout: gate and handler right here, then app's loop until
 * the exchange has finished. argv is none of our business: mod_cgid puts the query string there. SIGTERM
 * counts as the client's leaving. Returns the exit status.
 */
int transport_cgi_serve(struct app *app);

#endif
