/*
 * serve: from an open configuration to a serving process, in the three ways there are. Each returns the exit
 * status of the program.
 */
#ifndef PARLEY_SERVE_H
#define PARLEY_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/result.h"

struct config;

#define SERVE_MAX_SOCKETS 8

/* What the command line said; a reload reads the rest again. */
struct serve_call {
    const char *program; /* argv[0] */
    const char *listen;  /* NULL = LISTEN */
    int64_t workers;     /* -1 = WORKERS */
};

/* `parley serve`: open the address (a unix socket is removed again at the end), then master and workers. */
int serve_address(const struct config *config, const struct serve_call *call);

/*
 * Would `parley serve` start with these options on this machine? The accounts exist, the pid file and the log file can
 * be written; nothing is made or opened. RESULT_INVALID with the operator's sentence if not.
 */
enum result serve_check(const struct config *config, struct fault *fault);

/*
 * Sockets that whoever started us has opened. `alone`: that one manages processes itself (spawn-fcgi,
 * lighttpd, supervisord, mod_fcgid), so serve in this very process unless WORKERS is set.
 */
int serve_inherited(const struct config *config, const struct serve_call *call, const int *fds,
                    size_t count, bool alone);

/* Plain CGI: answer the one request of our environment. */
int serve_cgi(const struct config *config);
/* Plain CGI that cannot start: tell the client so, without the reason. */
void serve_cgi_refuse(void);

#endif
