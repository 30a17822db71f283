/*
 * transport_cgi: stdin, stdout and the environment behind the transport's operations.
 *
 * Output descriptors are non-blocking where they can be, and every wait is a poll with a deadline. stdin is
 * read only as far as CONTENT_LENGTH says where it says something (RFC 3875 4.2): not every web server
 * closes it. Hang-up is POLLERR or POLLHUP of stdout; RDHUP would be wrong, because mod_cgid's stdin and
 * stdout are one socket that is half-closed from the start (WEBSERVERS.md section 3). UV_PRIORITIZED is the
 * libuv event that asks for just these two: they are always reported, and urgent data never comes.
 *
 * SIGTERM, by which web servers tell a CGI that its client has gone, is a hang-up that no pipe reports: who watches is
 * told by transport->hang_up.
 *
 * One thread: the main one is request thread first and loop afterwards.
 */
#include "fcgi/http/transport_cgi.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "fcgi/app.h"
#include "fcgi/http/intake.h"
#include "fcgi/http/transport.h"

#define OUT_SIZE    8192
#define DISCARD_MS  2000                /* a refused upload is read to its end for so long ... */
#define DISCARD_MAX (32u * 1024 * 1024) /* ... and so many bytes */

struct cgi_transport {
    struct transport base; /* first: the ops get this */
    struct cgi_options options;
    int64_t read_until_ms; /* monotonic */
    bool length_known;
    size_t body_left; /* when length_known */
    bool watchable;   /* stdout is a pipe or a socket */
    bool gone;
    size_t out_len;
    char out[OUT_SIZE];
};

static struct cgi_transport *of(struct transport *transport)
{
    return (struct cgi_transport *)transport;
}

static const char *cgi_variable(struct transport *transport, const char *name)
{
    (void)transport;
    return getenv(name);
}

/* ---- reading ---- */

/* Wait for `events`; false when `until_ms` has passed or poll failed. */
static bool wait_for(int fd, short events, int64_t until_ms)
{
    for (;;) {
        int64_t left = until_ms - clock_mono_ms();
        struct pollfd pfd = { .fd = fd, .events = events };
        int rc = poll(&pfd, 1, left > 0 ? (int)left : 0);
        if (rc >= 0 || errno != EINTR)
            return rc == 1;
    }
}

static enum result cgi_read(struct transport *transport, char *out, size_t size, size_t *got)
{
    struct cgi_transport *t = of(transport);
    *got = 0;
    if (t->length_known && size > t->body_left)
        size = t->body_left;
    while (size > 0) {
        if (!wait_for(t->options.in_fd, POLLIN, t->read_until_ms))
            return RESULT_GONE;
        ssize_t n = read(t->options.in_fd, out, size);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return RESULT_GONE;
        *got = (size_t)n;
        t->body_left -= t->length_known ? (size_t)n : 0;
        return RESULT_OK;
    }
    return RESULT_OK;
}

/* ---- writing ---- */

static enum result put_out(struct cgi_transport *t, const char *bytes, size_t len)
{
    while (len > 0 && !t->gone) {
        if (!wait_for(t->options.out_fd, POLLOUT, clock_mono_ms() + t->options.send_timeout_ms)) {
            t->gone = true;
            break;
        }
        ssize_t n = write(t->options.out_fd, bytes, len);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            t->gone = true;
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
    return t->gone ? RESULT_GONE : RESULT_OK;
}

static enum result cgi_flush(struct transport *transport)
{
    struct cgi_transport *t = of(transport);
    enum result result = put_out(t, t->out, t->out_len);
    t->out_len = 0;
    return result;
}

static enum result cgi_write(struct transport *transport, const char *bytes, size_t len)
{
    struct cgi_transport *t = of(transport);
    if (len > sizeof(t->out) - t->out_len && cgi_flush(transport) != RESULT_OK)
        return RESULT_GONE;
    if (len > sizeof(t->out))
        return put_out(t, bytes, len);
    memcpy(t->out + t->out_len, bytes, len);
    t->out_len += len;
    return t->gone ? RESULT_GONE : RESULT_OK;
}

/* A pipe says yes when a page is free, which may be less than CAP_FLUSH; waiting for the rest holds up
 * nobody: this process has no other client. */
static bool cgi_writable(struct transport *transport)
{
    struct pollfd pfd = { .fd = of(transport)->options.out_fd, .events = POLLOUT };
    return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLOUT) != 0;
}

/* ---- hang-up and end ---- */

static int cgi_watch_fd(struct transport *transport, int *hangup_events)
{
    struct cgi_transport *t = of(transport);
    *hangup_events = UV_PRIORITIZED;
    return t->watchable ? t->options.out_fd : -1;
}

static bool cgi_hung_up(struct transport *transport)
{
    struct cgi_transport *t = of(transport);
    struct pollfd pfd = { .fd = t->options.out_fd };
    return t->gone || (poll(&pfd, 1, 0) == 1 && pfd.revents != 0);
}

