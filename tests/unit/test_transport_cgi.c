/*
 * transport_cgi: body, answer and hang-up over pipes and sockets, and one whole request in a process.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "common/base/id.h"
#include "fcgi/app.h"
#include "fcgi/http/transport.h"
#include "fcgi/http/transport_cgi.h"

struct fixture {
    int in[2], out[2]; /* pipes: the web server has in[1] and out[0] */
    struct cgi_options options;
    struct transport *transport;
    int finished;
};

static void on_finished(void *ctx)
{
    struct fixture *f = ctx;
    f->finished++;
    f->transport = NULL;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_int_equal(pipe2(f->in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(f->out, O_CLOEXEC), 0);
    f->options = (struct cgi_options){ .in_fd = f->in[0],
                                       .out_fd = f->out[1],
                                       .read_timeout_ms = 5000,
                                       .send_timeout_ms = 5000,
                                       .finished = on_finished,
                                       .ctx = f };
    unsetenv("CONTENT_LENGTH");
    *state = f;
    return 0;
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->transport != NULL)
        f->transport->ops->finish(f->transport);
    close_end(&f->in[0]);
    close_end(&f->in[1]);
    close_end(&f->out[0]);
    close_end(&f->out[1]);
    free(f);
    return 0;
}

static void open_transport(struct fixture *f)
{
    assert_int_equal(transport_cgi_open(&f->options, &f->transport), RESULT_OK);
}

static void put(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Read the body to its end into `out`. */
static enum result read_all(struct fixture *f, char *out, size_t size)
{
    size_t len = 0, got = 1;
    enum result result = RESULT_OK;
    while (got > 0 && result == RESULT_OK && len < size - 1) {
        result = f->transport->ops->read(f->transport, out + len, size - 1 - len, &got);
        len += got;
    }
    out[len] = '\0';
    return result;
}

static void variables_come_from_the_environment(void **state)
{
    struct fixture *f = *state;
    open_transport(f);
    setenv("PATH_INFO", "/api/health", 1);
    assert_string_equal(f->transport->ops->variable(f->transport, "PATH_INFO"), "/api/health");
    unsetenv("PATH_INFO");
    assert_null(f->transport->ops->variable(f->transport, "PATH_INFO"));
}

static void a_body_ends_at_its_content_length_though_stdin_stays_open(void **state)
{
    struct fixture *f = *state;
    char body[32];
    setenv("CONTENT_LENGTH", "5", 1);
    open_transport(f);
    put(f->in[1], "hello and what does not belong to it");
    assert_int_equal(read_all(f, body, sizeof(body)), RESULT_OK);
    assert_string_equal(body, "hello");
}

static void a_body_without_usable_length_ends_with_stdin(void **state)
{
    struct fixture *f = *state;
    static const char *const lengths[] = { "", "0", "-1", "x" };
    char body[32];
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        setenv("CONTENT_LENGTH", lengths[i], 1);
        open_transport(f);
        put(f->in[1], "hello");
        close_end(&f->in[1]);
        assert_int_equal(read_all(f, body, sizeof(body)), RESULT_OK);
        assert_string_equal(body, "hello");
        f->transport->ops->finish(f->transport);
        close_end(&f->in[0]);
        assert_int_equal(pipe2(f->in, O_CLOEXEC), 0);
        f->options.in_fd = f->in[0];
    }
}

static void a_body_that_does_not_come_is_given_up(void **state)
{
    struct fixture *f = *state;
    char body[32];
    f->options.read_timeout_ms = 30;
    setenv("CONTENT_LENGTH", "5", 1);
    open_transport(f);
    put(f->in[1], "hel");
    assert_int_equal(read_all(f, body, sizeof(body)), RESULT_GONE);
    assert_string_equal(body, "hel");
}

static void output_waits_for_the_flush(void **state)
{
    struct fixture *f = *state;
    char out[16];
    open_transport(f);
    fcntl(f->out[0], F_SETFL, O_NONBLOCK);
    assert_int_equal(f->transport->ops->write(f->transport, "hello", 5), RESULT_OK);
    assert_int_equal(read(f->out[0], out, sizeof(out)), -1);
    assert_int_equal(f->transport->ops->flush(f->transport), RESULT_OK);
    assert_int_equal(read(f->out[0], out, sizeof(out)), 5);
    assert_memory_equal(out, "hello", 5);
    assert_int_equal(f->transport->ops->flush(f->transport), RESULT_OK);
    assert_int_equal(read(f->out[0], out, sizeof(out)), -1);
}

