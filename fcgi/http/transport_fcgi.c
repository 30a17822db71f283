/*
 * transport_fcgi: libfcgi behind the transport's operations.
 *
 * libfcgi never reads from the web server. fcgi_peek has the request already, checked; it is written to a
 * memory file in records of our own making, and `ipcFd` points there whenever libfcgi reads: it cannot meet
 * a record that we did not write, and cannot wait. Whenever it writes, `ipcFd` is the socket.
 *
 * Nor does libfcgi ever close the socket: its way of closing polls up to two seconds for the peer, and the
 * loop ends requests. So FCGX_Finish_r is replaced by its parts, and `detached` and `keepConnection` are set
 * before FCGX_Accept_r (WEBSERVERS.md section 8).
 *
 * An open request costs libfcgi 17.8 KB; 8.2 KB of it, the reader, goes in transport_fcgi_settle.
 */
#include "fcgi/http/transport_fcgi.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/caps.h"
#include "common/base/log.h"
#include "fcgi/http/fcgi_peek.h"
#include "fcgi/http/transport.h"

#define RECORD_MAX     65528 /* content of a record: the largest multiple of 8 that its head can say */
#define WRITE_CREDIT   65536 /* of a send buffer of 208 KB; POLLOUT promises three quarters of it */
#define WRITE_OVERHEAD 1024  /* what the kernel charges for a small write beyond its bytes */

/* A variable that came more than once, put together at the first look-up. */
struct joined {
    struct joined *next;
    const char *name; /* points into `text` */
    const char *value;
    char text[];
};

struct fcgi_transport {
    struct transport base; /* first: the ops get this */
    FCGX_Request request;
    int socket;
    int spool;  /* the memory file; -1 once settled */
    int body;   /* the file of a long body, or -1; it does not go through libfcgi */
    bool keep;  /* the web server wants the connection back, and we have read all it sent */
    int credit; /* bytes that surely go out without another poll; see fcgi_writable */
    bool roomy; /* a unix socket with a send buffer that such a credit may rely on */
    bool measured;
    bool watched; /* somebody made a uv_poll of the socket, which makes it non-blocking */
    struct joined *joined;
    void (*finished)(void *ctx);
    void *ctx;
};

static struct fcgi_transport *of(struct transport *transport)
{
    return (struct fcgi_transport *)transport;
}

/* ---- variables ---- */

static const char *separator_of(const char *name)
{
    if (strcmp(name, "HTTP_COOKIE") == 0)
        return "; ";
    /* Set twice in nginx.conf (include and override), never sent twice by a client. */
    if (strcmp(name, "HTTP_HOST") == 0)
        return NULL;
    return strncmp(name, "HTTP_", 5) == 0 ? ", " : NULL;
}

/* Most pairs differ within a few letters: no call is worth it. */
static const char *value_in(const char *pair, const char *name)
{
    while (*name != '\0' && *pair == *name) {
        pair++;
        name++;
    }
    return *name == '\0' && *pair == '=' ? pair + 1 : NULL;
}

static const char *join(struct fcgi_transport *t, const char *name, const char *separator)
{
    size_t name_len = strlen(name), size = name_len + 1;
    for (char **pair = t->request.envp; *pair != NULL; pair++)
        if (value_in(*pair, name) != NULL)
            size += strlen(*pair) + 2;

    struct joined *joined = malloc(sizeof(*joined) + size);
    if (joined == NULL)
        return NULL;
    memcpy(joined->text, name, name_len + 1);
    char *end = joined->text + name_len + 1;
    joined->name = joined->text;
    joined->value = end;
    for (char **pair = t->request.envp; *pair != NULL; pair++) {
        const char *value = value_in(*pair, name);
        if (value == NULL)
            continue;
        if (end != joined->value)
            end = stpcpy(end, separator);
        end = stpcpy(end, value);
    }
    joined->next = t->joined;
    t->joined = joined;
    return joined->value;
}

