/*
 * load: opens many chat streams at the same time and checks each of them to the last delta. One thread,
 * epoll. The provider behind the server is mock.c, whose deltas say when they left and whose they are.
 *
 * usage: load NAME=VALUE...
 *   port, path, streams, deltas, pace (ms)   what is asked of whom; required but path
 *   ramp=MS        the streams begin spread over so long
 *   warm=ROUNDS    so many turns of each stream's conversation before it counts
 *   seconds=S      go on with turns in the same conversations until then; without it, one turn each
 *   raw=1          the provider's own bytes come, without a closing frame of ours
 *   wait=1         after the warm-up say "ready" and go on when a line comes in
 *
 * Prints "full" once every stream has its first delta (the moment to look at memory), and at the end lines
 * "name value": streams replies failed deltas frames wall_us first_p50_us first_p99_us late_p50_us late_p99_us
 * late_max_us. A reply is complete when the head said 200, all its deltas came in order, none was another
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
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS    256
#define IDLE_MS   30000 /* nothing at all for so long: give up */
#define LINE_SIZE 8192
#define LATE_MAX  10000000 /* latenesses that are kept of an open-ended run */

struct line {
    char text[LINE_SIZE];
    size_t len;
};

struct stream {
    int fd;
    long id;
    bool sent, status_ok, closing, done, wrong;
    long round;
    char conversation[80];
    enum { HEAD, CHUNK_SIZE, CHUNK_DATA, CHUNK_END } part; /* of the HTTP reply */
    bool
        sized; /* the reply has a Content-Length: Apache says it where the whole of a CGI's answer came at once */
    size_t chunk_left;
    struct line http, sse; /* the unfinished line of each */
    long deltas;
    int64_t begun_us, last_stamp;
};

struct figures {
    long started, ended, replies, failed, opened;
    long first_count, late_count, late_size, frames;
    uint32_t *first_us, *late_us;
    int64_t until_us; /* no turn begins after it */
};

/* Turns before `warm` are not counted. */
static struct {
    long port, streams, deltas, pace, ramp, warm, seconds, raw, wait;
    const char *path;
} options = { .path = "/api/chat/stream" };

static struct figures figures;
static int poller;

static int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void stream_begin(struct stream *stream);

static bool counts(const struct stream *stream)
{
    return stream->round >= options.warm;
}

/* Is another turn of this stream due at once? The end of the warm-up is waited for by all. */
static bool goes_on(const struct stream *stream)
{
    if (stream->round < options.warm)
        return true;
    return stream->round > options.warm && now_us() < figures.until_us;
}

static void turn_end(struct stream *stream, const char *why)
{
    bool complete = stream->status_ok && stream->done && (stream->closing || options.raw) &&
                    !stream->wrong && stream->deltas == options.deltas;

    close(stream->fd);
    stream->fd = -1;
    if (complete && counts(stream))
        figures.replies++;
    if (!complete && figures.failed++ < 5)
        fprintf(stderr,
                "load: stream %ld: %s; %ld of %ld deltas, 200 %d, end %d, [DONE] %d, wrong %d\n",
                stream->id, why, stream->deltas, options.deltas, stream->status_ok, stream->closing,
                stream->done, stream->wrong);
    stream->round++;
    if (complete && goes_on(stream))
        stream_begin(stream);
    else
        figures.ended++;
}

static void note_first(const struct stream *stream, int64_t now)
{
    if (!counts(stream))
        return;
    if (stream->round == options.warm && ++figures.opened == options.streams) {
        puts("full");
        fflush(stdout);
    }
    if (figures.first_count < figures.late_size)
        figures.first_us[figures.first_count++] = (uint32_t)(now - stream->begun_us);
}