/* In pieces around the size of the buffer, with a reader that takes them out by and by. */
static void large_output_arrives_whole_and_in_order(void **state)
{
    struct fixture *f = *state;
    static char piece[20000], got[65536];
    static const size_t sizes[] = { 1, 8191, 8192, 8193, 20000, 3, 8192 };
    size_t sent = 0, received = 0;
    fcntl(f->out[0], F_SETFL, O_NONBLOCK);
    open_transport(f);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t at = 0; at < sizes[i]; at++)
            piece[at] = (char)('a' + (sent + at) % 23);
        assert_int_equal(f->transport->ops->write(f->transport, piece, sizes[i]), RESULT_OK);
        sent += sizes[i];
    }
    f->transport->ops->finish(f->transport);
    assert_int_equal(f->finished, 1);
    for (ssize_t n; (n = read(f->out[0], got + received, sizeof(got) - received)) > 0;)
        received += (size_t)n;
    assert_int_equal(received, sent);
    for (size_t at = 0; at < sent; at++)
        assert_int_equal(got[at], 'a' + (int)(at % 23));
}

static void a_web_server_that_takes_nothing_is_given_up(void **state)
{
    struct fixture *f = *state;
    static char much[256 * 1024];
    f->options.send_timeout_ms = 30;
    open_transport(f);
    assert_true(f->transport->ops->writable(f->transport));
    assert_int_equal(f->transport->ops->write(f->transport, much, sizeof(much)), RESULT_GONE);
    assert_false(f->transport->ops->writable(f->transport));
    assert_true(f->transport->ops->hung_up(f->transport));
}

static void writing_to_a_closed_pipe_says_gone(void **state)
{
    struct fixture *f = *state;
    open_transport(f);
    assert_false(f->transport->ops->hung_up(f->transport));
    close_end(&f->out[0]);
    assert_true(f->transport->ops->hung_up(f->transport));
    f->transport->ops->write(f->transport, "x", 1);
    assert_int_equal(f->transport->ops->flush(f->transport), RESULT_GONE);
    assert_int_equal(f->transport->ops->write(f->transport, "x", 1), RESULT_GONE);
}

/* ---- watching ---- */

struct watch {
    uv_loop_t loop;
    uv_poll_t poll;
    uv_timer_t limit;
    bool woken, late;
};

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    (void)status;
    (void)events;
    watch->woken = true;
}

static void on_limit(uv_timer_t *timer)
{
    struct watch *watch = timer->data;
    watch->late = true;
}

static void watch_open(struct watch *watch, struct transport *transport)
{
    int events = 0;
    int fd = transport->ops->watch_fd(transport, &events);
    *watch = (struct watch){ .woken = false };
    assert_true(fd >= 0);
    assert_int_equal(uv_loop_init(&watch->loop), 0);
    assert_int_equal(uv_poll_init(&watch->loop, &watch->poll, fd), 0);
    assert_int_equal(uv_timer_init(&watch->loop, &watch->limit), 0);
    watch->poll.data = watch->limit.data = watch;
    assert_int_equal(uv_poll_start(&watch->poll, events, on_event), 0);
}

static bool watch_wakes(struct watch *watch, uint64_t limit_ms)
{
    uv_timer_start(&watch->limit, on_limit, limit_ms, 0);
    while (!watch->woken && !watch->late)
        uv_run(&watch->loop, UV_RUN_ONCE);
    return watch->woken;
}

static void watch_close(struct watch *watch)
{
    uv_close((uv_handle_t *)&watch->poll, NULL);
    uv_close((uv_handle_t *)&watch->limit, NULL);
    uv_run(&watch->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&watch->loop), 0);
}

static void a_closed_pipe_wakes_who_watches(void **state)
{
    struct fixture *f = *state;
    struct watch watch;
    open_transport(f);
    watch_open(&watch, f->transport);
    assert_false(watch_wakes(&watch, 20));
    watch.late = false;
    close_end(&f->out[0]);
    assert_true(watch_wakes(&watch, 5000));
    assert_true(f->transport->ops->hung_up(f->transport));
    watch_close(&watch);
}

