/*
 * peer: where a request comes from: the client's address and the scheme that its browser sees, behind however
 * many proxies. X-Forwarded-For and X-Forwarded-Proto are anybody's to send, so they count only from the
 * networks of TRUSTED_PROXIES.
 */
#ifndef PARLEY_HTTP_PEER_H
#define PARLEY_HTTP_PEER_H

#include <stdbool.h>

#include "common/base/net.h"

struct request;

struct peer {
    char address[NET_TEXT_SIZE]; /* of the client; "" when the web server does not say */
    bool trusted;                /* who talks to the web server is one of our proxies */
    bool https;
};

/* Pure. `trusted` may be NULL: nobody is. */
void peer_find(const struct request *request, const struct net_list *trusted, struct peer *out);

#endif