/* Every "[MICROSECONDS:ID] " in a data line; several when the server put deltas together. */
static void note_deltas(struct stream *stream, const char *line, int64_t now)
{
    long long stamp;
    long id, deltas = stream->deltas;

    for (const char *at = strchr(line, '['); at != NULL; at = strchr(at + 1, '[')) {
        if (sscanf(at, "[%lld:%ld]", &stamp, &id) != 2)
            continue;
        if (id != stream->id || stamp < stream->last_stamp || stream->deltas == options.deltas)
            stream->wrong = true;
        stream->last_stamp = stamp;
        if (stream->deltas++ == 0)
            note_first(stream, now);
        if (counts(stream) && figures.late_count < figures.late_size)
            figures.late_us[figures.late_count++] = (uint32_t)(now - stamp);
    }
    figures.frames += counts(stream) && stream->deltas > deltas;
}

/* A line of the head, or the size of a chunk. */
static void take_http_line(struct stream *stream)
{
    if (stream->part == HEAD) {
        if (strncmp(stream->http.text, "HTTP/1.1 200", 12) == 0)
            stream->status_ok = true;
        if (!stream->status_ok)
            turn_end(stream, stream->http.text);
        else if (strncasecmp(stream->http.text, "content-length:", 15) == 0)
            stream->sized = (stream->chunk_left = strtoul(stream->http.text + 15, NULL, 10)) > 0;
        else if (stream->http.text[0] == '\0')
            stream->part = stream->sized ? CHUNK_DATA : CHUNK_SIZE;
    } else if (stream->part == CHUNK_END) {
        stream->part = CHUNK_SIZE;
    } else {
        stream->chunk_left = strtoul(stream->http.text, NULL, 16);
        stream->part = CHUNK_DATA;
        if (stream->chunk_left == 0)
            turn_end(stream, "whole");
    }
}

/* The server's name for the conversation, for the next turn. */
static void note_conversation(struct stream *stream, const char *line)
{
    const char *at = strstr(line, "\"conversation_id\":");

    if (at != NULL && stream->conversation[0] == '\0')
        sscanf(at + 18, " \"%79[^\"]", stream->conversation); /* Python puts a space there */
}

static void take_sse_line(struct stream *stream, int64_t now)
{
    const char *line = stream->sse.text;

    if (strcmp(line, "data: [DONE]") == 0)
        stream->done = true;
    else if (strncmp(line, "data: ", 6) != 0)
        return;
    note_conversation(stream, line);
    if (strstr(line, "\"done\":true") != NULL || strstr(line, "\"done\": true") != NULL)
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
    long round = stream->round; /* the bytes behind the end of a turn are none of the next one's */

    for (size_t i = 0; i < len && stream->round == round; i++) {
        bool data = stream->part == CHUNK_DATA;
        struct line *line = data ? &stream->sse : &stream->http;

        if (line_add(line, bytes[i])) {
            if (data)
                take_sse_line(stream, now);
            else
                take_http_line(stream);
        }
        if (data && stream->round == round && --stream->chunk_left == 0) {
            stream->part = CHUNK_END;
            if (stream->sized)
                turn_end(stream, "whole");
        }
    }
}

static void send_request(struct stream *stream)
{
    char body[400], request[900], conversation[120] = "";

    if (stream->conversation[0] != '\0')
        snprintf(conversation, sizeof(conversation), ",\"conversation_id\":\"%s\"",
                 stream->conversation);
    int body_len = snprintf(body, sizeof(body), "{\"message\":\"bench %ld n=%ld d=%ld\"%s}",
                            stream->id, options.deltas, options.pace, conversation);
    int len = snprintf(request, sizeof(request),
                       "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                       "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
                       options.path, body_len, body);

    stream->sent = true;
    if (send(stream->fd, request, (size_t)len, MSG_NOSIGNAL) != len) {
        turn_end(stream, "could not send");
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
        turn_end(stream, got == 0 ? "closed" : strerror(errno));
    else
        take_bytes(stream, bytes, (size_t)got, now_us());
}

/* A turn: the next one of the stream's conversation. */
static void stream_begin(struct stream *stream)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)options.port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    stream->sent = stream->sized = stream->status_ok = stream->closing = stream->done =
        stream->wrong = false;
    stream->part = HEAD;
    stream->chunk_left = stream->http.len = stream->sse.len = 0;
    stream->deltas = 0;
    stream->last_stamp = 0;
    stream->begun_us = now_us();
    stream->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (stream->fd < 0) {
        perror("load: socket");
        exit(2);
    }
    if (connect(stream->fd, (struct sockaddr *)&address, sizeof(address)) != 0 &&
        errno != EINPROGRESS) {
        turn_end(stream, strerror(errno));
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
    printf("streams %ld\nreplies %ld\nfailed %ld\ndeltas %ld\nframes %ld\nwall_us %lld\n",
           options.streams, figures.replies, figures.failed, figures.late_count, figures.frames,
           (long long)wall_us);
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
    int64_t ramp_us = options.ramp * 1000;
    int64_t since = now_us() - begun_us;
    long due =
        ramp_us == 0 || since >= ramp_us ? options.streams : since * options.streams / ramp_us + 1;

    for (; figures.started < due && figures.started < options.streams; figures.started++) {
        streams[figures.started].id = figures.started;
        stream_begin(&streams[figures.started]);
    }
}

