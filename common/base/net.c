/*
 * net: see net.h. The parser is generous about decoration, because every proxy writes X-Forwarded-For in its own way,
 * and strict about the address itself, for which inet_pton decides.
 */
#include "common/base/net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"

#define V4_BITS    32
#define V6_BITS    128
#define V4_OFFSET  12 /* bytes before an IPv4 address in its IPv6 form */
#define GROUP_BITS 64

static const char separators[] = ", \t";
static const unsigned char v4_prefix[V4_OFFSET] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool is_v4(const struct net_address *address)
{
    return memcmp(address->bytes, v4_prefix, V4_OFFSET) == 0;
}

static bool parse_plain(const char *text, struct net_address *out)
{
    if (inet_pton(AF_INET6, text, out->bytes) == 1)
        return true;
    memcpy(out->bytes, v4_prefix, V4_OFFSET);
    return inet_pton(AF_INET, text, out->bytes + V4_OFFSET) == 1;
}

/* Cut "]:port", ":port" behind an IPv4 address, and "%zone"; returns where the address begins. */
static char *undecorate(char *text)
{
    char *colon = strchr(text, ':');
    char *bracket;

    if (*text == '[') {
        text++;
        bracket = strchr(text, ']');
        if (bracket != NULL)
            *bracket = '\0';
    } else if (colon != NULL && strchr(colon + 1, ':') == NULL) {
        *colon = '\0';
    }
    text[strcspn(text, "%")] = '\0';
    return text;
}

bool net_parse(const char *text, size_t len, struct net_address *out)
{
    char copy[NET_TEXT_SIZE];

    while (len > 0 && strchr(" \t\"", text[0]) != NULL)
        text++, len--;
    while (len > 0 && strchr(" \t\"", text[len - 1]) != NULL)
        len--;
    if (len == 0 || len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return parse_plain(undecorate(copy), out);
}

void net_format(const struct net_address *address, char *out)
{
    if (is_v4(address))
        inet_ntop(AF_INET, address->bytes + V4_OFFSET, out, NET_TEXT_SIZE);
    else
        inet_ntop(AF_INET6, address->bytes, out, NET_TEXT_SIZE);
}

void net_group(const char *address, char *out)
{
    struct net_address parsed;
    size_t len;

    if (!net_parse(address, strlen(address), &parsed)) {
        text_copy(out, NET_TEXT_SIZE, address);
        return;
    }
    if (!is_v4(&parsed))
        memset(parsed.bytes + GROUP_BITS / 8, 0, sizeof parsed.bytes - GROUP_BITS / 8);
    net_format(&parsed, out);
    len = strlen(out);
    if (!is_v4(&parsed))
        snprintf(out + len, NET_TEXT_SIZE - len, "/%d", GROUP_BITS);
}

/* ---- lists ---- */

static bool bit_at(const struct net_address *address, int bit)
{
    return (address->bytes[bit / 8] >> (7 - bit % 8) & 1) != 0;
}

static bool same_prefix(const struct net_address *a, const struct net_address *b, int bits)
{
    for (int bit = 0; bit < bits; bit++) {
        if (bit_at(a, bit) != bit_at(b, bit))
            return false;
    }
    return true;
}

/* "10.1.2.3/8" is more likely a mistake than a wish. */
static bool has_host_bits(const struct net_range *range)
{
    for (int bit = range->bits; bit < V6_BITS; bit++) {
        if (bit_at(&range->address, bit))
            return true;
    }
    return false;
}

static bool parse_bits(const char *text, int most, int *bits)
{
    size_t len = strlen(text);

    if (len == 0 || len > 3 || strspn(text, "0123456789") != len)
        return false;
    *bits = (int)strtol(text, NULL, 10);
    return *bits <= most;
}

static bool parse_range(char *text, struct net_range *out)
{
    char *slash = strchr(text, '/');
    int most, bits;

    *out = (struct net_range){ .unix_socket = strcmp(text, "unix") == 0 };
    if (out->unix_socket)
        return true;
    if (slash != NULL)
        *slash = '\0';
    if (!parse_plain(text, &out->address))
        return false;
    most = strchr(text, ':') != NULL ? V6_BITS : V4_BITS;
    bits = most;
    if (slash != NULL && !parse_bits(slash + 1, most, &bits))
        return false;
    out->bits = bits + V6_BITS - most;
    return !has_host_bits(out);
}

bool net_list_parse(const char *text, struct net_list *out)
{
    char entry[NET_TEXT_SIZE];

    out->len = 0;
    for (text += strspn(text, separators); *text != '\0'; text += strspn(text, separators)) {
        size_t len = strcspn(text, separators);

        if (len >= sizeof entry || out->len == NET_RANGES)
            return false;
        memcpy(entry, text, len);
        entry[len] = '\0';
        if (!parse_range(entry, &out->ranges[out->len]))
            return false;
        out->len++;
        text += len;
    }
    return true;
}

bool net_list_has(const struct net_list *list, const char *address)
{
    bool no_address = *address == '\0' || text_starts_with(address, "unix:");
    struct net_address parsed;

    if (!no_address && !net_parse(address, strlen(address), &parsed))
        return false;
    for (size_t i = 0; i < list->len; i++) {
        const struct net_range *range = &list->ranges[i];

        if (range->unix_socket ? no_address
                               : !no_address && same_prefix(&range->address, &parsed, range->bits))
            return true;
    }
    return false;
}
