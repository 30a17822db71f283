/*
 * net: IP addresses as numbers: reading them from what web servers and proxies write, lists of networks,
 * and the network that a visitor is counted by. Pure and thread-safe; no name resolution.
 */
#ifndef PARLEY_BASE_NET_H
#define PARLEY_BASE_NET_H

#include <stdbool.h>
#include <stddef.h>

#define NET_TEXT_SIZE 64  /* an address, or a network with its /bits, NUL included */
#define NET_RANGES    128 /* networks of one list; more than anybody's proxies */

/* IPv4 as IPv6 (::ffff:a.b.c.d), so that both are compared in one way. */
struct net_address {
    unsigned char bytes[16];
};

struct net_range {
    struct net_address address;
    int bits;         /* of the 128 that count */
    bool unix_socket; /* the word "unix": peers that have no address */
};

struct net_list {
    struct net_range ranges[NET_RANGES];
    size_t len;
};

/*
 * Read an address, as found in REMOTE_ADDR or X-Forwarded-For: IPv4 or IPv6, perhaps in brackets, with a
 * port, with a zone, in quotes, with white space around it. False when it is none.
 */
bool net_parse(const char *text, size_t len, struct net_address *out);

/* "192.0.2.1" or "2001:db8::1" into `out` (NET_TEXT_SIZE bytes). */
void net_format(const struct net_address *address, char *out);

/*
 * What an address is counted by: IPv4 as a whole, of IPv6 the /64, which is what one customer has:
 * "2001:db8:1:2::/64". What is no address stays as it is, cut at NET_TEXT_SIZE.
 */
void net_group(const char *address, char *out);

/*
 * Networks separated by spaces or commas: "10.0.0.0/8 2001:db8::/32 192.0.2.7 unix". False when one is
 * malformed, has bits set behind its prefix, or there are too many.
 */
bool net_list_parse(const char *text, struct net_list *out);

/* `address` as the web server tells it; "" and "unix:..." are what the word unix stands for. */
bool net_list_has(const struct net_list *list, const char *address);

#endif
