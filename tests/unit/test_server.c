/*
 * server and transport_fcgi over real sockets: the test is the web server and speaks raw FastCGI, the requests
 * end in a handler of its own. Server, loop and test share one thread; `pump` waits for whichever moves.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "fcgi/app.h"
#include "fcgi/http/exchange.h"
#include "fcgi/http/intake.h"
#include "fcgi/http/server.h"
#include "fcgi/http/transport.h"
#include "tests/unit/fcgi_records.h"

#define WAIT_MS 10000 /* nothing here takes as long, but under valgrind */

struct fixture {
    uv_loop_t loop;
    struct config config;
    struct app app;
    struct server *server;
    int listener;
    struct sockaddr_storage address;
    socklen_t address_len;
    struct buf request;
};

static atomic_int logged_refused, logged_timeout, logged_accept, logged_full;

static void on_log(void *ctx, const char *line)
{
    (void)ctx;
    logged_refused += strstr(line, "\"request_refused\"") != NULL;
    logged_timeout += strstr(line, "\"request_timeout\"") != NULL;
    logged_accept += strstr(line, "\"accept_failed\"") != NULL;
    logged_full += strstr(line, "\"receiving_full\"") != NULL;
}

/* ---- the handler ---- */

static struct {
    atomic_int finished;
    atomic_bool wakes;         /* the watch of /stream */
    struct exchange *exchange; /* of /stream and /flood, on the loop */
    uv_poll_t watch;
    char seen[4096]; /* variables that /variables saw */
    size_t flooded;
    int flags; /* of the socket, after a write */
} handled;

static void stand_in_finish(struct exchange *exchange)
{
    struct transport *transport = exchange->transport;
    handled.finished++;
    response_free(&exchange->response);
    request_free(&exchange->request);
    free(exchange);
    transport->ops->finish(transport);
}

static void on_watch(uv_poll_t *poll, int status, int events)
{
    struct transport *transport = handled.exchange->transport;
    (void)events;
    handled.wakes = true;
    if (status < 0 || transport->ops->hung_up(transport)) {
        uv_close((uv_handle_t *)poll, NULL);
        stand_in_finish(handled.exchange);
    }
}

static void stream_on_loop(struct exchange *exchange)
{
    int events = 0;
    int fd = exchange->transport->ops->watch_fd(exchange->transport, &events);
    handled.exchange = exchange;
    assert_int_equal(uv_poll_init(exchange->app->loop, &handled.watch, fd), 0);
    assert_int_equal(uv_poll_start(&handled.watch, events, on_watch), 0);
    assert_int_equal(
        response_begin_stream(&exchange->response, 200, "text/event-stream; charset=utf-8"),
        RESULT_OK);
    assert_int_equal(response_stream(&exchange->response, ": hi\n\n", 6), RESULT_OK);
    handled.flags = fcntl(fd, F_GETFL);
}

/* Write until the socket is full, then finish: END_REQUEST has to wait. */
static void flood_on_loop(struct exchange *exchange)
{
    static char bytes[CAP_FLUSH];
    memset(bytes, 'f', sizeof(bytes));
    response_begin_stream(&exchange->response, 200, "text/plain");
    handled.flooded = 0;
    while (response_writable(&exchange->response) && handled.flooded < 64 * 1024 * 1024) {
        assert_int_equal(response_stream(&exchange->response, bytes, sizeof(bytes)), RESULT_OK);
        handled.flooded += sizeof(bytes);
    }
    stand_in_finish(exchange);
}

static const char *or_none(const char *text)
{
    return text != NULL ? text : "(none)";
}

static void note_variables(struct exchange *exchange)
{
    struct transport *t = exchange->transport;
    snprintf(handled.seen, sizeof(handled.seen), "%s|%s|%s|%s|%s",
             or_none(t->ops->variable(t, "HTTP_COOKIE")),
             or_none(t->ops->variable(t, "HTTP_X_TWICE")),
             or_none(t->ops->variable(t, "HTTP_HOST")), or_none(t->ops->variable(t, "SERVER_NAME")),
             or_none(t->ops->variable(t, "HTTP_X")));
    assert_ptr_equal(t->ops->variable(t, "HTTP_COOKIE"), t->ops->variable(t, "HTTP_COOKIE"));
}

