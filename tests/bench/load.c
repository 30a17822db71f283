/*
 * load: opens many chat streams at the same time and checks each of them to the last delta. One thread,
 * epoll. The provider behind the server is mock.c, whose deltas say when they left and whose they are.
 *
 * usage: load PORT STREAMS DELTAS PACE_MS RAMP_MS
 *
 * Prints "full" once every stream has its first delta (the moment to look at memory), and at the end lines
 * "name value": streams complete failed deltas frames wall_ms first_p50_us first_p99_us late_p50_us late_p99_us
 * late_max_us. A stream is complete when the head said 200, all its deltas came in order, none was another
 * stream's, and the closing frame and [DONE] were there. Exit status 1 when one was not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS    256
#define IDLE_MS   30000 /* nothing at all for so long: give up */
#define LINE_SIZE 8192

struct line {
    char text[LINE_SIZE];
    size_t len;
};

struct stream {
    int fd;
    long id;
    bool sent, status_ok, closing, done, wrong;
    enum { HEAD, CHUNK_SIZE, CHUNK_DATA, CHUNK_END } part; /* of the HTTP reply */
    size_t chunk_left;
    struct line http, sse; /* the unfinished line of each */
    long deltas;
    int64_t begun_us, last_stamp;
};

struct figures {
    long streams, started, ended, complete, reported, first_count, late_count, frames;
    uint32_t *first_us, *late_us;
    bool full;
};

static struct {
    uint16_t port;
    long streams, deltas, pace_ms, ramp_ms;
} options;

static struct figures figures;
static int poller;

static int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void stream_end(struct stream *stream, const char *why)
{
    bool complete = stream->status_ok && stream->done && stream->closing && !stream->wrong &&
                    stream->deltas == options.deltas;

    close(stream->fd);
    stream->fd = -1;
    figures.ended++;
    figures.complete += complete;
    if (!complete && figures.reported++ < 5)
        fprintf(stderr,
                "load: stream %ld: %s; %ld of %ld deltas, 200 %d, end %d, [DONE] %d, wrong %d\n",
                stream->id, why, stream->deltas, options.deltas, stream->status_ok, stream->closing,
                stream->done, stream->wrong);
}

static void note_first(const struct stream *stream, int64_t now)
{
    figures.first_us[figures.first_count++] = (uint32_t)(now - stream->begun_us);
    if (figures.first_count == options.streams && !figures.full) {
        figures.full = true;
        puts("full");
        fflush(stdout);
    }
}

/* Every "[MICROSECONDS/ID] " in a data line; several when the server put deltas together. */
static void note_deltas(struct stream *stream, const char *line, int64_t now)
{
    long long stamp;
    long id;

    figures.frames += strchr(line, '[') != NULL;
    for (const char *at = strchr(line, '['); at != NULL; at = strchr(at + 1, '[')) {
        if (sscanf(at, "[%lld/%ld]", &stamp, &id) != 2)
            continue;
        if (id != stream->id || stamp < stream->last_stamp || stream->deltas == options.deltas)
            stream->wrong = true;
        stream->last_stamp = stamp;
        if (stream->deltas++ == 0)
            note_first(stream, now);
        if (figures.late_count < options.streams * options.deltas)
            figures.late_us[figures.late_count++] = (uint32_t)(now - stamp);
    }
}

/* A line of the head, or the size of a chunk. */
static void take_http_line(struct stream *stream)
{
    if (stream->part == HEAD) {
        if (strncmp(stream->http.text, "HTTP/1.1 200", 12) == 0)
            stream->status_ok = true;
        if (stream->http.text[0] == '\0')
            stream->part = CHUNK_SIZE;
    } else if (stream->part == CHUNK_END) {
        stream->part = CHUNK_SIZE;
    } else {
        stream->chunk_left = strtoul(stream->http.text, NULL, 16);
        stream->part = CHUNK_DATA;
        if (stream->chunk_left == 0)
            stream_end(stream, "whole");
    }
}

static void take_sse_line(struct stream *stream, int64_t now)
{
    const char *line = stream->sse.text;

    if (strcmp(line, "data: [DONE]") == 0)
        stream->done = true;
    else if (strncmp(line, "data: ", 6) != 0)
        return;
    else if (strstr(line, "\"done\":true") != NULL)
        stream->closing = strstr(line, "\"error\"") == NULL;
    else
        note_deltas(stream, line, now);
}

/* Collects a byte; true when a line is complete (its end cut off). */
static bool line_add(struct line *line, char byte)
{
    if (byte != '\n') {
        if (line->len < LINE_SIZE - 1)
            line->text[line->len++] = byte;
        return false;
    }
    if (line->len > 0 && line->text[line->len - 1] == '\r')
        line->len--;
    line->text[line->len] = '\0';
    line->len = 0;
    return true;
}

static void take_bytes(struct stream *stream, const char *bytes, size_t len, int64_t now)
{
    for (size_t i = 0; i < len && stream->fd >= 0; i++) {
        bool data = stream->part == CHUNK_DATA;
        struct line *line = data ? &stream->sse : &stream->http;

        if (line_add(line, bytes[i])) {
            if (data)
                take_sse_line(stream, now);
            else
                take_http_line(stream);
        }
        if (data && --stream->chunk_left == 0)
            stream->part = CHUNK_END;
    }
}

