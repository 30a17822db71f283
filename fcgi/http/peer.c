/*
 * peer: see peer.h. Every proxy appends the address that it saw, so X-Forwarded-For is read from the right:
 * as long as a hop is one of ours, the hop before it was written by somebody whom we believe.
 *
 * Pure; any thread. gate.c asks it first of all, origin.c and identity.c use what comes out.
 */
#include "fcgi/http/peer.h"

#include <string.h>

#include "common/base/text.h"
#include "fcgi/http/request.h"
#include "fcgi/http/transport.h"

static const char *variable(const struct request *request, const char *name)
{
    const char *value = request->transport->ops->variable(request->transport, name);

    return value != NULL ? value : "";
}

static void set_address(struct peer *peer, const char *text, size_t len)
{
    struct net_address address;

    if (net_parse(text, len, &address))
        net_format(&address, peer->address);
    else
        text_copy(peer->address, sizeof peer->address, text);
}

/* The last element of a list up to `len`; *start is where it begins. */
static size_t last_element(const char *list, size_t len, const char **start)
{
    size_t begin = len;

    while (begin > 0 && list[begin - 1] != ',')
        begin--;
    *start = list + begin;
    return len - begin;
}

/* The rightmost hop that is not ours; the leftmost when all are. A hop that is no address ends the search:
 * what stands before it is nobody's word. */
static void find_client(const char *hops, const struct net_list *trusted, struct peer *peer)
{
    size_t len = strlen(hops);

    for (;;) {
        struct net_address address;
        const char *hop;
        size_t hop_len = last_element(hops, len, &hop);

        if (!net_parse(hop, hop_len, &address))
            return;
        net_format(&address, peer->address);
        if (!net_list_has(trusted, peer->address) || hop == hops)
            return;
        len = (size_t)(hop - hops) - 1;
    }
}

/* The word of the proxy that is nearest to us. */
static bool forwarded_scheme(const char *list, bool *https)
{
    const char *word;
    size_t len = last_element(list, strlen(list), &word);
    char scheme[8];

    while (len > 0 && strchr(" \t", *word) != NULL)
        word++, len--;
    if (len == 0 || len >= sizeof scheme)
        return false;
    memcpy(scheme, word, len);
    scheme[len] = '\0';
    *https = text_same_nocase(scheme, "https");
    return *https || text_same_nocase(scheme, "http");
}

static bool own_scheme(const struct request *request)
{
    const char *https = variable(request, "HTTPS");

    return text_same_nocase(https, "on") || strcmp(https, "1") == 0 ||
           text_same_nocase(variable(request, "REQUEST_SCHEME"), "https");
}

void peer_find(const struct request *request, const struct net_list *trusted, struct peer *out)
{
    const char *address = variable(request, "REMOTE_ADDR");

    *out = (struct peer){ .trusted = trusted != NULL && net_list_has(trusted, address) };
    set_address(out, address, strlen(address));
    out->https = own_scheme(request);
    if (!out->trusted)
        return;
    find_client(variable(request, "HTTP_X_FORWARDED_FOR"), trusted, out);
    if (!forwarded_scheme(variable(request, "HTTP_X_FORWARDED_PROTO"), &out->https))
        out->https = own_scheme(request);
}
