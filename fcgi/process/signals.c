/*
 * signals: handlers that only record.
 *
 * The self-pipe trick: the handler writes the number of the signal into a non-blocking pipe. When the pipe
 * is full the byte is lost, which is harmless: 64 KB of unread signals say nothing new.
 */
#include "fcgi/process/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define SIGNALS_MAX 8

/* Process-wide by nature, as signal handlers are. */
static int pipe_fds[2] = { -1, -1 };
static int watched[SIGNALS_MAX];
static size_t watched_count;
static sigset_t held_mask;

static void record(int number)
{
    int error = errno;
    unsigned char byte = (unsigned char)number;
    ssize_t written = write(pipe_fds[1], &byte, 1);

    (void)written;
    errno = error;
}

int signals_watch(const int *list, size_t count)
{
    struct sigaction action;

    if (count > SIGNALS_MAX) {
        errno = EINVAL;
        return -1;
    }
    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0)
        return -1;
    memset(&action, 0, sizeof(action));
    action.sa_handler = record;
    action.sa_flags = SA_RESTART;
    sigfillset(&action.sa_mask);
    watched_count = count;
    for (size_t i = 0; i < count; i++) {
        watched[i] = list[i];
        sigaction(list[i], &action, NULL);
    }
    return pipe_fds[0];
}

int signals_next(void)
{
    unsigned char byte;

    return read(pipe_fds[0], &byte, 1) == 1 ? byte : 0;
}

void signals_unwatch(void)
{
    for (size_t i = 0; i < watched_count; i++)
        signal(watched[i], SIG_DFL);
    watched_count = 0;
    for (int i = 0; i < 2; i++) {
        if (pipe_fds[i] >= 0)
            close(pipe_fds[i]);
        pipe_fds[i] = -1;
    }
}

void signals_hold(void)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &held_mask);
}

void signals_give_back(void)
{
    int number;

    while ((number = signals_next()) != 0)
        kill(getpid(), number);
}

void signals_release(void)
{
    sigprocmask(SIG_SETMASK, &held_mask, NULL);
}

void signals_reset(void)
{
    sigset_t none;

    signals_unwatch();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}
