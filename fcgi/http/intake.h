/*
 * intake: from an open transport to a running exchange; the same for FastCGI and CGI.
 */
#ifndef PARLEY_HTTP_INTAKE_H
#define PARLEY_HTTP_INTAKE_H

#include <stdint.h>

struct app;
struct exchange;
struct transport;

/* Who handles requests: exchange_run and exchange_finish, or a test's own. */
struct intake_handler {
    void (*run)(struct exchange *exchange);    /* request thread */
    void (*finish)(struct exchange *exchange); /* loop thread; frees the exchange */
};

extern const struct intake_handler intake_default;

/*
 * Request thread: make the exchange of `transport`, read the request and run it; a request that cannot be
 * read is answered here. Afterwards, on the loop, intake_rest is due. NULL: no memory, nothing was
 * answered and the transport is still the caller's.
 */
struct exchange *intake_run(const struct intake_handler *handler, struct app *app,
                            struct transport *transport, int64_t accepted_us);

/* Loop thread: what is left to do, the handler's on_loop or the end. */
void intake_rest(const struct intake_handler *handler, struct exchange *exchange);

#endif