static void stand_in_run(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct fault fault;

    if (strcmp(request->path, "/variables") == 0)
        note_variables(exchange);
    if (strcmp(request->path, "/stream") == 0)
        exchange->on_loop = stream_on_loop;
    if (strcmp(request->path, "/flood") == 0)
        exchange->on_loop = flood_on_loop;
    if (exchange->on_loop != NULL)
        return;
    if (request_body(request, (size_t)exchange->app->config->max_body_bytes, &fault) == RESULT_OK)
        response_send(&exchange->response, 200, "text/plain", buf_str(&request->body),
                      request->body.len);
    else
        response_fault(&exchange->response, &fault);
}

static const struct intake_handler stand_in = { .run = stand_in_run, .finish = stand_in_finish };

/* ---- fixture ---- */

static void listen_unix(struct fixture *f)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&f->address;
    address->sun_family = AF_UNIX; /* bound to a name that the kernel picks, in no directory */
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)address, sizeof(sa_family_t)), 0);
}

static void listen_tcp(struct fixture *f)
{
    struct sockaddr_in *address = (struct sockaddr_in *)&f->address;
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)address, sizeof(*address)), 0);
}

static void set_up_on(struct fixture *f, void (*bind_listener)(struct fixture *f))
{
    f->config.base_path = (char *)"";
    f->config.max_body_bytes = 65536;
    f->config.max_streams = 100;
    f->config.request_timeout_s = 1;
    f->app.config = &f->config;
    f->app.loop = &f->loop;
    assert_int_equal(uv_loop_init(&f->loop), 0);
    bind_listener(f);
    assert_int_equal(listen(f->listener, 128), 0);
    f->address_len = sizeof(f->address);
    assert_int_equal(getsockname(f->listener, (struct sockaddr *)&f->address, &f->address_len), 0);
    assert_int_equal(server_open_with(&f->app, f->listener, &stand_in, &f->server), RESULT_OK);
    buf_init(&f->request, 8 * 1024 * 1024);
    logged_refused = logged_timeout = logged_accept = logged_full = 0;
    handled.finished = 0;
    handled.wakes = false;
}

static int set_up(void **state)
{
    struct fixture *f = *state = calloc(1, sizeof(*f));
    set_up_on(f, listen_unix);
    return 0;
}

static int set_up_tcp(void **state)
{
    struct fixture *f = *state = calloc(1, sizeof(*f));
    set_up_on(f, listen_tcp);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    server_close(f->server);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    close(f->listener);
    buf_free(&f->request);
    free(f);
    return 0;
}

/* ---- the web server ---- */

/* Let the loop work until something happens to it or to `fd` (-1 = none). */
static void pump(struct fixture *f, int fd, short events)
{
    struct pollfd pfds[] = { { .fd = uv_backend_fd(&f->loop), .events = POLLIN },
                             { .fd = fd, .events = events } };
    int timeout = uv_backend_timeout(&f->loop);
    poll(pfds, 2, timeout < 0 || timeout > 100 ? 100 : timeout);
    uv_run(&f->loop, UV_RUN_NOWAIT);
}

