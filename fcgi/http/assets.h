/*
 * assets: the files of the web page, embedded by web/embed.sh when the program is built.
 */
#ifndef PARLEY_HTTP_ASSETS_H
#define PARLEY_HTTP_ASSETS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/result.h"

struct response;

struct asset {
    const char *path; /* "index.html", "assets/app-1f0a9c3e.js" */
    const char *content_type;
    const char *etag; /* hash of the content, without quotes */
    const unsigned char *bytes;
    size_t len;
    const unsigned char *gzip; /* NULL where it would not be worth it */
    size_t gzip_len;
    bool immutable; /* the name has the content's hash in it */
};

/* The generated table (build/gen/assets.c). */
extern const struct asset assets[];
extern const size_t assets_count;

/* NULL when there is none. */
const struct asset *assets_find(const char *path);

/* Send it, or 304 when the client has it already (If-None-Match); with gzip where the client takes it. */
enum result assets_send(struct response *response, const struct asset *asset);

#endif
