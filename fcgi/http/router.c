/*
 * router: finds the row of the table for a path and a method. A scan: the table has a few dozen rows,
 * almost all of which differ from the path within their first bytes, and a request costs a store
 * transaction and a model anyway.
 *
 * Rows are tried in their order, so a literal path stands before one with a {name} that would match it too; but
 * behind a ROUTE_TAIL row below it, whose name may have been tidied away (a user called "/").
 * Pure; any thread.
 */
#include "fcgi/http/router.h"

#include <stdio.h>
#include <string.h>

/* In the order in which Allow names them. */
static const enum http_method allow_order[] = { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH,
                                                HTTP_DELETE };

/* Is `path` what is left of the row's when a web server has tidied its name away? Only "/{" has not been met. */
static bool lost_its_name(const struct route *route, const char *pattern, const char *path)
{
    return (route->flags & ROUTE_TAIL) != 0 && *path == '\0' && strncmp(pattern, "/{", 2) == 0;
}

/* The row's {name} stands for one segment that is not empty (or, with ROUTE_TAIL, for the rest): *arg points
 * to it. */
static bool matches(const struct route *route, const char *path, const char **arg, size_t *arg_len)
{
    const char *pattern = route->path;

    *arg = "";
    *arg_len = 0;
    while (*pattern != '\0' && *pattern != '{' && *pattern == *path) {
        pattern++;
        path++;
    }
    if (*pattern != '{')
        return (*pattern == '\0' && *path == '\0') || lost_its_name(route, pattern, path);
    *arg = path;
    *arg_len = (route->flags & ROUTE_TAIL) != 0 ? strlen(path) : strcspn(path, "/");
    return *arg_len > 0 && strcmp(pattern + strcspn(pattern, "}") + 1, path + *arg_len) == 0;
}

static bool serves(const struct route *route, enum http_method method)
{
    return route->method == method || (route->method == HTTP_GET && method == HTTP_HEAD);
}

/*
 * The {name} as the client means it, into path_arg. RESULT_NOT_FOUND: there is none, so the row is not meant.
 */
static enum result take_arg(struct request *request, const struct route *route, const char *arg,
                            size_t arg_len, struct fault *fault)
{
    enum result result = RESULT_OK;

    memcpy(request->path_arg, arg, arg_len);
    request->path_arg[arg_len] = '\0';
    if ((route->flags & ROUTE_TAIL) == 0)
        return RESULT_OK;
    result = request_restore_tail(request, route->path, strcspn(route->path, "{"), fault);
    return result == RESULT_OK && request->path_arg[0] == '\0' ? RESULT_NOT_FOUND : result;
}

static void write_allow(unsigned methods, char *allow, size_t size)
{
    struct buf list;
    buf_init(&list, 128);
    for (size_t i = 0; i < sizeof(allow_order) / sizeof(allow_order[0]); i++) {
        if ((methods & (1u << allow_order[i])) == 0)
            continue;
        buf_putf(&list, "%s, ", http_method_name(allow_order[i]));
        if (allow_order[i] == HTTP_GET)
            buf_puts(&list, "HEAD, ");
    }
    buf_puts(&list, "OPTIONS");
    snprintf(allow, size, "%s", buf_str(&list));
    buf_free(&list);
}

enum result router_find(struct request *request, const struct route **out, char *allow, size_t size,
                        struct fault *fault)
{
    unsigned methods = 0;
    enum result result;
    const char *arg;
    size_t arg_len;
    *out = NULL;
    request->path_arg[0] = '\0';
    for (size_t i = 0; i < routes_count; i++) {
        const struct route *route = &routes[i];
        if (!matches(route, request->path, &arg, &arg_len) || arg_len >= sizeof(request->path_arg))
            continue;
        result = take_arg(request, route, arg, arg_len, fault);
        if (result == RESULT_NOT_FOUND)
            continue;
        if (serves(route, request->method)) {
            *out = route;
            return result;
        }
        methods |= 1u << route->method;
        if (*out == NULL)
            *out = route;
    }
    if (*out == NULL)
        return fault_set(fault, RESULT_NOT_FOUND, "unknown_path", NULL,
                         "There is nothing at this address.");
    write_allow(methods, allow, size);
    return fault_set(fault, RESULT_BAD_METHOD, "method_not_allowed", NULL,
                     "%s does not work here. Allowed: %s.", http_method_name(request->method),
                     allow);
}