static const char *fcgi_variable(struct transport *transport, const char *name)
{
    struct fcgi_transport *t = of(transport);
    size_t found = 0;
    const char *last = NULL;

    for (char **pair = t->request.envp; *pair != NULL; pair++) {
        const char *value = value_in(*pair, name);
        if (value != NULL) {
            last = value;
            found++;
        }
    }
    const char *separator = separator_of(name);
    if (found < 2 || separator == NULL)
        return last;
    for (struct joined *joined = t->joined; joined != NULL; joined = joined->next)
        if (strcmp(joined->name, name) == 0)
            return joined->value;
    return join(t, name, separator);
}

/* ---- reading ---- */

static enum result read_file(int fd, char *out, size_t size, size_t *got)
{
    ssize_t n = read(fd, out, size);
    while (n < 0 && errno == EINTR)
        n = read(fd, out, size);
    *got = n > 0 ? (size_t)n : 0;
    return n >= 0 ? RESULT_OK : RESULT_GONE;
}

static enum result fcgi_read(struct transport *transport, char *out, size_t size, size_t *got)
{
    struct fcgi_transport *t = of(transport);
    *got = 0;
    if (t->spool < 0)
        return RESULT_GONE;
    if (t->body >= 0)
        return read_file(t->body, out, size, got);
    t->request.ipcFd = t->spool;
    int n = FCGX_GetStr(out, size > INT_MAX ? INT_MAX : (int)size, t->request.in);
    t->request.ipcFd = t->socket;
    if (n > 0)
        *got = (size_t)n;
    return FCGX_GetError(t->request.in) == 0 ? RESULT_OK : RESULT_GONE;
}

/* ---- writing ---- */

/*
 * libfcgi takes EAGAIN for the end of the stream, so the socket must block (SO_SNDTIMEO bounds it). A
 * uv_poll_t that an endpoint has put on it since the last write has changed that.
 */
static void make_blocking(struct fcgi_transport *t)
{
    if (!t->watched)
        return;
    t->watched = false;
    int flags = fcntl(t->socket, F_GETFL);
    if (flags >= 0)
        fcntl(t->socket, F_SETFL, flags & ~O_NONBLOCK);
}

/* FCGX_FFlush says -1 once and 0 ever after on a dead stream: only FCGX_GetError tells. */
static enum result out_state(const struct fcgi_transport *t)
{
    return FCGX_GetError(t->request.out) == 0 ? RESULT_OK : RESULT_GONE;
}

static enum result fcgi_write(struct transport *transport, const char *bytes, size_t len)
{
    struct fcgi_transport *t = of(transport);
    make_blocking(t);
    t->credit -= len < WRITE_CREDIT ? (int)len + WRITE_OVERHEAD : WRITE_CREDIT;
    while (len > 0 && out_state(t) == RESULT_OK) {
        int n = len > INT_MAX ? INT_MAX : (int)len;
        FCGX_PutStr(bytes, n, t->request.out);
        bytes += n;
        len -= (size_t)n;
    }
    return out_state(t);
}

static enum result fcgi_flush(struct transport *transport)
{
    struct fcgi_transport *t = of(transport);
    make_blocking(t);
    FCGX_FFlush(t->request.out);
    return out_state(t);
}

static void measure(struct fcgi_transport *t)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof address;
    int size = 0;

    t->measured = true;
    if (getsockname(t->socket, (struct sockaddr *)&address, &len) != 0 ||
        address.ss_family != AF_UNIX)
        return;
    len = sizeof size;
    t->roomy =
        getsockopt(t->socket, SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 && size >= 2 * WRITE_CREDIT;
}

/* A unix socket is writable when at most a quarter of its send buffer is taken, so what is well below the
 * rest goes out without asking again: one system call less for most deltas. */