/* All streams, until each of them has ended its turns of this phase. */
static void run(struct stream *streams)
{
    static struct epoll_event events[EVENTS];
    int64_t begun_us = now_us();
    int64_t heard_us = begun_us;

    figures.started = figures.ended = 0;
    while (figures.ended < options.streams) {
        start_due(streams, begun_us);
        int count =
            epoll_wait(poller, events, EVENTS, figures.started < options.streams ? 1 : 1000);
        if (count > 0)
            heard_us = now_us();
        if (now_us() - heard_us > IDLE_MS * 1000) {
            figures.failed += options.streams - figures.ended;
            break;
        }
        for (int i = 0; i < count; i++) {
            struct stream *stream = events[i].data.ptr;
            if (stream->fd >= 0)
                on_event(stream);
        }
    }
}

static void wait_for_line(void)
{
    puts("ready");
    fflush(stdout);
    for (int c = getchar(); c != '\n' && c != EOF;)
        c = getchar();
}

static void read_option(const char *argument)
{
    static const struct {
        const char *name;
        long *value;
    } numbers[] = {
        { "port=", &options.port },       { "streams=", &options.streams },
        { "deltas=", &options.deltas },   { "pace=", &options.pace },
        { "ramp=", &options.ramp },       { "warm=", &options.warm },
        { "seconds=", &options.seconds }, { "raw=", &options.raw },
        { "wait=", &options.wait },
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (strncmp(argument, numbers[i].name, strlen(numbers[i].name)) == 0) {
            *numbers[i].value = atol(argument + strlen(numbers[i].name));
            return;
        }
    if (strncmp(argument, "path=", 5) == 0) {
        options.path = argument + 5;
        return;
    }
    fprintf(stderr, "load: what is %s?\n", argument);
    exit(2);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        read_option(argv[i]);
    if (options.port == 0 || options.streams == 0 || options.deltas == 0) {
        fprintf(stderr, "usage: load port=N streams=N deltas=N [NAME=VALUE...]\n");
        return 2;
    }
    struct stream *streams = calloc((size_t)options.streams, sizeof(*streams));
    figures.late_size = options.streams * options.deltas;
    if (options.seconds > 0)
        figures.late_size = LATE_MAX;
    figures.first_us = calloc((size_t)figures.late_size, sizeof(uint32_t));
    figures.late_us = calloc((size_t)figures.late_size, sizeof(uint32_t));
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (streams == NULL || figures.first_us == NULL || figures.late_us == NULL || poller < 0) {
        perror("load");
        return 2;
    }
    if (options.warm > 0)
        run(streams);
    if (options.wait)
        wait_for_line();
    int64_t begun_us = now_us();
    figures.until_us = begun_us + options.seconds * 1000000;
    if (figures.failed == 0)
        run(streams);
    report(now_us() - begun_us);
    free(streams);
    free(figures.first_us);
    free(figures.late_us);
    return figures.failed == 0 ? 0 : 1;
}
