/*
 * mock: a provider for load tests. Answers POST .../chat/completions with a stream of deltas at a fixed
 * pace, on thousands of connections, in one thread; HTTP/1.1 with keep-alive.
 *
 * The question says what comes: "bench ID n=DELTAS d=MILLISECONDS". Each delta's text is "[MICROSECONDS:ID]":
 * CLOCK_MONOTONIC when it was sent, so that the client (load.c) can tell how late it came and whose it is.
 * All streams of a run have the same pace, so the queue of due deltas is a list in order.
 *
 * usage: mock          prints "port N", serves on 127.0.0.1 until its stdin ends
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS      256
#define REQUEST_MAX (256 * 1024)
#define US_PER_MS   1000

struct conn {
    int fd;
    char *in; /* the request so far */
    size_t in_len, in_size;
    struct conn *next, *prev; /* in the queue of due deltas */
    bool queued;
    long id, left, pace_ms, deltas;
    int64_t due_us;
};

static struct conn *queue_head, *queue_tail;
static int poller;
static long broken; /* connections whose client did not read */

static int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void queue_add(struct conn *conn)
{
    conn->next = NULL;
    conn->prev = queue_tail;
    if (queue_tail != NULL)
        queue_tail->next = conn;
    else
        queue_head = conn;
    queue_tail = conn;
    conn->queued = true;
}

static void queue_remove(struct conn *conn)
{
    if (!conn->queued)
        return;
    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        queue_head = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    else
        queue_tail = conn->prev;
    conn->queued = false;
}

/* Not freed: events of this round may still name it. The process is short-lived. */
static void conn_close(struct conn *conn)
{
    queue_remove(conn);
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
    free(conn->in);
    conn->in = NULL;
}

static bool conn_send(struct conn *conn, const char *bytes, size_t len)
{
    if (send(conn->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len)
        return true;
    if (errno == EAGAIN)
        broken++;
    conn_close(conn);
    return false;
}

/* One HTTP chunk. */
static bool send_chunk(struct conn *conn, const char *data)
{
    char out[1024];
    int len = snprintf(out, sizeof(out), "%zx\r\n%s\r\n", strlen(data), data);
    return conn_send(conn, out, (size_t)len);
}

#define FRAME                                                                                      \
    "data: "                                                                                       \
    "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"      \
    "\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":%s}]}\n\n"

static bool send_frame(struct conn *conn, const char *delta, const char *finish)
{
    char frame[512];
    snprintf(frame, sizeof(frame), FRAME, delta, finish);
    return send_chunk(conn, frame);
}

static void send_end(struct conn *conn)
{
    char usage[400];

    snprintf(
        usage, sizeof(usage),
        "data: "
        "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
        "\"model\":\"bench\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":%"
        "ld,"
        "\"total_tokens\":%ld}}\n\ndata: [DONE]\n\n",
        conn->deltas, conn->deltas + 10);
    if (send_frame(conn, "{}", "\"stop\"") && send_chunk(conn, usage))
        conn_send(conn, "0\r\n\r\n", 5);
}

static void send_delta(struct conn *conn)
{
    char delta[100];

    queue_remove(conn);
    snprintf(delta, sizeof(delta), "{\"content\":\"[%lld:%ld] \"}", (long long)now_us(), conn->id);
    if (!send_frame(conn, delta, "null"))
        return;
    if (--conn->left == 0) {
        send_end(conn);
        return;
    }
    conn->due_us += conn->pace_ms * US_PER_MS;
    queue_add(conn);
}

/* The last "bench ..." in the body; false when it is none of ours. */
static bool read_question(struct conn *conn, const char *body)
{
    const char *last = NULL;

    for (const char *at = strstr(body, "bench "); at != NULL; at = strstr(at + 1, "bench "))
        last = at;
    return last != NULL &&
           sscanf(last, "bench %ld n=%ld d=%ld", &conn->id, &conn->deltas, &conn->pace_ms) == 3 &&
           conn->deltas > 0;
}

static void begin_reply(struct conn *conn, const char *body)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    static const char bad[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";

    if (!read_question(conn, body)) {
        conn_send(conn, bad, sizeof(bad) - 1);
        return;
    }
    if (!conn_send(conn, head, sizeof(head) - 1) ||
        !send_frame(conn, "{\"role\":\"assistant\",\"content\":\"\"}", "null"))
        return;
    conn->left = conn->deltas;
    conn->due_us = now_us() + conn->pace_ms * US_PER_MS;
    queue_add(conn);
}

/* Answer the request if it is there whole. */
static void look_at_request(struct conn *conn)
{
    char *body = strstr(conn->in, "\r\n\r\n");
    if (body == NULL)
        return;
    body += 4;
    const char *length = strcasestr(conn->in, "\r\nContent-Length:");
    size_t len = length != NULL && length < body ? strtoul(length + 17, NULL, 10) : 0;
    if ((size_t)(conn->in + conn->in_len - body) < len)
        return;
    conn->in_len = 0;
    begin_reply(conn, body);
}

static void on_readable(struct conn *conn)
{
    if (conn->in_size - conn->in_len < 4096) {
        conn->in_size = conn->in_size * 2 + 8192;
        conn->in = realloc(conn->in, conn->in_size);
    }
    if (conn->in == NULL || conn->in_size > REQUEST_MAX) {
        conn_close(conn);
        return;
    }
    ssize_t got =
        recv(conn->fd, conn->in + conn->in_len, conn->in_size - conn->in_len - 1, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        conn_close(conn);
        return;
    }
    conn->in_len += (size_t)got;
    conn->in[conn->in_len] = '\0';
    look_at_request(conn);
}

static void on_connect(int listener)
{
    int one = 1;
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *conn = calloc(1, sizeof(*conn));
        if (conn == NULL) {
            close(fd);
            return;
        }
        conn->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        epoll_ctl(poller, EPOLL_CTL_ADD, fd,
                  &(struct epoll_event){ .events = EPOLLIN, .data.ptr = conn });
    }
}

static int open_listener(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        perror("mock: listen");
        exit(1);
    }
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static int until_due_ms(void)
{
    if (queue_head == NULL)
        return -1;
    int64_t us = queue_head->due_us - now_us();
    return us <= 0 ? 0 : (int)((us + 999) / 1000);
}

int main(void)
{
    static struct epoll_event events[EVENTS];
    static struct conn listening, input; /* their addresses tell the events apart */
    int listener = open_listener();

    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener,
              &(struct epoll_event){ .events = EPOLLIN, .data.ptr = &listening });
    epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO,
              &(struct epoll_event){ .events = EPOLLIN, .data.ptr = &input });
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, until_due_ms());
        for (int i = 0; i < count; i++) {
            struct conn *conn = events[i].data.ptr;
            if (conn == &input) {
                if (broken > 0)
                    fprintf(stderr, "mock: %ld connections were not read and closed\n", broken);
                return 0;
            }
            if (conn == &listening)
                on_connect(listener);
            else if (conn->fd >= 0)
                on_readable(conn);
        }
        while (queue_head != NULL && queue_head->due_us <= now_us())
            send_delta(queue_head);
    }
}
