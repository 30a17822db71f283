/*
 * router: finds the row of routes.c for a path and method. Adding an endpoint is one file and one row.
 */
#ifndef PARLEY_HTTP_ROUTER_H
#define PARLEY_HTTP_ROUTER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/result.h"
#include "fcgi/http/request.h"

struct exchange;

enum route_flags {
    ROUTE_JSON = 1 << 0, /* has a JSON body: Content-Type checked, body read up to MAX_BODY_BYTES */
    ROUTE_STREAM = 1 << 1, /* may become a stream: refused with 503 when the worker is full */
    ROUTE_PAGE =
        1 << 2, /* for browsers: CSP and other page headers, no CORS, nobody is asked who he is */
    ROUTE_OWNER = 1 << 3, /* makes what needs an owner: a new visitor gets his cookie here */
    ROUTE_PROBE = 1 << 4, /* health: nobody is asked who he is, and http will do */
    ROUTE_TAIL =
        1 << 5, /* the {name} at the end takes the rest of the path, slashes too, as it was sent */
    /* Reads its body itself: JSON whatever Content-Type says, up to TURN_MAX_BODY_BYTES, or UPLOAD_MAX_BYTES. */
    ROUTE_LONG = 1 << 6,
    ROUTE_UPLOAD = 1 << 7,
    ROUTE_FORM =
        1 << 8 /* a page's form without JavaScript: its body, and failures shown as pages */
};

struct route {
    enum http_method method; /* HTTP_GET serves HEAD too */
    const char *path;        /* "/api/health", "/api/chat/history/{user_id}"; one {name} per path */
    unsigned flags;
    void (*handle)(struct exchange *exchange); /* on a request thread; must reply or set on_loop */
};

/* The table (routes.c). A literal path stands before one whose {name} would match it too. */
extern const struct route routes[];
extern const size_t routes_count;

/*
 * Find the row and fill request->path_arg. RESULT_NOT_FOUND unknown_path, with *out = NULL; RESULT_INVALID for a name that
 * cannot be; or RESULT_BAD_METHOD method_not_allowed, with a row of that path in *out and the allowed methods in `allow`
 * ("GET, HEAD, OPTIONS"). OPTIONS has no rows, so it always ends in one of the two.
 */
enum result router_find(struct request *request, const struct route **out, char *allow, size_t size,
                        struct fault *fault);

#endif