static bool fcgi_writable(struct transport *transport)
{
    struct fcgi_transport *t = of(transport);
    struct pollfd pfd = { .fd = t->socket, .events = POLLOUT };

    if (t->credit >= CAP_FLUSH)
        return true;
    if (poll(&pfd, 1, 0) != 1 || (pfd.revents & POLLOUT) == 0)
        return false;
    if (!t->measured)
        measure(t);
    t->credit = t->roomy ? WRITE_CREDIT : 0;
    return true;
}

/* ---- hang-up ---- */

/* Every way of leaving that was measured shows as RDHUP, HUP or ERR. Readable is not among the events:
 * bytes that nobody will read would then wake the loop for ever. */
static int fcgi_watch_fd(struct transport *transport, int *hangup_events)
{
    struct fcgi_transport *t = of(transport);
    t->watched = true;
    *hangup_events = UV_DISCONNECT;
    return t->socket;
}

static bool fcgi_hung_up(struct transport *transport)
{
    struct pollfd pfd = { .fd = of(transport)->socket, .events = POLLIN | POLLRDHUP };
    if (poll(&pfd, 1, 0) != 1)
        return false;
    if ((pfd.revents & (POLLHUP | POLLERR | POLLRDHUP | POLLNVAL)) != 0)
        return true;
    char byte;
    ssize_t n = recv(pfd.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void fcgi_finish(struct transport *transport)
{
    struct fcgi_transport *t = of(transport);
    t->finished(t->ctx);
}

static const struct transport_ops ops = {
    .variable = fcgi_variable,
    .read = fcgi_read,
    .write = fcgi_write,
    .flush = fcgi_flush,
    .writable = fcgi_writable,
    .watch_fd = fcgi_watch_fd,
    .hung_up = fcgi_hung_up,
    .finish = fcgi_finish,
};

/* ---- the memory file ---- */

static bool put_record(int fd, unsigned type, unsigned id, const void *content, size_t len)
{
    unsigned char head[FCGI_HEAD_LEN] = { 1,
                                          (unsigned char)type,
                                          (unsigned char)(id >> 8),
                                          (unsigned char)id,
                                          (unsigned char)(len >> 8),
                                          (unsigned char)len,
                                          0,
                                          0 };
    struct iovec parts[] = { { head, sizeof(head) }, { (void *)(uintptr_t)content, len } };
    return writev(fd, parts, 2) == (ssize_t)(sizeof(head) + len);
}

static bool put_stream(int fd, unsigned type, unsigned id, const struct buf *content)
{
    for (size_t at = 0; at < content->len;) {
        size_t len = content->len - at;
        if (len > RECORD_MAX)
            len = RECORD_MAX;
        if (!put_record(fd, type, id, content->data + at, len))
            return false;
        at += len;
    }
    return put_record(fd, type, id, NULL, 0);
}

/* The request as a file that libfcgi can read from its beginning; -1 with errno. */
static int spool(const struct fcgi_peek *peek)
{
    const unsigned char begin[FCGI_HEAD_LEN] = { 0, FCGI_ROLE_RESPONDER, FCGI_FLAG_KEEP_CONN };
    int fd = memfd_create("request", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    if (put_record(fd, FCGI_TYPE_BEGIN, peek->request_id, begin, sizeof(begin)) &&
        put_stream(fd, FCGI_TYPE_PARAMS, peek->request_id, &peek->params) &&
        put_stream(fd, FCGI_TYPE_STDIN, peek->request_id, &peek->body) &&
        lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Out of descriptors or memory before libfcgi had it: an answer of our own, lest the web server makes one up. */
static void refuse(int fd, unsigned id)
{
    static const char reply[] =
        "Status: 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: "
        "2\r\n\r\n"
        "{\"error\":\"The server is too busy. Please try again in a few seconds.\","
        "\"code\":\"overloaded\",\"status\":\"error\"}\n";
    static const unsigned char end[FCGI_HEAD_LEN] = { 0 };

    if (put_record(fd, FCGI_TYPE_STDOUT, id, reply, sizeof reply - 1) &&
        put_record(fd, FCGI_TYPE_STDOUT, id, NULL, 0))
        put_record(fd, FCGI_TYPE_END, id, end, sizeof end);
}

/* ---- life ---- */

enum result transport_fcgi_init(void)
{
    /* libfcgi's handlers only set a flag; SIGTERM would no longer reach the loop. */
    static const int signals[] = { SIGPIPE, SIGUSR1, SIGTERM };
    struct sigaction before[3];

    for (size_t i = 0; i < 3; i++)
        sigaction(signals[i], NULL, &before[i]);
    int rc = FCGX_Init();
    for (size_t i = 0; i < 3; i++)
        sigaction(signals[i], &before[i], NULL);
    /* A write to a connection that its peer has closed is an error, not the end of the process. */
    if (before[0].sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
    return rc == 0 ? RESULT_OK : RESULT_INTERNAL;
}

enum result transport_fcgi_open(struct fcgi_peek *peek, int fd, void (*finished)(void *ctx),
                                void *ctx, struct transport **out)
{
    int rc;
    unsigned id = peek->request_id;
    struct fcgi_transport *t = calloc(1, sizeof(*t));
    if (t == NULL)
        goto out;
    *t = (struct fcgi_transport){ .base.ops = &ops,
                                  .socket = fd,
                                  .spool = spool(peek),
                                  .body = peek->file,
                                  .keep = peek->keep_conn && !peek->cut,
                                  .finished = finished,
                                  .ctx = ctx };
    if (peek->file >= 0 && lseek(peek->file, 0, SEEK_SET) != 0)
        log_error("request_body_failed", LOG_STR("error", strerror(errno)));
    peek->file = -1;
    fcgi_peek_free(peek);
    if (t->spool < 0) {
        log_error(
            "request_spool_failed", LOG_STR("error", strerror(errno)),
            LOG_STR("remedy", "more open files (LimitNOFILE=, ulimit -n), or fewer MAX_STREAMS"));
        refuse(fd, id);
        goto out;
    }
    FCGX_InitRequest(&t->request, -1, 0);
    t->request.ipcFd = t->spool;
    t->request.keepConnection = 1;
    t->request.detached = 1;
    rc = FCGX_Accept_r(&t->request); /* a failure has closed ipcFd */
    if (rc != 0) {
        log_error("request_refused_by_libfcgi", LOG_INT("rc", rc));
        goto out;
    }
    t->request.ipcFd = fd;
    *out = &t->base;
    return RESULT_OK;
out:
    if (t != NULL && t->body >= 0)
        close(t->body);
    free(t);
    return RESULT_INTERNAL;
}

static void close_body(struct fcgi_transport *t)
{
    if (t->body >= 0)
        close(t->body);
    t->body = -1;
}

void transport_fcgi_settle(struct transport *transport)
{
    struct fcgi_transport *t = of(transport);
    FCGX_FreeStream(&t->request.in);
    close(t->spool);
    close_body(t);
    t->spool = -1;
}

bool transport_fcgi_close(struct transport *transport, bool send_end)
{
    struct fcgi_transport *t = of(transport);
    bool sent = false;
    if (send_end && out_state(t) == RESULT_OK) {
        make_blocking(t);
        /* Closing `out` last lets its end and END_REQUEST leave in one write. */
        FCGX_FClose(t->request.err);
        FCGX_FClose(t->request.out);
        sent = out_state(t) == RESULT_OK;
    }
    bool keep = sent && t->keep;
    if (t->spool >= 0)
        close(t->spool);
    close_body(t);
    FCGX_Free(&t->request, 0);
    for (struct joined *next, *joined = t->joined; joined != NULL; joined = next) {
        next = joined->next;
        free(joined);
    }
    free(t);
    return keep;
}
