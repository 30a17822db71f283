/*
 * config_redis: REDIS_URL in its parts. Pure.
 */
#ifndef PARLEY_CONFIG_REDIS_H
#define PARLEY_CONFIG_REDIS_H

#include <stdbool.h>

struct config_redis {
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
bool config_redis_parse(const char *url, struct config_redis *out);

#endif
