/*
 * serve: from an open configuration to a serving process, in the three ways there are. Each returns the exit
 * status of the program.
 */
#ifndef PARLEY_SERVE_H
#define PARLEY_SERVE_H

#include <stdbool.h>
#include <stddef.h>

struct config;

#define SERVE_MAX_SOCKETS 8

/* `parley serve`: open the address (a unix socket is removed again at the end), then master and workers. */
int serve_address(const struct config *config, const char *address);

/*
 * Sockets that whoever started us has opened. `alone`: that one manages processes itself (spawn-fcgi,
 * lighttpd, supervisord, mod_fcgid), so serve in this very process unless WORKERS is set.
 */
int serve_inherited(const struct config *config, const int *fds, size_t count, bool alone);

/* Plain CGI: answer the one request of our environment. */
int serve_cgi(const struct config *config);
/* Plain CGI that cannot start: tell the client so, without the reason. */
void serve_cgi_refuse(void);

#endif
