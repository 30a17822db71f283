/*
 * shared_url: REDIS_URL in its parts. Pure.
 */
#ifndef PARLEY_LIMITS_SHARED_URL_H
#define PARLEY_LIMITS_SHARED_URL_H

#include <stdbool.h>

struct shared_url {
    char path[108]; /* of a unix socket, "" = host and port */
    char host[256];
    int port;
    char user[128]; /* "" = none */
    char password[256];
    int database;
};

/*
 * redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER] or unix:/PATH. User and password are percent-decoded; an
 * IPv6 address stands in brackets. False when it is neither.
 */
bool shared_url_parse(const char *url, struct shared_url *out);

#endif
