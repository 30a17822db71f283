/*
 * origin: may a page from over there call us? The comparison behind CORS, without replying to anybody.
 */
#ifndef PARLEY_HTTP_ORIGIN_H
#define PARLEY_HTTP_ORIGIN_H

struct config;
struct request;

enum origin_verdict {
    ORIGIN_NONE,   /* no Origin header: not a page of another site */
    ORIGIN_SAME,   /* our own page */
    ORIGIN_LISTED, /* named in CORS_ORIGIN: allowed, with credentials */
    ORIGIN_ANY,    /* CORS_ORIGIN has "*": allowed, without credentials */
    ORIGIN_REFUSED
};

/* *origin is the header's value, NULL for ORIGIN_NONE. */
enum origin_verdict origin_judge(const struct request *request, const struct config *config,
                                 const char **origin);

#endif
