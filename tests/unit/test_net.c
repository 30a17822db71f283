/*
 * net: addresses as proxies write them, networks, and what a visitor is counted by.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/net.h"

static const struct {
    const char *text, *expected; /* NULL: no address */
} addresses[] = {
    { "192.0.2.1", "192.0.2.1" },
    { " 192.0.2.1\t", "192.0.2.1" },
    { "192.0.2.1:8080", "192.0.2.1" },
    { "::ffff:192.0.2.1", "192.0.2.1" },
    { "2001:DB8::1", "2001:db8::1" },
    { "[2001:db8::1]:443", "2001:db8::1" },
    { "\"[2001:db8::1]\"", "2001:db8::1" },
    { "fe80::1%eth0", "fe80::1" },
    { "::1", "::1" },
    { "", NULL },
    { "unknown", NULL },
    { "unix:", NULL },
    { "192.0.2", NULL },
    { "192.0.2.256", NULL },
    { "[2001:db8::1", "2001:db8::1" },
    { "2001:db8::1::2", NULL },
    { "1234567890123456789012345678901234567890123456789012345678901234567890", NULL },
};

static void addresses_are_read_as_proxies_write_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        struct net_address address;
        char text[NET_TEXT_SIZE] = "";
        bool is = net_parse(addresses[i].text, strlen(addresses[i].text), &address);

        if (is)
            net_format(&address, text);
        if (is != (addresses[i].expected != NULL) ||
            (is && strcmp(text, addresses[i].expected) != 0))
            fail_msg("%s was read as '%s'", addresses[i].text, text);
    }
}

static const struct {
    const char *list, *address;
    bool has;
} members[] = {
    { "10.0.0.0/8", "10.255.0.1", true },
    { "10.0.0.0/8", "11.0.0.0", false },
    { "10.0.0.0/8", "::ffff:10.0.0.1", true },
    { "10.0.0.0/8", "a00::1", false },
    { "192.0.2.7", "192.0.2.7", true },
    { "192.0.2.7", "192.0.2.8", false },
    { "192.0.2.4/30", "192.0.2.7", true },
    { "192.0.2.4/30", "192.0.2.8", false },
    { "0.0.0.0/0", "203.0.113.9", true },
    { "0.0.0.0/0", "2001:db8::1", false },
    { "::/0", "2001:db8::1", true },
    { "2001:db8::/32", "2001:db8:ffff::1", true },
    { "2001:db8::/32", "2001:db9::", false },
    { "172.16.0.0/12, 2001:db8::/33 ,127.0.0.1", "127.0.0.1", true },
    { "172.16.0.0/12", "172.31.255.255", true },
    { "172.16.0.0/12", "172.32.0.0", false },
    { "unix", "unix:", true },
    { "unix", "", true },
    { "unix", "127.0.0.1", false },
    { "127.0.0.1", "unix:", false },
    { "0.0.0.0/0 ::/0", "", false },
    { "0.0.0.0/0 ::/0", "nonsense", false },
    { "", "127.0.0.1", false },
};

static void a_list_knows_its_networks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        static struct net_list list;

        assert_true(net_list_parse(members[i].list, &list));
        if (net_list_has(&list, members[i].address) != members[i].has)
            fail_msg("'%s' and '%s'", members[i].list, members[i].address);
    }
}

static void malformed_lists_are_refused(void **state)
{
    static const char *const lists[] = {
        "10.0.0.0/33",    "10.0.0.0/-1", "10.0.0.0/",    "10.0.0.1/8",
        "2001:db8::1/32", "example.org", "10.0.0.0/8/8", "2001:db8::/129",
        "unix:",          "10.0.0.0/ 8", "10.0.0.0/8x",  "10.0.0.0/00008",
    };
    static struct net_list list;

    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (net_list_parse(lists[i], &list))
            fail_msg("%s was taken", lists[i]);
    }
}

static void a_list_has_a_bound(void **state)
{
    char text[(NET_RANGES + 1) * 10 + 1] = "";
    static struct net_list list;

    (void)state;
    for (size_t i = 0; i < NET_RANGES; i++)
        memcpy(text + i * 10, "10.0.0.1, ", 11);
    assert_true(net_list_parse(text, &list));
    assert_int_equal(list.len, NET_RANGES);
    memcpy(text + NET_RANGES * 10, "10.0.0.1, ", 11);
    assert_false(net_list_parse(text, &list));
}

static void ipv6_is_counted_by_64_bits_and_ipv4_whole(void **state)
{
    char out[NET_TEXT_SIZE], again[NET_TEXT_SIZE];

    (void)state;
    net_group("2001:db8:1:2:3:4:5:6", out);
    assert_string_equal(out, "2001:db8:1:2::/64");
    net_group("2001:db8:1:2:ffff::1", again);
    assert_string_equal(out, again);
    net_group("2001:db8:1:3::1", again);
    assert_string_not_equal(out, again);
    net_group("192.0.2.9", out);
    assert_string_equal(out, "192.0.2.9");
    net_group("::ffff:192.0.2.9", out);
    assert_string_equal(out, "192.0.2.9");
    net_group("unix:", out);
    assert_string_equal(out, "unix:");
    net_group("", out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_as_proxies_write_them),
        cmocka_unit_test(a_list_knows_its_networks),
        cmocka_unit_test(malformed_lists_are_refused),
        cmocka_unit_test(a_list_has_a_bound),
        cmocka_unit_test(ipv6_is_counted_by_64_bits_and_ipv4_whole),
    };

    return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
