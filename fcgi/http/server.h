/*
 * server: takes FastCGI connections on the loop, keeps idle ones parked there, collects each request, hands
 * it to a request thread (libuv's pool) only when it is there whole, and gets the connection back afterwards.
 *
 * Loop thread only. WEBSERVERS.md section 8 says why it is not a blocking FCGX_Accept_r per thread.
 */
#ifndef PARLEY_HTTP_SERVER_H
#define PARLEY_HTTP_SERVER_H

#include <stddef.h>

#include "common/base/result.h"

struct app;
struct intake_handler;
struct server;

/* Serve on a listening descriptor (set non-blocking here; stays the caller's). */
enum result server_open(struct app *app, int listen_fd, struct server **out);

/* The same with somebody else handling the requests; `handler` must outlive the server. */
enum result server_open_with(struct app *app, int listen_fd, const struct intake_handler *handler,
                             struct server **out);

/* Accept no more, close parked connections; running exchanges go on, as do requests that are just coming in. */
void server_stop_accepting(struct server *server);

/* Requests being read, handled or streamed. */
size_t server_busy(const struct server *server);

/* Close everything at once. The loop must run once more afterwards. The connection of an exchange that
 * still runs is cut off, and freed when that one finishes. */
void server_close(struct server *server);

#endif
