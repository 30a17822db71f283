/*
 * main: how was I started? One program, many starters (DESIGN.md section 2); this is the table of contents.
 *
 * The order matters: lighttpd and mod_fcgid may leak CGI variables to a FastCGI process, so the socket on
 * descriptor 0 is looked at first; and a web server may put a query string into the arguments of a CGI
 * program, so with CGI variables there the arguments are not looked at at all.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "fcgi/commands.h"
#include "fcgi/process/handover.h"
#include "fcgi/process/listen.h"
#include "fcgi/serve.h"
#include "fcgi/start.h"

#define LISTEN_FDS_FIRST 3 /* sd_listen_fds(3) */

/* A closed 0, 1 or 2 would be given to the next file or socket, and be written to as if it were stderr. */
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

static bool is_cgi(void)
{
    return getenv("GATEWAY_INTERFACE") != NULL && getenv("REQUEST_METHOD") != NULL;
}

/* Sockets that systemd passed to this very process, at most SERVE_MAX_SOCKETS; 0 = none. */
static size_t systemd_sockets(int *fds)
{
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    size_t found = 0;

    if (pid == NULL || count == NULL || strtol(pid, NULL, 10) != (long)getpid())
        return 0;
    for (int i = 0; i < strtol(count, NULL, 10) && found < SERVE_MAX_SOCKETS; i++) {
        int fd = LISTEN_FDS_FIRST + i;
        if (!listen_is_socket(fd))
            continue;
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fds[found++] = fd;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return found;
}

/* Those that systemd passed to the program whose place we have taken. */
static size_t handed_over_sockets(int *fds)
{
    const struct handover *handover = handover_received();

    if (handover == NULL || handover->by_address)
        return 0;
    memcpy(fds, handover->sockets, handover->socket_count * sizeof(fds[0]));
    return handover->socket_count;
}

static int serve_sockets(const char *program, const int *fds, size_t count, bool alone)
{
    struct serve_call call = { .program = program, .workers = -1 };
    struct config config;
    int status;

    if (!start_up(&config, program))
        return 1;
    status = serve_inherited(&config, &call, fds, count, alone);
    config_free(&config);
    return status;
}

static int serve_one_request(const char *program)
{
    struct config config;
    int status;

    if (!start_up(&config, program)) {
        serve_cgi_refuse();
        return 1;
    }
    status = serve_cgi(&config);
    config_free(&config);
    return status;
}

int main(int argc, char **argv)
{
    static const int inherited = STDIN_FILENO;
    int fds[SERVE_MAX_SOCKETS];
    size_t count;

    fill_standard_descriptors();
    handover_begin(argc, argv);
    if (listen_is_socket(STDIN_FILENO))
        return serve_sockets(argv[0], &inherited, 1, true);
    if (is_cgi())
        return serve_one_request(argv[0]);
    count = handed_over_sockets(fds);
    if (count == 0)
        count = systemd_sockets(fds);
    if (count > 0)
        return serve_sockets(argv[0], fds, count, false);
    return commands_run(argc, argv);
}
