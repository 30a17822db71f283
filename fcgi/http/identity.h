/*
 * identity: who asks. An API key, a login that the web server vouches for, or a visitor with a signed cookie, in this
 * order; the answer is exchange->owner. gate.c asks before every handler.
 */
#ifndef PARLEY_HTTP_IDENTITY_H
#define PARLEY_HTTP_IDENTITY_H

#include <stdbool.h>

#include "common/base/result.h"
#include "common/base/net.h"

struct config;
struct exchange;
struct identity;
struct store;

/* Keys and lists, once per process. RESULT_STORE_DOWN with the operator's sentence. */
enum result identity_open(const struct config *config, struct store *store, struct identity **out,
                          struct fault *fault);
void identity_close(struct identity *identity); /* NULL is fine */

/* Fill exchange->peer, and request.address from it. Works without an identity, too: then nobody is trusted. */
void identity_peer(struct exchange *exchange);

/*
 * Fill exchange->owner. `cross_site`: a page of another site asks, one that CORS_ORIGIN lists. A new visitor gets his
 * cookie with the response where the route has ROUTE_OWNER. RESULT_UNAUTHORIZED invalid_key;
 * RESULT_STORE_DOWN when a key cannot be looked up.
 */
enum result identity_find(struct exchange *exchange, bool cross_site, struct fault *fault);

/* A newcomer turned out to be a visitor who was made before (store_turn_begin): the response brings that one's
 * cookie instead of the new one. */
void identity_become(struct exchange *exchange, const char *visitor);

/* Take the visitor's cookies back with the response. */
void identity_forget(struct exchange *exchange);

/* What an address is counted by for limits: IPv4 as a whole, of IPv6 the /64. */
#define IDENTITY_NETWORK_SIZE NET_TEXT_SIZE
void identity_network(const char *address, char out[IDENTITY_NETWORK_SIZE]);

#endif
