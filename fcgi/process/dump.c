/*
 * dump: see dump.h.
 *
 * backtrace_symbols_fd is made for signal handlers, but writes to a descriptor; a pipe brings its text back,
 * so that the log gets its usual line. log_write neither allocates nor locks. The process is lost in any
 * case: should the handler hang, the master's SIGKILL comes after a moment.
 */
#include "fcgi/process/dump.h"

#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"

#define FRAMES     48
#define TEXT_SIZE  6000
#define STACK_SIZE (64 * 1024)

static const int fatal_signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
#define FATAL_SIGNALS (sizeof(fatal_signals) / sizeof(fatal_signals[0]))

static void log_stack(int number)
{
    char text[TEXT_SIZE];
    void *frames[FRAMES];
    int count = backtrace(frames, FRAMES);
    size_t len = 0;
    int fds[2];
    ssize_t n;

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
        return;
    backtrace_symbols_fd(frames, count, fds[1]);
    close(fds[1]);
    while (len < sizeof text - 1 && (n = read(fds[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    close(fds[0]);
    text[len] = '\0';
    log_error("worker_stack", LOG_INT("signal", number), LOG_STR("stack", text));
}

static void on_fatal(int number)
{
    sigset_t set;

    signal(number, SIG_DFL);
    log_stack(number);
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
}

static void use_own_stack(void)
{
    static char memory[STACK_SIZE];
    stack_t stack = { .ss_size = STACK_SIZE, .ss_sp = memory };

    sigaltstack(&stack, NULL);
}

void dump_on_fatal_signals(void)
{
    struct sigaction action, before;
    void *frame;

    backtrace(&frame, 1); /* the first call loads a library, which a handler must not */
    use_own_stack();
    memset(&action, 0, sizeof action);
    action.sa_handler = on_fatal;
    action.sa_flags = SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < FATAL_SIGNALS; i++) {
        if (sigaction(fatal_signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(fatal_signals[i], &action, NULL);
    }
}
