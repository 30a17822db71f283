/*
 * handover: see handover.h.
 *
 * The process id stays, because supervisord, systemd and a container watch it. What has to go over are numbers
 * of descriptors and processes, as text: "v1 address=1 sockets=3 life=5,6 board=7 generation=2
 * workers=0:123:0,1:124:1". The pid in front proves that the variable is meant for us and not for the program
 * that started us.
 */
#include "fcgi/process/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/text.h"

#define VARIABLE  "PARLEY_HANDOVER"
#define CAP_TEXT  8192
#define FORMAT    "v1 %ld address=%d life=%d,%d board=%d generation=%u"
#define FORMAT_IN FORMAT "%n"

static char **arguments;
static char program[PATH_MAX];
static struct handover received;
static bool has_received;

/* ---- which program we are ---- */

static void remember_program(const char *name)
{
    char directory[PATH_MAX];
    ssize_t len;

    if (name != NULL && name[0] == '/') {
        text_copy(program, sizeof program, name);
        return;
    }
    if (name != NULL && strchr(name, '/') != NULL && getcwd(directory, sizeof directory) != NULL) {
        struct buf path;

        buf_init(&path, sizeof program - 1);
        buf_putf(&path, "%s/%s", directory, name);
        text_copy(program, sizeof program, buf_str(&path));
        buf_free(&path);
        return;
    }
    len = readlink("/proc/self/exe", program, sizeof program - 1);
    program[len > 0 ? len : 0] = '\0';
}

const char *handover_program(void)
{
    return program;
}

/* ---- as text ---- */

static void put_handover(const struct handover *handover, struct buf *out)
{
    buf_putf(out, FORMAT, (long)getpid(), handover->by_address, handover->life_fds[0],
             handover->life_fds[1], handover->board_fd, handover->generation);
    buf_puts(out, " sockets=");
    for (size_t i = 0; i < handover->socket_count; i++)
        buf_putf(out, "%s%d", i == 0 ? "" : ",", handover->sockets[i]);
    buf_puts(out, " workers=");
    for (size_t i = 0; i < handover->worker_count; i++)
        buf_putf(out, "%s%d:%d:%d", i == 0 ? "" : ",", handover->workers[i].slot,
                 (int)handover->workers[i].pid, handover->workers[i].leaving);
}

static bool parse_sockets(const char **at, struct handover *out)
{
    char *end;

    if (!text_starts_with(*at, " sockets="))
        return false;
    for (*at += strlen(" sockets="); **at >= '0' && **at <= '9';
         *at = *end == ',' ? end + 1 : end) {
        int fd = (int)strtol(*at, &end, 10);

        if (out->socket_count < HANDOVER_SOCKETS)
            out->sockets[out->socket_count++] = fd;
    }
    return out->socket_count > 0;
}

static bool parse_workers(const char *at, struct handover *out)
{
    char *end;

    if (!text_starts_with(at, " workers="))
        return false;
    for (at += strlen(" workers="); *at >= '0' && *at <= '9'; at = *end == ',' ? end + 1 : end) {
        struct handover_worker *worker = &out->workers[out->worker_count];

        worker->slot = (int)strtol(at, &end, 10);
        if (*end != ':')
            return false;
        worker->pid = (pid_t)strtol(end + 1, &end, 10);
        worker->leaving = *end == ':' && strtol(end + 1, &end, 10) != 0;
        if (worker->slot < 0 || worker->slot >= SCOREBOARD_SLOTS || worker->pid <= 1 ||
            out->worker_count == SCOREBOARD_SLOTS - 1)
            return false;
        out->worker_count++;
    }
    return *at == '\0';
}

static bool parse(const char *text, struct handover *out)
{
    int address = 0, read = 0;
    long pid = 0;

    if (sscanf(text, FORMAT_IN, &pid, &address, &out->life_fds[0], &out->life_fds[1],
               &out->board_fd, &out->generation, &read) != 6 ||
        read == 0 || pid != (long)getpid())
        return false;
    out->by_address = address != 0;
    text += read;
    return parse_sockets(&text, out) && parse_workers(text, out);
}

/* ---- descriptors ---- */

static void set_close_on_exec(const struct handover *handover, bool on)
{
    int flag = on ? FD_CLOEXEC : 0;

    for (size_t i = 0; i < handover->socket_count; i++)
        fcntl(handover->sockets[i], F_SETFD, flag);
    fcntl(handover->life_fds[0], F_SETFD, flag);
    fcntl(handover->life_fds[1], F_SETFD, flag);
    if (handover->board_fd >= 0)
        fcntl(handover->board_fd, F_SETFD, flag);
}

/* ---- the module ---- */

void handover_begin(int argc, char **argv)
{
    const char *text = getenv(VARIABLE);

    (void)argc;
    arguments = argv;
    remember_program(argv[0]);
    has_received = text != NULL && parse(text, &received);
    unsetenv(VARIABLE);
    if (has_received)
        set_close_on_exec(&received, true);
}

const struct handover *handover_received(void)
{
    return has_received ? &received : NULL;
}

void handover_exec(const struct handover *handover)
{
    struct buf text;
    int error = ENOMEM;

    buf_init(&text, CAP_TEXT);
    put_handover(handover, &text);
    if (!text.failed && setenv(VARIABLE, buf_str(&text), 1) == 0) {
        set_close_on_exec(handover, false);
        execv(program, arguments);
        error = errno;
        set_close_on_exec(handover, true);
        unsetenv(VARIABLE);
    }
    buf_free(&text);
    errno = error;
}