static void send_request(struct stream *stream)
{
    char body[200], request[600];
    int body_len = snprintf(body, sizeof(body), "{\"message\":\"bench %ld n=%ld d=%ld\"}",
                            stream->id, options.deltas, options.pace_ms);
    int len = snprintf(
        request, sizeof(request),
        "POST /api/chat/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
        body_len, body);

    stream->sent = true;
    if (send(stream->fd, request, (size_t)len, MSG_NOSIGNAL) != len) {
        stream_end(stream, "could not send");
        return;
    }
    epoll_ctl(poller, EPOLL_CTL_MOD, stream->fd,
              &(struct epoll_event){ .events = EPOLLIN, .data.ptr = stream });
}

static void on_event(struct stream *stream)
{
    char bytes[65536];

    if (!stream->sent) {
        send_request(stream);
        return;
    }
    ssize_t got = recv(stream->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        stream_end(stream, got == 0 ? "closed" : strerror(errno));
    else
        take_bytes(stream, bytes, (size_t)got, now_us());
}

static void stream_begin(struct stream *stream, long id)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(options.port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    stream->id = id;
    stream->begun_us = now_us();
    stream->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (stream->fd < 0) {
        perror("load: socket");
        exit(2);
    }
    if (connect(stream->fd, (struct sockaddr *)&address, sizeof(address)) != 0 &&
        errno != EINPROGRESS) {
        stream_end(stream, strerror(errno));
        return;
    }
    epoll_ctl(poller, EPOLL_CTL_ADD, stream->fd,
              &(struct epoll_event){ .events = EPOLLOUT, .data.ptr = stream });
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t at_percent(const uint32_t *sorted, long count, double percent)
{
    return count == 0 ? 0 : sorted[(long)((double)(count - 1) * percent / 100)];
}

static void report(int64_t wall_us)
{
    qsort(figures.first_us, (size_t)figures.first_count, sizeof(uint32_t), by_size);
    qsort(figures.late_us, (size_t)figures.late_count, sizeof(uint32_t), by_size);
    printf("streams %ld\ncomplete %ld\nfailed %ld\ndeltas %ld\nframes %ld\nwall_ms %lld\n",
           options.streams, figures.complete, options.streams - figures.complete,
           figures.late_count, figures.frames, (long long)wall_us / 1000);
    printf("first_p50_us %u\nfirst_p99_us %u\n",
           at_percent(figures.first_us, figures.first_count, 50),
           at_percent(figures.first_us, figures.first_count, 99));
    printf("late_p50_us %u\nlate_p99_us %u\nlate_max_us %u\n",
           at_percent(figures.late_us, figures.late_count, 50),
           at_percent(figures.late_us, figures.late_count, 99),
           at_percent(figures.late_us, figures.late_count, 100));
}

/* Streams whose time has come, spread evenly over the ramp. */
static void start_due(struct stream *streams, int64_t begun_us)
{
    int64_t ramp_us = options.ramp_ms * 1000;
    int64_t since = now_us() - begun_us;
    long due =
        ramp_us == 0 || since >= ramp_us ? options.streams : since * options.streams / ramp_us + 1;

    for (; figures.started < due && figures.started < options.streams; figures.started++)
        stream_begin(&streams[figures.started], figures.started);
}

static void run(struct stream *streams)
{
    static struct epoll_event events[EVENTS];
    int64_t begun_us = now_us();
    int64_t heard_us = begun_us;

    while (figures.ended < options.streams) {
        start_due(streams, begun_us);
        int count =
            epoll_wait(poller, events, EVENTS, figures.started < options.streams ? 1 : 1000);
        if (count > 0)
            heard_us = now_us();
        if (now_us() - heard_us > IDLE_MS * 1000)
            break;
        for (int i = 0; i < count; i++) {
            struct stream *stream = events[i].data.ptr;
            if (stream->fd >= 0)
                on_event(stream);
        }
    }
    report(now_us() - begun_us);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: load PORT STREAMS DELTAS PACE_MS RAMP_MS\n");
        return 2;
    }
    options.port = (uint16_t)atoi(argv[1]);
    options.streams = atol(argv[2]);
    options.deltas = atol(argv[3]);
    options.pace_ms = atol(argv[4]);
    options.ramp_ms = atol(argv[5]);
    struct stream *streams = calloc((size_t)options.streams, sizeof(*streams));
    figures.first_us = calloc((size_t)options.streams, sizeof(uint32_t));
    figures.late_us = calloc((size_t)(options.streams * options.deltas), sizeof(uint32_t));
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (streams == NULL || figures.first_us == NULL || figures.late_us == NULL || poller < 0) {
        perror("load");
        return 2;
    }
    run(streams);
    free(streams);
    free(figures.first_us);
    free(figures.late_us);
    return figures.complete == options.streams ? 0 : 1;
}