#define AWAIT(f, condition)                                                                        \
    do {                                                                                           \
        int64_t until_ = clock_mono_ms() + WAIT_MS;                                                \
        while (!(condition)) {                                                                     \
            if (clock_mono_ms() > until_)                                                          \
                fail_msg("waited too long for %s", #condition);                                    \
            pump((f), -1, 0);                                                                      \
        }                                                                                          \
    } while (0)

static int client_open(struct fixture *f)
{
    int fd = socket(f->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    int rc = connect(fd, (struct sockaddr *)&f->address, f->address_len);
    assert_true(rc == 0 || errno == EINPROGRESS);
    return fd;
}

/* Send all of it in pieces of `piece` bytes, with the loop working in between. */
static void client_send(struct fixture *f, int fd, const struct buf *bytes, size_t piece)
{
    int64_t until = clock_mono_ms() + WAIT_MS;
    for (size_t at = 0; at < bytes->len;) {
        size_t len = bytes->len - at < piece ? bytes->len - at : piece;
        ssize_t n = send(fd, bytes->data + at, len, MSG_NOSIGNAL);
        if (n > 0)
            at += (size_t)n;
        else if (errno != EAGAIN || clock_mono_ms() > until)
            fail_msg("sent %zu of %zu bytes: %s", at, bytes->len, strerror(errno));
        else
            pump(f, fd, POLLOUT);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

/* The answer's STDOUT up to END_REQUEST, or up to the end of the connection. True: END_REQUEST came. */
static bool client_receive(struct fixture *f, int fd, struct buf *out)
{
    struct buf raw;
    size_t at = 0;
    bool ended = false, closed = false;
    int64_t until = clock_mono_ms() + WAIT_MS;
    buf_init(&raw, 80 * 1024 * 1024);
    while (!ended && !closed) {
        char chunk[65536];
        ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
        if (n > 0)
            assert_true(buf_put(&raw, chunk, (size_t)n));
        else if (n == 0 || errno != EAGAIN)
            closed = true;
        else
            pump(f, fd, POLLIN);
        if (clock_mono_ms() > until)
            fail_msg("no answer after %zu bytes", raw.len);
        while (!ended && raw.len - at >= 8) {
            const unsigned char *head = (const unsigned char *)raw.data + at;
            size_t len = (size_t)head[4] << 8 | head[5];
            if (raw.len - at < 8 + len + head[6])
                break;
            if (head[1] == REC_STDOUT && out != NULL)
                assert_true(buf_put(out, head + 8, len));
            ended = head[1] == REC_END;
            at += 8 + len + head[6];
        }
    }
    buf_free(&raw);
    return ended;
}

/* Wait for the server to close the connection without an answer. */
static void assert_closed(struct fixture *f, int fd)
{
    struct buf out;
    buf_init(&out, 1024);
    assert_false(client_receive(f, fd, &out));
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

static void assert_answer(struct fixture *f, int fd, const char *status, const char *body)
{
    struct buf out;
    buf_init(&out, 1024 * 1024);
    assert_true(client_receive(f, fd, &out));
    const char *end = strstr(buf_str(&out), "\r\n\r\n");
    assert_non_null(end);
    assert_true(strncmp(out.data + strlen("Status: "), status, 3) == 0);
    if (body != NULL)
        assert_string_equal(end + 4, body);
    buf_free(&out);
}

/* A fresh connection gets an answer: the server is well. */
static void assert_serving(struct fixture *f)
{
    struct buf request;
    int fd = client_open(f);
    buf_init(&request, 65536);
    put_request(&request, 1, false, "/echo", "are you there?", 14);
    client_send(f, fd, &request, request.len);
    assert_answer(f, fd, "200", "are you there?");
    buf_free(&request);
    close(fd);
}

/* ---- good requests ---- */

static void a_request_in_one_write_is_answered_and_the_connection_closed(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    put_request(&f->request, 1, false, "/echo", "hello", 5);
    client_send(f, fd, &f->request, f->request.len);
    assert_answer(f, fd, "200", "hello");
    assert_closed(f, fd);
    AWAIT(f, server_busy(f->server) == 0);
    assert_int_equal(handled.finished, 1);
    close(fd);
}

/* Over a unix socket more than 278 of these would not even fit while nobody reads. */
static void a_request_byte_by_byte_is_answered(void **state)
{
    struct fixture *f = *state;
    char body[3000];
    int fd = client_open(f);
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    put_request(&f->request, 1, false, "/echo", body, sizeof(body) - 1);
    client_send(f, fd, &f->request, 1);
    assert_answer(f, fd, "200", body);
    close(fd);
}

static void a_kept_connection_serves_one_request_after_the_other(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    static const char *const bodies[] = { "one", "two", "three" };
    for (size_t i = 0; i < 3; i++) {
        buf_clear(&f->request);
        put_request(&f->request, (unsigned)i + 1, true, "/echo", bodies[i], strlen(bodies[i]));
        client_send(f, fd, &f->request, f->request.len);
        assert_answer(f, fd, "200", bodies[i]);
    }
    AWAIT(f, server_busy(f->server) == 0);
    assert_int_equal(handled.finished, 3);
    close(fd);
}

static void fifty_connections_at_once_are_all_answered(void **state)
{
    struct fixture *f = *state;
    int fds[50];
    char body[64];
    for (int i = 0; i < 50; i++)
        fds[i] = client_open(f);
    for (int i = 0; i < 50; i++) {
        snprintf(body, sizeof(body), "body of %d", i);
        buf_clear(&f->request);
        put_request(&f->request, 1, i % 2 == 0, "/echo", body, strlen(body));
        client_send(f, fds[i], &f->request, f->request.len);
    }
    for (int i = 49; i >= 0; i--) {
        snprintf(body, sizeof(body), "body of %d", i);
        assert_answer(f, fds[i], "200", body);
        close(fds[i]);
    }
    assert_int_equal(handled.finished, 50);
}

static void a_body_as_large_as_allowed_arrives_whole(void **state)
{
    struct fixture *f = *state;
    static char body[65536 + 1];
    int fd = client_open(f);
    for (size_t i = 0; i < sizeof(body) - 1; i++)
        body[i] = (char)('a' + i % 19);
    put_request(&f->request, 1, false, "/echo", body, sizeof(body) - 1);
    client_send(f, fd, &f->request, f->request.len);
    assert_answer(f, fd, "200", body);
    close(fd);
}

static void a_body_over_the_limit_is_answered_with_413(void **state)
{
    struct fixture *f = *state;
    static char body[300000];
    int fd = client_open(f);
    memset(body, 'b', sizeof(body));
    put_request(&f->request, 1, true, "/echo", body, sizeof(body));
    client_send(f, fd, &f->request, f->request.len);
    assert_answer(f, fd, "413", NULL);
    /* All of it was read, so the connection is still good. */
    buf_clear(&f->request);
    put_request(&f->request, 1, false, "/echo", "next", 4);
    client_send(f, fd, &f->request, f->request.len);
    assert_answer(f, fd, "200", "next");
    close(fd);
}

static void a_body_without_end_is_answered_before_it_ends(void **state)
{
    struct fixture *f = *state;
    static char body[2 * 1024 * 1024];
    int fd = client_open(f);
    put_request(&f->request, 1, true, "/echo", body, sizeof(body));
    struct buf rest = f->request;
    f->request.len = 65536 + TRANSPORT_DRAIN + 20000;
    rest.data += f->request.len;
    rest.len -= f->request.len;
    client_send(f, fd, &f->request, f->request.len);
    assert_answer(f, fd, "413", NULL);
    AWAIT(f, server_busy(f->server) == 0);
    /* A web server that goes on sending is not interrupted. */
    client_send(f, fd, &rest, rest.len);
    assert_closed(f, fd);
    close(fd);
}

static void repeated_variables_are_joined_or_the_last_wins(void **state)
{
    struct fixture *f = *state;
    struct buf params;
    int fd = client_open(f);
    buf_init(&params, 65536);
    put_pair(&params, "REQUEST_METHOD", "GET");
    put_pair(&params, "SCRIPT_NAME", "/variables");
    put_pair(&params, "HTTP_COOKIE", "a=1");
    put_pair(&params, "HTTP_X_TWICE", "one");
    put_pair(&params, "HTTP_HOST", "example.org");
    put_pair(&params, "SERVER_NAME", "first");
    put_pair(&params, "HTTP_COOKIE", "b=2");
    put_pair(&params, "HTTP_X_TWICE", "two");
    put_pair(&params, "HTTP_HOST", "example.org:8080");
    put_pair(&params, "SERVER_NAME", "second");
    put_begin(&f->request, 1, 1, false);
    put_stream(&f->request, REC_PARAMS, 1, params.data, params.len, 65535);
    put_record(&f->request, REC_STDIN, 1, NULL, 0);
    client_send(f, fd, &f->request, f->request.len);
    assert_answer(f, fd, "200", "");
    assert_string_equal(handled.seen, "a=1; b=2|one, two|example.org:8080|second|(none)");
    buf_free(&params);
    close(fd);
}

static void a_path_that_cannot_be_served_is_answered_without_a_handler(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    put_request(&f->request, 1, false, "/../etc/passwd", "", 0);
    client_send(f, fd, &f->request, f->request.len);
    assert_answer(f, fd, "400", NULL);
    assert_int_equal(handled.finished, 1);
    close(fd);
}

/* ---- slow, silent and vanishing peers ---- */

/* Two request threads (main sets that), ten requests that do not come to an end. */
static void slow_senders_hold_up_nobody_and_are_given_up(void **state)
{
    struct fixture *f = *state;
    int slow[10];
    put_request(&f->request, 1, false, "/echo", "hello", 5);
    f->request.len -= 10;
    for (size_t i = 0; i < 10; i++) {
        slow[i] = client_open(f);
        client_send(f, slow[i], &f->request, f->request.len);
    }
    AWAIT(f, server_busy(f->server) == 10);
    assert_serving(f);
    for (size_t i = 0; i < 10; i++) {
        assert_closed(f, slow[i]);
        close(slow[i]);
    }
    assert_int_equal(logged_timeout, 10);
    assert_int_equal(handled.finished, 1);
    assert_int_equal(server_busy(f->server), 0);
}

static void a_silent_connection_is_no_work_and_is_closed_in_the_end(void **state)
{
    struct fixture *f = *state;
    int64_t begun = clock_mono_ms();
    int fd = client_open(f);
    assert_serving(f);
    assert_int_equal(server_busy(f->server), 0);
    assert_closed(f, fd);
    assert_true(clock_mono_ms() - begun >= 1000);
    assert_int_equal(logged_timeout, 0);
    close(fd);
}

static void a_peer_that_leaves_in_the_middle_is_forgotten(void **state)
{
    struct fixture *f = *state;
    put_request(&f->request, 1, false, "/echo", "hello", 5);
    for (size_t len = 1; len < f->request.len; len += 37) {
        struct buf part = f->request;
        int fd = client_open(f);
        part.len = len;
        client_send(f, fd, &part, len);
        close(fd);
    }
    AWAIT(f, server_busy(f->server) == 0);
    assert_int_equal(handled.finished, 0);
    assert_serving(f);
}

static void a_peer_that_leaves_before_the_answer_does_no_harm(void **state)
{
    struct fixture *f = *state;
    put_request(&f->request, 1, true, "/echo", "hello", 5);
    for (int i = 0; i < 20; i++) {
        int fd = client_open(f);
        client_send(f, fd, &f->request, f->request.len);
        close(fd);
    }
    AWAIT(f, handled.finished == 20);
    AWAIT(f, server_busy(f->server) == 0);
    assert_serving(f);
}

/* 64 MB and twice the largest body are the limit: here 72 MB, which 18 of these reach. */
static void slow_senders_together_cannot_fill_the_memory(void **state)
{
    struct fixture *f = *state;
    static char body[4 * 1024 * 1024];
    int fds[24];
    f->config.max_body_bytes = sizeof(body);
    f->config.request_timeout_s = 60;
    put_request(&f->request, 1, false, "/echo", body, sizeof(body));
    f->request.len -= 8; /* all but the end */
    for (size_t i = 0; i < 24; i++) {
        fds[i] = client_open(f);
        for (size_t at = 0; at < f->request.len && logged_full == 0;) {
            ssize_t n = send(fds[i], f->request.data + at, f->request.len - at, MSG_NOSIGNAL);
            at += n > 0 ? (size_t)n : 0;
            pump(f, fds[i], POLLOUT);
        }
    }
    assert_int_equal(logged_full, 1);
    size_t left = server_busy(f->server);
    assert_true(left >= 16 && left < 24);
    assert_serving(f);
    for (size_t i = 0; i < 24; i++)
        close(fds[i]);
    AWAIT(f, server_busy(f->server) == 0);
}

/* ---- what must not reach libfcgi ---- */

static void assert_refused(struct fixture *f)
{
    int fd = client_open(f);
    client_send(f, fd, &f->request, f->request.len);
    assert_closed(f, fd);
    assert_int_equal(logged_refused, 1);
    assert_int_equal(handled.finished, 0);
    assert_serving(f);
    close(fd);
}

static void get_values_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buf names;
    buf_init(&names, 65536);
    for (int i = 0; i < 30; i++)
        put_pair(&names, "FCGI_MPXS_CONNS", "");
    put_record(&f->request, REC_GET_VALUES, 0, names.data, names.len);
    buf_free(&names);
    assert_refused(f);
}

static void get_values_in_the_middle_of_a_body_is_refused(void **state)
{
    struct fixture *f = *state;
    put_begin(&f->request, 1, 1, false);
    put_record(&f->request, REC_PARAMS, 1, NULL, 0);
    put_record(&f->request, REC_STDIN, 1, "body", 4);
    put_record(&f->request, REC_GET_VALUES, 0, "\x0f\0FCGI_MPXS_CONNS", 17);
    assert_refused(f);
}

static void a_length_near_two_to_the_31_is_refused(void **state)
{
    struct fixture *f = *state;
    put_begin(&f->request, 1, 1, false);
    put_record(&f->request, REC_PARAMS, 1, "\xff\xff\xff\xfe\x80\0\0\4AAAA", 12);
    put_record(&f->request, REC_PARAMS, 1, NULL, 0);
    assert_refused(f);
}

static void params_over_the_cap_are_refused(void **state)
{
    struct fixture *f = *state;
    static char value[CAP_PARAMS];
    struct buf params;
    buf_init(&params, 2 * CAP_PARAMS);
    memset(value, 'v', sizeof(value));
    put_pair_len(&params, "HTTP_X", value, sizeof(value));
    put_begin(&f->request, 1, 1, false);
    put_stream(&f->request, REC_PARAMS, 1, params.data, params.len, 65535);
    buf_free(&params);
    assert_refused(f);
}

/* ---- streams ---- */

static int open_stream(struct fixture *f, const char *path, bool keep)
{
    int fd = client_open(f);
    put_request(&f->request, 1, keep, path, "", 0);
    client_send(f, fd, &f->request, f->request.len);
    return fd;
}

static int open_watched_stream(struct fixture *f)
{
    char byte;
    int fd = open_stream(f, "/stream", false);
    AWAIT(f, recv(fd, &byte, 1, MSG_PEEK) == 1);
    /* A watcher of libuv makes the socket non-blocking, and libfcgi would lose what does not fit. */
    assert_false((handled.flags & O_NONBLOCK) != 0);
    assert_false(handled.wakes);
    return fd;
}

static void a_closed_connection_is_noticed_while_the_stream_is_silent(void **state)
{
    struct fixture *f = *state;
    int fd = open_watched_stream(f);
    close(fd);
    AWAIT(f, handled.finished == 1);
    AWAIT(f, server_busy(f->server) == 0);
}

static void a_half_closed_connection_counts_as_gone(void **state)
{
    struct fixture *f = *state;
    int fd = open_watched_stream(f);
    shutdown(fd, SHUT_WR);
    AWAIT(f, handled.finished == 1);
    close(fd);
}

static void bytes_that_nobody_reads_do_not_wake_the_stream(void **state)
{
    struct fixture *f = *state;
    int fd = open_watched_stream(f);
    assert_int_equal(send(fd, "unasked", 7, MSG_NOSIGNAL), 7);
    assert_serving(f);
    assert_false(handled.wakes);
    assert_int_equal(server_busy(f->server), 1);
    close(fd);
    AWAIT(f, server_busy(f->server) == 0);
}

static void the_end_of_a_stream_waits_for_a_slow_reader(void **state)
{
    struct fixture *f = *state;
    struct buf out;
    int fd = open_stream(f, "/flood", true);
    AWAIT(f, handled.finished == 1);
    assert_int_equal(server_busy(f->server), 1);
    buf_init(&out, 80 * 1024 * 1024);
    assert_true(client_receive(f, fd, &out));
    assert_true(out.len > handled.flooded);
    assert_int_equal(out.data[out.len - 1], 'f');
    AWAIT(f, server_busy(f->server) == 0);
    buf_clear(&f->request);
    put_request(&f->request, 1, false, "/echo", "after", 5);
    client_send(f, fd, &f->request, f->request.len);
    assert_answer(f, fd, "200", "after");
    buf_free(&out);
    close(fd);
}

static void closing_the_server_ends_what_waits_for_a_slow_reader(void **state)
{
    struct fixture *f = *state;
    int fd = open_stream(f, "/flood", true);
    AWAIT(f, handled.finished == 1);
    server_close(f->server);
    f->server = NULL;
    uv_run(&f->loop, UV_RUN_DEFAULT);
    close(fd);
}

static void closing_the_server_cuts_a_running_stream_off(void **state)
{
    struct fixture *f = *state;
    int fd = open_watched_stream(f);
    server_close(f->server);
    f->server = NULL;
    uv_run(&f->loop, UV_RUN_DEFAULT); /* ends only because the stream does */
    assert_int_equal(handled.finished, 1);
    close(fd);
}

/* ---- draining, running out, signals ---- */

static void draining_closes_the_idle_and_lets_the_begun_finish(void **state)
{
    struct fixture *f = *state;
    struct buf rest = { 0 };
    int idle = client_open(f), begun = client_open(f);
    put_request(&f->request, 1, true, "/echo", "hello", 5);
    client_send(f, idle, &f->request, f->request.len);
    assert_answer(f, idle, "200", "hello");
    rest = f->request;
    rest.data += 20;
    rest.len -= 20;
    f->request.len = 20;
    client_send(f, begun, &f->request, 20);
    AWAIT(f, server_busy(f->server) == 1);

    server_stop_accepting(f->server);
    assert_closed(f, idle);
    assert_int_equal(server_busy(f->server), 1);
    int late = client_open(f);
    client_send(f, begun, &rest, rest.len);
    assert_answer(f, begun, "200", "hello");
    assert_closed(f, begun); /* although it was to be kept */
    AWAIT(f, server_busy(f->server) == 0);
    assert_int_equal(handled.finished, 2);
    close(late);
    close(begun);
    close(idle);
}

static void running_out_of_descriptors_is_logged_once_and_survived(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit, tight;
    int fd = client_open(f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    tight = limit;
    tight.rlim_cur = (rlim_t)fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    int64_t until = clock_mono_ms() + 350; /* time for three attempts */
    while (clock_mono_ms() < until)
        pump(f, -1, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(logged_accept, 1);
    put_request(&f->request, 1, false, "/echo", "hello", 5);
    client_send(f, fd, &f->request, f->request.len);
    assert_answer(f, fd, "200", "hello");
    close(fd);
}

static void a_request_that_no_descriptor_is_left_for_is_told_so(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit, tight;
    struct buf out;
    int fd = client_open(f);
    buf_init(&out, 1024);
    put_request(&f->request, 1, true, "/echo", "hello", 5);
    client_send(f, fd, &f->request, f->request.len);
    assert_answer(f, fd, "200", "hello");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    tight = limit;
    tight.rlim_cur = (rlim_t)fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    client_send(f, fd, &f->request, f->request.len);
    bool ended = client_receive(f, fd, &out);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(ended);
    assert_int_equal(strncmp(buf_str(&out), "Status: 503 ", 12), 0);
    buf_free(&out);
    assert_closed(f, fd);
    assert_serving(f);
    close(fd);
}

static void on_sigterm(uv_signal_t *handle, int number)
{
    (void)number;
    uv_close((uv_handle_t *)handle, NULL);
}

/* libfcgi puts handlers on SIGTERM, SIGPIPE and SIGUSR1 that swallow them. */
static void signals_are_left_to_the_loop(void **state)
{
    struct fixture *f = *state;
    struct sigaction action;
    uv_signal_t sigterm;
    sigaction(SIGUSR1, NULL, &action);
    assert_true(action.sa_handler == SIG_DFL);
    sigaction(SIGPIPE, NULL, &action);
    assert_true(action.sa_handler == SIG_IGN);
    uv_signal_init(&f->loop, &sigterm);
    uv_signal_start(&sigterm, on_sigterm, SIGTERM);
    assert_serving(f);
    kill(getpid(), SIGTERM);
    AWAIT(f, uv_is_closing((uv_handle_t *)&sigterm));
    uv_run(&f->loop, UV_RUN_NOWAIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_TCP(name)                                                                             \
    {                                                                                              \
#name "_over_tcp", name, set_up_tcp, tear_down, NULL                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_in_one_write_is_answered_and_the_connection_closed),
        TEST_TCP(a_request_in_one_write_is_answered_and_the_connection_closed),
        TEST(a_request_byte_by_byte_is_answered),
        TEST_TCP(a_request_byte_by_byte_is_answered),
        TEST(a_kept_connection_serves_one_request_after_the_other),
        TEST_TCP(a_kept_connection_serves_one_request_after_the_other),
        TEST(fifty_connections_at_once_are_all_answered),
        TEST(a_body_as_large_as_allowed_arrives_whole),
        TEST(a_body_over_the_limit_is_answered_with_413),
        TEST(a_body_without_end_is_answered_before_it_ends),
        TEST(repeated_variables_are_joined_or_the_last_wins),
        TEST(a_path_that_cannot_be_served_is_answered_without_a_handler),
        TEST(slow_senders_hold_up_nobody_and_are_given_up),
        TEST(slow_senders_together_cannot_fill_the_memory),
        TEST(a_silent_connection_is_no_work_and_is_closed_in_the_end),
        TEST(a_peer_that_leaves_in_the_middle_is_forgotten),
        TEST(a_peer_that_leaves_before_the_answer_does_no_harm),
        TEST_TCP(a_peer_that_leaves_before_the_answer_does_no_harm),
        TEST(get_values_is_refused),
        TEST(get_values_in_the_middle_of_a_body_is_refused),
        TEST(a_length_near_two_to_the_31_is_refused),
        TEST(params_over_the_cap_are_refused),
        TEST(a_closed_connection_is_noticed_while_the_stream_is_silent),
        TEST_TCP(a_closed_connection_is_noticed_while_the_stream_is_silent),
        TEST(a_half_closed_connection_counts_as_gone),
        TEST_TCP(a_half_closed_connection_counts_as_gone),
        TEST(bytes_that_nobody_reads_do_not_wake_the_stream),
        TEST(the_end_of_a_stream_waits_for_a_slow_reader),
        TEST_TCP(the_end_of_a_stream_waits_for_a_slow_reader),
        TEST(closing_the_server_ends_what_waits_for_a_slow_reader),
        TEST(closing_the_server_cuts_a_running_stream_off),
        TEST(draining_closes_the_idle_and_lets_the_begun_finish),
        TEST(running_out_of_descriptors_is_logged_once_and_survived),
        TEST(a_request_that_no_descriptor_is_left_for_is_told_so),
        TEST(signals_are_left_to_the_loop),
    };
    setenv("UV_THREADPOOL_SIZE", "2", 1);
    log_set_sink(on_log, NULL);
    if (!id_init())
        return 1;
    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
