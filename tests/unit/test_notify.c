/*
 * notify: datagrams as sd_notify(3) wants them, to sockets with a path and to abstract ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "fcgi/process/notify.h"

static int listener = -1;
static char message[512];
static int complaints;

static void count_line(void *ctx, const char *line)
{
    (void)ctx;
    complaints += strstr(line, "service_manager_not_told") != NULL;
}

/* A socket at `name`, '@' in front for an abstract one; NOTIFY_SOCKET names it. */
static void listen_at(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = offsetof(struct sockaddr_un, sun_path) + strlen(name);

    strcpy(address.sun_path, name);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, (socklen_t)len), 0);
    setenv("NOTIFY_SOCKET", name, 1);
}

static void hear(void)
{
    ssize_t len = recv(listener, message, sizeof message - 1, 0);

    assert_true(len > 0);
    message[len] = '\0';
}

static int set_up(void **state)
{
    (void)state;
    complaints = 0;
    log_set_sink(count_line, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (listener >= 0)
        close(listener);
    listener = -1;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return 0;
}

static void each_event_is_one_datagram(void **state)
{
    int64_t before = clock_mono_us();
    char name[64], mainpid[32];
    long long stamp = 0;

    (void)state;
    snprintf(name, sizeof name, "@parley-test-%ld", (long)getpid());
    snprintf(mainpid, sizeof mainpid, "\nMAINPID=%ld\n", (long)getpid());
    listen_at(name);

    notify_ready(3);
    hear();
    assert_true(text_starts_with(message, "READY=1\n"));
    assert_non_null(strstr(message, mainpid));

    notify_reloading();
    hear();
    assert_int_equal(sscanf(message, "RELOADING=1\nMONOTONIC_USEC=%lld\n", &stamp), 1);
    assert_true(stamp >= before && stamp <= clock_mono_us());

    notify_stopping(36000);
    hear();
    assert_true(text_starts_with(message, "STOPPING=1\nEXTEND_TIMEOUT_USEC=36000000\n"));

    notify_alive();
    hear();
    assert_string_equal(message, "WATCHDOG=1");
}

static void a_socket_with_a_path_is_found_too(void **state)
{
    char dir[] = "/tmp/parley-notify-XXXXXX";
    char name[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(name, sizeof name, "%s/s", dir);
    listen_at(name);
    notify_alive();
    hear();
    unlink(name);
    rmdir(dir);
    assert_string_equal(message, "WATCHDOG=1");
}

static void a_manager_that_is_not_there_is_logged_once_and_holds_nobody_up(void **state)
{
    char longest[300];

    (void)state;
    notify_alive(); /* nobody wants to know */
    memset(longest, '/', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    setenv("NOTIFY_SOCKET", longest, 1);
    notify_alive();
    setenv("NOTIFY_SOCKET", "tcp:80", 1);
    notify_alive();
    assert_int_equal(complaints, 0);
    setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
    notify_alive();
    notify_alive();
    assert_int_equal(complaints, 1);
}

static void
signs_of_life_come_twice_as_often_as_asked_and_only_from_whom_they_are_asked(void **state)
{
    char pid[32];

    (void)state;
    assert_int_equal(notify_watchdog_ms(), 0);
    setenv("WATCHDOG_USEC", "3000000", 1);
    assert_int_equal(notify_watchdog_ms(), 1500);
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(notify_watchdog_ms(), 0);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(notify_watchdog_ms(), 1500);
    setenv("WATCHDOG_USEC", "-5", 1);
    assert_int_equal(notify_watchdog_ms(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_event_is_one_datagram),
        TEST(a_socket_with_a_path_is_found_too),
        TEST(a_manager_that_is_not_there_is_logged_once_and_holds_nobody_up),
        TEST(signs_of_life_come_twice_as_often_as_asked_and_only_from_whom_they_are_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
