/*
 * notify: see notify.h. The variables are read each time, because they are constant and messages are rare;
 * they stay in the environment for the program that SIGUSR2 starts.
 *
 * Runs in the master. Neighbours: master.c and master_switch.c say when.
 */
#include "fcgi/process/notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define MESSAGE_SIZE 256

/* The length of the address, 0 when there is no usable one. '@' stands for the NUL of an abstract socket. */
static socklen_t find_address(struct sockaddr_un *out)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path != NULL ? strlen(path) : 0;

    if (len < 2 || len >= sizeof out->sun_path || (*path != '/' && *path != '@'))
        return 0;
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(out->sun_path, path, len);
    if (*path == '@')
        out->sun_path[0] = '\0';
    else
        len++;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static void tell(const char *message)
{
    static bool complained;
    struct sockaddr_un address;
    socklen_t len = find_address(&address);
    int fd;

    if (len == 0)
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if ((fd < 0 || sendto(fd, message, strlen(message), MSG_NOSIGNAL,
                          (const struct sockaddr *)&address, len) < 0) &&
        !complained) {
        log_warn("service_manager_not_told", LOG_STR("error", strerror(errno)));
        complained = true;
    }
    if (fd >= 0)
        close(fd);
}

void notify_ready(int workers)
{
    char message[MESSAGE_SIZE];

    snprintf(message, sizeof message, "READY=1\nMAINPID=%ld\nSTATUS=%d workers serve",
             (long)getpid(), workers);
    tell(message);
}

void notify_reloading(void)
{
    char message[MESSAGE_SIZE];

    snprintf(message, sizeof message,
             "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=New workers are starting",
             (long long)clock_mono_us());
    tell(message);
}

void notify_stopping(int64_t most_ms)
{
    char message[MESSAGE_SIZE];

    snprintf(message, sizeof message,
             "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\nSTATUS=Running answers are finished",
             (long long)most_ms * 1000);
    tell(message);
}

int64_t notify_watchdog_ms(void)
{
    const char *allowed = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    int64_t half_ms;

    if (allowed == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    half_ms = strtoll(allowed, NULL, 10) / 2 / 1000;
    return half_ms > 0 ? half_ms : 0;
}

void notify_alive(void)
{
    tell("WATCHDOG=1");
}
