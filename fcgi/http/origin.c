/*
 * origin: decides whether the Origin of a request is our own, a listed one, or a stranger's.
 *
 * What "our own" means is the hard part, because the program stands behind a web server that may have
 * lost the port (Debian's fastcgi_params sends Host without it) and behind proxies that ended TLS or
 * renamed the host. So: the browser's own word (Sec-Fetch-Site, which no script can set) counts first; then
 * host and port are compared, the port only where Host has one; and an https page of our host may call what
 * we see as http, never the other way round.
 *
 * Pure; any thread. gate.c acts on the verdict.
 */
#include "fcgi/http/origin.h"

#include <string.h>
#include <strings.h>

#include "common/base/text.h"
#include "common/config.h"
#include "fcgi/http/request.h"
#include "fcgi/http/transport.h"

static const char list_separators[] = " ,\t";

struct authority {
    const char *host;
    size_t host_len;
    const char *port; /* "" = not given */
};

static struct authority split_authority(const char *text)
{
    const char *bracket = strchr(text, ']');
    const char *colon = strchr(bracket != NULL ? bracket : text, ':');
    struct authority authority = { text, strlen(text), "" };
    if (colon != NULL) {
        authority.host_len = (size_t)(colon - text);
        authority.port = colon + 1;
    }
    return authority;
}

static bool seen_as_https(const struct request *request)
{
    const char *https = request->transport->ops->variable(request->transport, "HTTPS");
    if (https != NULL && (text_same_nocase(https, "on") || strcmp(https, "1") == 0))
        return true;
    const char *scheme = request->transport->ops->variable(request->transport, "REQUEST_SCHEME");
    return scheme != NULL && text_same_nocase(scheme, "https");
}

static bool same_authority(const char *ours, const char *theirs, const char *default_port)
{
    struct authority a = split_authority(ours);
    struct authority b = split_authority(theirs);
    if (a.host_len == 0 || a.host_len != b.host_len || strncasecmp(a.host, b.host, a.host_len) != 0)
        return false;
    if (a.port[0] == '\0')
        return true;
    return strcmp(a.port, b.port[0] != '\0' ? b.port : default_port) == 0;
}

static bool is_ours(const struct request *request, const char *origin)
{
    const char *site = request_header(request, "Sec-Fetch-Site");
    if (site != NULL && strcmp(site, "same-origin") == 0)
        return true;
    const char *host = request_header(request, "Host");
    if (host == NULL)
        return false;
    if (strncasecmp(origin, "https://", 8) == 0)
        return same_authority(host, origin + 8, "443");
    if (strncasecmp(origin, "http://", 7) == 0)
        return !seen_as_https(request) && same_authority(host, origin + 7, "80");
    return false;
}

/* An entry copied from an address bar ends in "/"; an Origin never does. */
static size_t entry_len(const char *entry)
{
    size_t len = strcspn(entry, list_separators);
    return len > 1 && entry[len - 1] == '/' ? len - 1 : len;
}

static bool is_listed(const char *list, const char *origin, size_t origin_len)
{
    const char *entry = list + strspn(list, list_separators);
    while (*entry != '\0') {
        if (entry_len(entry) == origin_len && strncasecmp(entry, origin, origin_len) == 0)
            return true;
        entry += strcspn(entry, list_separators);
        entry += strspn(entry, list_separators);
    }
    return false;
}

enum origin_verdict origin_judge(const struct request *request, const struct config *config,
                                 const char **origin)
{
    const char *list = config->cors_origin != NULL ? config->cors_origin : "";
    const char *asked = request_header(request, "Origin");
    *origin = NULL;
    if (asked == NULL || asked[0] == '\0')
        return ORIGIN_NONE;
    *origin = asked;
    /* "null" is every sandboxed frame and local file at once: it cannot be listed by name. */
    if (strcmp(asked, "null") != 0 && is_listed(list, asked, strlen(asked)))
        return ORIGIN_LISTED;
    if (is_listed(list, "*", 1))
        return ORIGIN_ANY;
    return is_ours(request, asked) ? ORIGIN_SAME : ORIGIN_REFUSED;
}
