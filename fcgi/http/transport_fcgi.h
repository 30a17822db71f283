/*
 * transport_fcgi: a request that came over FastCGI, spoken through libfcgi; the only file that knows it.
 */
#ifndef PARLEY_HTTP_TRANSPORT_FCGI_H
#define PARLEY_HTTP_TRANSPORT_FCGI_H

#include <stdbool.h>

#include "common/base/result.h"

struct fcgi_peek;
struct transport;

/* Ready libfcgi, without the signal handlers that it likes to install. May be called again. Loop thread. */
enum result transport_fcgi_init(void);

/*
 * Request thread: the transport of the request in `peek` (FCGI_READY), whose memory is released here. The
 * answer goes to the blocking socket `fd`, which stays the caller's. `finished(ctx)` is what the transport's
 * finish calls; then transport_fcgi_close is due, at once or when the socket is writable again.
 */
enum result transport_fcgi_open(struct fcgi_peek *peek, int fd, void (*finished)(void *ctx),
                                void *ctx, struct transport **out);

/* Request thread, after the handler: the body cannot be read any more; what reading took is released. */
void transport_fcgi_settle(struct transport *transport);

/*
 * Loop thread: end the request on the wire (`send_end`; a small write, ask writable before) and free the
 * transport. True: all of it went out and the web server wants to use the connection again.
 */
bool transport_fcgi_close(struct transport *transport, bool send_end);

#endif
