/*
 * listen: addresses that work, and the words for those that do not. Sockets live in a temporary directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/result.h"
#include "fcgi/process/listen.h"

static char directory[] = "/tmp/parley-listen-XXXXXX";

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

/* "unix:<directory>/<name>"; the path itself begins five bytes later. */
static const char *address_of(const char *name)
{
    static char address[128];

    snprintf(address, sizeof(address), "unix:%s/%s", directory, name);
    return address;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un where = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(where.sun_path, sizeof(where.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&where, sizeof(where)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void assert_refused(const char *address, const char *words)
{
    struct fault fault = { 0 };
    int fd = 7;

    assert_int_equal(listen_open(address, &fd, &fault), RESULT_INVALID);
    assert_int_equal(fd, -1);
    assert_string_equal(fault.field, "LISTEN");
    if (strstr(fault.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", fault.text, words);
}

static void unix_socket_is_connectable_close_on_exec_and_0660(void **state)
{
    const char *address = address_of("a.sock");
    struct stat st;
    mode_t mask = umask(0);
    int fd, client;

    (void)state;
    assert_int_equal(listen_open(address, &fd, NULL), RESULT_OK);
    assert_int_equal(umask(mask), 0);
    assert_true(listen_is_socket(fd));
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(stat(address + 5, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    client = connect_unix(address + 5);
    assert_true(client >= 0);
    close(client);
    close(fd);
    unlink(address + 5);
}

static void stale_unix_socket_is_replaced(void **state)
{
    const char *address = address_of("stale.sock");
    int first, second;

    (void)state;
    assert_int_equal(listen_open(address, &first, NULL), RESULT_OK);
    close(first);
    assert_int_equal(access(address + 5, F_OK), 0);
    assert_int_equal(listen_open(address, &second, NULL), RESULT_OK);
    close(second);
    unlink(address + 5);
}

static void unix_socket_in_use_is_refused_and_left_alone(void **state)
{
    const char *address = address_of("used.sock");
    int fd, client;

    (void)state;
    assert_int_equal(listen_open(address, &fd, NULL), RESULT_OK);
    assert_refused(address, "another program accepts connections there");
    client = connect_unix(address + 5);
    assert_true(client >= 0);
    close(client);
    close(fd);
    unlink(address + 5);
}

static void file_at_the_path_is_refused_and_kept(void **state)
{
    const char *address = address_of("precious");
    int file = open(address + 5, O_CREAT | O_WRONLY, 0600);

    (void)state;
    assert_true(file >= 0);
    close(file);
    assert_refused(address, "something else than a socket");
    assert_int_equal(access(address + 5, F_OK), 0);
    unlink(address + 5);
}

static void missing_directory_is_named_as_such(void **state)
{
    (void)state;
    assert_refused(address_of("no/such.sock"), "the directory does not exist");
}

static void directory_without_write_permission_is_named_as_such(void **state)
{
    const char *address = address_of("locked.sock");

    (void)state;
    if (geteuid() == 0) /* root may write everywhere: try as somebody else */
        assert_int_equal(seteuid(65534), 0);
    else
        chmod(directory, 0500);
    assert_refused(address, "no permission");
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    chmod(directory, 0700);
}

static void path_longer_than_the_system_takes_is_refused(void **state)
{
    char address[160] = "unix:/tmp/";

    (void)state;
    memset(address + 10, 'x', 110);
    assert_refused(address, "longer than 107 bytes");
    assert_refused("unix:", "empty");
}

static void unlink_removes_our_dead_socket_only(void **state)
{
    const char *address = address_of("mine.sock");
    int fd;

    (void)state;
    assert_int_equal(listen_open(address, &fd, NULL), RESULT_OK);
    listen_unlink(address);
    assert_int_equal(access(address + 5, F_OK), 0);
    close(fd);
    listen_unlink(address);
    assert_int_equal(access(address + 5, F_OK), -1);
    listen_unlink(address);
    listen_unlink("127.0.0.1:9000");
}

static unsigned port_of(int fd)
{
    struct sockaddr_in where;
    socklen_t len = sizeof(where);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&where, &len), 0);
    return ntohs(where.sin_port);
}

static void tcp_address_listens_and_a_taken_port_is_refused(void **state)
{
    char address[32];
    int fd;

    (void)state;
    assert_int_equal(listen_open("127.0.0.1:0", &fd, NULL), RESULT_OK);
    assert_true(listen_is_socket(fd));
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    snprintf(address, sizeof(address), "127.0.0.1:%u", port_of(fd));
    assert_refused(address, "has that address already");
    close(fd);
    assert_int_equal(listen_open(address, &fd, NULL), RESULT_OK);
    close(fd);
}

static void every_interface_is_meant_by_an_empty_host(void **state)
{
    static const char *addresses[] = { ":0", "*:0" };
    int fd;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(listen_open(addresses[i], &fd, NULL), RESULT_OK);
        close(fd);
    }
}

static void ipv6_needs_brackets(void **state)
{
    int fd;

    (void)state;
    if (listen_open("[::1]:0", &fd, NULL) == RESULT_OK) { /* a machine may have no IPv6 */
        assert_true(listen_is_socket(fd));
        close(fd);
    }
    assert_refused("::1:9000", "write unix:PATH, HOST:PORT or [IPv6]:PORT");
}

static void nonsense_addresses_are_refused_with_the_forms_that_work(void **state)
{
    static const char *addresses[] = { "",
                                       "9000",
                                       "localhost",
                                       "127.0.0.1:",
                                       "a:b",
                                       "a:-1",
                                       "127.0.0.1:65536",
                                       "127.0.0.1:80x",
                                       "/run/sock",
                                       "a: 80",
                                       "127.0.0.1:99999999999999999999" };

    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
        assert_refused(addresses[i], "write unix:PATH, HOST:PORT or [IPv6]:PORT");
}

static void foreign_address_is_refused(void **state)
{
    (void)state;
    assert_refused("192.0.2.1:9000", "does not have that address");
}

static void only_listening_sockets_count_as_such(void **state)
{
    int pair[2];
    int plain = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_false(listen_is_socket(pair[0]));
    assert_false(listen_is_socket(plain));
    assert_false(listen_is_socket(-1));
    close(pair[0]);
    close(pair[1]);
    close(plain);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(unix_socket_is_connectable_close_on_exec_and_0660),
        cmocka_unit_test(stale_unix_socket_is_replaced),
        cmocka_unit_test(unix_socket_in_use_is_refused_and_left_alone),
        cmocka_unit_test(file_at_the_path_is_refused_and_kept),
        cmocka_unit_test(missing_directory_is_named_as_such),
        cmocka_unit_test(directory_without_write_permission_is_named_as_such),
        cmocka_unit_test(path_longer_than_the_system_takes_is_refused),
        cmocka_unit_test(unlink_removes_our_dead_socket_only),
        cmocka_unit_test(tcp_address_listens_and_a_taken_port_is_refused),
        cmocka_unit_test(every_interface_is_meant_by_an_empty_host),
        cmocka_unit_test(ipv6_needs_brackets),
        cmocka_unit_test(nonsense_addresses_are_refused_with_the_forms_that_work),
        cmocka_unit_test(foreign_address_is_refused),
        cmocka_unit_test(only_listening_sockets_count_as_such),
    };

    return cmocka_run_group_tests_name("listen", tests, make_directory, remove_directory);
}