/* mod_cgid: stdin and stdout are one socket, whose other side has long finished sending. */
static void a_half_closed_socket_is_no_hang_up_but_a_closed_one_is(void **state)
{
    struct fixture *f = *state;
    struct watch watch;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    shutdown(ends[1], SHUT_WR);
    f->options.in_fd = f->options.out_fd = ends[0];
    open_transport(f);
    watch_open(&watch, f->transport);
    assert_false(watch_wakes(&watch, 20));
    assert_false(f->transport->ops->hung_up(f->transport));
    watch.late = false;
    close(ends[1]);
    assert_true(watch_wakes(&watch, 5000));
    assert_true(f->transport->ops->hung_up(f->transport));
    watch_close(&watch);
    f->transport->ops->finish(f->transport);
    close(ends[0]);
}

static void hanging_up_a_socket_wakes_who_watches_and_ends_writing(void **state)
{
    struct fixture *f = *state;
    struct watch watch;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    f->options.in_fd = f->options.out_fd = ends[0];
    open_transport(f);
    watch_open(&watch, f->transport);
    transport_cgi_hang_up(f->transport);
    assert_true(watch_wakes(&watch, 5000));
    assert_true(f->transport->ops->hung_up(f->transport));
    assert_int_equal(f->transport->ops->write(f->transport, "x", 1), RESULT_GONE);
    watch_close(&watch);
    f->transport->ops->finish(f->transport);
    close(ends[0]);
    close(ends[1]);
}

static void note_hang_up(void *ctx)
{
    struct fixture *f = ctx;
    f->transport->ops->finish(f->transport);
}

static void hanging_up_a_pipe_tells_who_watches_and_he_may_finish(void **state)
{
    struct fixture *f = *state;
    open_transport(f);
    f->transport->hang_up = note_hang_up;
    f->transport->hang_up_ctx = f;
    transport_cgi_hang_up(f->transport);
    assert_int_equal(f->finished, 1);
}

static void a_file_as_stdout_is_not_watched(void **state)
{
    struct fixture *f = *state;
    int events;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    f->options.out_fd = fd;
    open_transport(f);
    assert_int_equal(f->transport->ops->watch_fd(f->transport, &events), -1);
    f->transport->ops->finish(f->transport);
    close(fd);
}

/* ---- one request of a process ---- */

static void serve_in_child(struct fixture *f)
{
    uv_loop_t loop;
    struct config config = { .base_path = (char[]){ "" }, .request_timeout_s = 5 };
    struct app app = { .config = &config, .loop = &loop };
    dup2(f->in[0], STDIN_FILENO);
    dup2(f->out[1], STDOUT_FILENO);
    setenv("REQUEST_METHOD", "GET", 1);
    setenv("SCRIPT_NAME", "/parley.cgi", 1);
    setenv("PATH_INFO", "/../secret", 1);
    if (!id_init() || uv_loop_init(&loop) != 0)
        _exit(99);
    _exit(transport_cgi_serve(&app));
}

/* A path that is refused before any endpoint, so that nothing else has to be there. */
static void a_process_answers_its_one_request_and_ends(void **state)
{
    struct fixture *f = *state;
    char out[4096];
    size_t len = 0;
    int status = -1;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        serve_in_child(f);
    close_end(&f->out[1]);
    for (ssize_t n; (n = read(f->out[0], out + len, sizeof(out) - 1 - len)) > 0;)
        len += (size_t)n;
    out[len] = '\0';
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(strncmp(out, "Status: 400", 11) == 0);
    assert_non_null(strstr(out, "\"invalid_path\""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(variables_come_from_the_environment),
        TEST(a_body_ends_at_its_content_length_though_stdin_stays_open),
        TEST(a_body_without_usable_length_ends_with_stdin),
        TEST(a_body_that_does_not_come_is_given_up),
        TEST(output_waits_for_the_flush),
        TEST(large_output_arrives_whole_and_in_order),
        TEST(a_web_server_that_takes_nothing_is_given_up),
        TEST(writing_to_a_closed_pipe_says_gone),
        TEST(a_closed_pipe_wakes_who_watches),
        TEST(a_half_closed_socket_is_no_hang_up_but_a_closed_one_is),
        TEST(hanging_up_a_socket_wakes_who_watches_and_ends_writing),
        TEST(hanging_up_a_pipe_tells_who_watches_and_he_may_finish),
        TEST(a_file_as_stdout_is_not_watched),
        TEST(a_process_answers_its_one_request_and_ends),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("transport_cgi", tests, NULL, NULL);
}
