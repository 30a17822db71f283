/*
 * body_limit: how long the body of a request may be, before anybody has read the request: most routes take little,
 * and some take files. And where a long body is kept until then.
 */
#ifndef PARLEY_HTTP_BODY_LIMIT_H
#define PARLEY_HTTP_BODY_LIMIT_H

#include <stddef.h>

struct buf;
struct config;
struct route;

/* Bytes that a route may take. NULL: MAX_BODY_BYTES. */
size_t body_limit_of_route(const struct config *config, const struct route *route);

/* The same for the route that the name-value pairs of a request lead to. For struct fcgi_peek_asks: `config` is a
 * const struct config. */
size_t body_limit_of_params(void *config, const struct buf *params);

/* A new file without a name in SPOOL_DIR, or where else there is room; -1 when there is none (logged). Closing it
 * is its end. `config` as above. */
int body_limit_open_file(void *config);

#endif