/* Apache's mod_cgid has one socket for both directions: to close it with unread bytes in it is a reset, and
 * our reply would be gone with it. */
static void discard_rest(struct cgi_transport *t)
{
    char scrap[OUT_SIZE];
    size_t got = 1, total = 0;

    t->read_until_ms = clock_mono_ms() + DISCARD_MS;
    while (!t->gone && t->length_known && t->body_left > 0 && got > 0 && total < DISCARD_MAX &&
           cgi_read(&t->base, scrap, sizeof(scrap), &got) == RESULT_OK)
        total += got;
}

static void cgi_finish(struct transport *transport)
{
    struct cgi_options options = of(transport)->options;
    cgi_flush(transport);
    discard_rest(of(transport));
    free(of(transport));
    options.finished(options.ctx);
}

static const struct transport_ops ops = {
    .variable = cgi_variable,
    .read = cgi_read,
    .write = cgi_write,
    .flush = cgi_flush,
    .writable = cgi_writable,
    .watch_fd = cgi_watch_fd,
    .hung_up = cgi_hung_up,
    .finish = cgi_finish,
};

/* Zero is not believed: behind chunked uploads it may be what a web server says that does not know. */
static void read_content_length(struct cgi_transport *t)
{
    const char *text = getenv("CONTENT_LENGTH");
    char *end = NULL;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return;
    errno = 0;
    unsigned long long length = strtoull(text, &end, 10);
    t->length_known = errno == 0 && *end == '\0' && length > 0 && length <= SIZE_MAX;
    t->body_left = t->length_known ? (size_t)length : 0;
}

enum result transport_cgi_open(const struct cgi_options *options, struct transport **out)
{
    struct stat info;
    struct cgi_transport *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return RESULT_INTERNAL;
    t->base.ops = &ops;
    t->options = *options;
    t->read_until_ms = clock_mono_ms() + options->read_timeout_ms;
    read_content_length(t);
    if (fstat(options->out_fd, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode))) {
        int flags = fcntl(options->out_fd, F_GETFL);
        t->watchable = true;
        if (flags >= 0)
            fcntl(options->out_fd, F_SETFL, flags | O_NONBLOCK);
    }
    *out = &t->base;
    return RESULT_OK;
}

void transport_cgi_hang_up(struct transport *transport)
{
    struct cgi_transport *t = of(transport);

    t->gone = true;
    shutdown(t->options.out_fd, SHUT_RDWR); /* a pipe does not mind */
    if (transport->hang_up != NULL)
        transport->hang_up(transport->hang_up_ctx);
}

/* ---- the one request of a process ---- */

struct serving {
    struct transport *transport; /* NULL once it has finished */
    uv_signal_t sigterm;
    bool closed;
};

static void on_finished(void *ctx)
{
    struct serving *serving = ctx;
    serving->transport = NULL;
}

static void on_sigterm(uv_signal_t *handle, int signal_number)
{
    struct serving *serving = handle->data;
    (void)signal_number;
    if (serving->transport != NULL)
        transport_cgi_hang_up(serving->transport);
}

static void on_closed(uv_handle_t *handle)
{
    struct serving *serving = handle->data;
    serving->closed = true;
}

/* The web server is to see the end now, and not when the store has been closed. */
static void release_stdio(void)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0)
        return;
    dup2(null_fd, STDIN_FILENO);
    dup2(null_fd, STDOUT_FILENO);
    close(null_fd);
}

int transport_cgi_serve(struct app *app)
{
    struct serving serving = { 0 };
    const struct cgi_options options = { .in_fd = STDIN_FILENO,
                                         .out_fd = STDOUT_FILENO,
                                         .read_timeout_ms = app->config->request_timeout_s * 1000,
                                         .send_timeout_ms = TRANSPORT_SEND_TIMEOUT_MS,
                                         .finished = on_finished,
                                         .ctx = &serving };

    signal(SIGPIPE, SIG_IGN);
    if (transport_cgi_open(&options, &serving.transport) != RESULT_OK)
        return 1;
    uv_signal_init(app->loop, &serving.sigterm);
    serving.sigterm.data = &serving;
    uv_signal_start(&serving.sigterm, on_sigterm, SIGTERM);

    struct exchange *exchange =
        intake_run(&intake_default, app, serving.transport, clock_mono_us());
    if (exchange != NULL)
        intake_rest(&intake_default, exchange);
    while (exchange != NULL && serving.transport != NULL)
        uv_run(app->loop, UV_RUN_ONCE);

    release_stdio();
    uv_close((uv_handle_t *)&serving.sigterm, on_closed);
    while (!serving.closed)
        uv_run(app->loop, UV_RUN_NOWAIT);
    return exchange != NULL ? 0 : 1;
}
