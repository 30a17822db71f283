/*
 * config_redis: see config_redis.h.
 */
#include "common/config_redis.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"

#define SCHEME       "redis://"
#define DEFAULT_PORT 6379

static bool copy_part(char *target, size_t size, const char *from, const char *until)
{
    size_t len = (size_t)(until - from);

    if (len >= size)
        return false;
    memcpy(target, from, len);
    target[len] = '\0';
    return true;
}

/* All of `text` as a decimal number up to `max`. */
static bool read_number(const char *text, long max, int *out)
{
    char *end;
    long number;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    number = strtol(text, &end, 10);
    *out = (int)number;
    return errno == 0 && *end == '\0' && number <= max;
}

static bool read_login(const char *from, const char *at, struct config_redis *out)
{
    const char *colon = memchr(from, ':', (size_t)(at - from));

    return colon != NULL && copy_part(out->user, sizeof out->user, from, colon) &&
           copy_part(out->password, sizeof out->password, colon + 1, at) &&
           text_percent_decode(out->user, false) && text_percent_decode(out->password, false);
}

static bool read_host(const char *from, const char *until, struct config_redis *out)
{
    const char *end = until;
    char port[8];

    if (*from == '[') {
        end = memchr(from, ']', (size_t)(until - from));
        if (end == NULL || !copy_part(out->host, sizeof out->host, from + 1, end))
            return false;
        end++;
    } else {
        for (end = from; end < until && *end != ':';)
            end++;
        if (!copy_part(out->host, sizeof out->host, from, end))
            return false;
    }
    if (out->host[0] == '\0' || end == until)
        return out->host[0] != '\0';
    return *end == ':' && copy_part(port, sizeof port, end + 1, until) &&
           read_number(port, 65535, &out->port) && out->port > 0;
}

bool config_redis_parse(const char *url, struct config_redis *out)
{
    const char *from, *slash, *end, *at;

    *out = (struct config_redis){ .port = DEFAULT_PORT };
    if (text_starts_with(url, "unix:"))
        return url[5] == '/' && text_copy(out->path, sizeof out->path, url + 5);
    if (!text_starts_with(url, SCHEME))
        return false;
    from = url + strlen(SCHEME);
    slash = strchr(from, '/');
    end = slash != NULL ? slash : from + strlen(from);
    at = memrchr(from, '@', (size_t)(end - from));
    if (at != NULL && !read_login(from, at, out))
        return false;
    if (!read_host(at != NULL ? at + 1 : from, end, out))
        return false;
    return slash == NULL || slash[1] == '\0' || read_number(slash + 1, 1 << 20, &out->database);
}
