/*
 * body_limit: see body_limit.h. The path is not worked out as request.c does it: it is enough to know by which
 * route's path the address ends, and a wrong guess only makes a request that is refused later a little longer.
 * Loop thread; request threads may ask, too.
 */
#include "fcgi/http/body_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/config.h"
#include "fcgi/http/router.h"

#define PATH_MAX_LEN 512 /* no path of ours is longer */

size_t body_limit_of_route(const struct config *config, const struct route *route)
{
    unsigned flags = route != NULL ? route->flags : 0;

    if ((flags & ROUTE_UPLOAD) != 0)
        return (size_t)config->upload_max_bytes;
    if ((flags & ROUTE_LONG) != 0)
        return (size_t)config->turn_max_body_bytes;
    return (size_t)config->max_body_bytes;
}

/* ---- the address ---- */

/* The pairs are sound: fcgi_peek has checked them. */
static size_t take_length(const unsigned char **at)
{
    const unsigned char *p = *at;

    if (p[0] < 0x80) {
        *at += 1;
        return p[0];
    }
    *at += 4;
    return (size_t)(p[0] & 0x7f) << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

static void put_variable(struct buf *out, const struct buf *params, const char *wanted)
{
    const unsigned char *at = (const unsigned char *)params->data;
    const unsigned char *end = at + params->len;

    while (at < end) {
        size_t name_len = take_length(&at);
        size_t value_len = take_length(&at);

        if (name_len == strlen(wanted) && memcmp(at, wanted, name_len) == 0)
            buf_put(out, at + name_len, value_len);
        at += name_len + value_len;
    }
}

/* A slash behind it means the same path. */
static bool ends_with(const struct buf *path, const char *end)
{
    size_t len = strlen(end), path_len = path->len;

    while (path_len > 0 && path->data[path_len - 1] == '/')
        path_len--;
    return path_len >= len && memcmp(path->data + path_len - len, end, len) == 0;
}

size_t body_limit_of_params(void *config, const struct buf *params)
{
    const struct route *found = NULL;
    struct buf path;
    size_t limit;

    buf_init(&path, PATH_MAX_LEN);
    if (params->len > 0) {
        put_variable(&path, params, "SCRIPT_NAME");
        put_variable(&path, params, "PATH_INFO");
    }
    for (size_t i = 0; i < routes_count && path.len > 0; i++)
        if ((routes[i].flags & (ROUTE_LONG | ROUTE_UPLOAD)) != 0 &&
            ends_with(&path, routes[i].path))
            found = &routes[i];
    limit = body_limit_of_route(config, found);
    buf_free(&path);
    return limit;
}

/* ---- the file ---- */

static int open_unnamed(const char *dir)
{
    static const char pattern[] = "/parley-XXXXXX";
    struct buf name;
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0)
        return fd;
    buf_init(&name, 4096);
    buf_puts(&name, dir);
    buf_puts(&name, pattern);
    if (!name.failed && (fd = mkostemp(name.data, O_CLOEXEC)) >= 0)
        unlink(name.data);
    buf_free(&name);
    return fd;
}

int body_limit_open_file(void *config)
{
    const struct config *settings = config;
    const char *dirs[] = { settings->spool_dir, getenv("TMPDIR"), "/tmp" };
    int fd = -1, error = 0;

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0] && fd < 0; i++) {
        if (dirs[i] == NULL || *dirs[i] == '\0')
            continue;
        fd = open_unnamed(dirs[i]);
        error = errno;
    }
    if (fd < 0)
        log_error("no_spool_file", LOG_STR("error", strerror(error)));
    return fd;
}
