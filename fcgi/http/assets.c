/*
 * assets: serves embedded files. What has its content's hash in its name may be kept for ever; the rest is
 * asked for each time and mostly answered with 304. Both encodings were made by the build, so nothing is
 * compressed here.
 *
 * Any thread; the table is constant. web/embed.sh makes it, endpoints/pages.c decides what is a page.
 */
#include "fcgi/http/assets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fcgi/http/request.h"
#include "fcgi/http/response.h"

const struct asset *assets_find(const char *path)
{
    for (size_t i = 0; i < assets_count; i++)
        if (strcmp(assets[i].path, path) == 0)
            return &assets[i];
    return NULL;
}

/* The q of one element of Accept-Encoding: "gzip;q=0.5" is 0.5, without one it is 1. */
static double quality(const char *element, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        if (element[i] != ';')
            continue;
        size_t name = i + 1 + strspn(element + i + 1, " \t");
        if (name + 2 < len && (element[name] | 0x20) == 'q' && element[name + 1] == '=')
            return strtod(element + name + 2, NULL);
    }
    return 1.0;
}

/* RFC 9110 12.5.3: gzip's own weight counts before that of "*". */
static bool accepts_gzip(const char *header)
{
    double star = 0.0;
    for (const char *element = header; element != NULL && *element != '\0';) {
        element += strspn(element, " \t,");
        size_t len = strcspn(element, ",");
        size_t name_len = strcspn(element, "; \t,");
        if (name_len == 4 && strncasecmp(element, "gzip", 4) == 0)
            return quality(element, len) > 0.0;
        if (name_len == 1 && *element == '*')
            star = quality(element, len);
        element += len;
    }
    return star > 0.0;
}

/* If-None-Match is a list; the weak comparison ignores W/. `etag` has its quotes. */
static bool matches_etag(const char *header, const char *etag)
{
    size_t etag_len = strlen(etag);
    for (const char *tag = header; tag != NULL && *tag != '\0'; tag += strcspn(tag, ",")) {
        tag += strspn(tag, " \t,");
        if (*tag == '*')
            return true;
        if (strncmp(tag, "W/", 2) == 0)
            tag += 2;
        if (strncmp(tag, etag, etag_len) == 0)
            return true;
    }
    return false;
}

enum result assets_send(struct response *response, const struct asset *asset)
{
    const struct request *request = response->request;
    bool gzip = asset->gzip != NULL && accepts_gzip(request_header(request, "Accept-Encoding"));
    char etag[80];
    /* Two encodings are two representations: a strong ETag must tell them apart. */
    snprintf(etag, sizeof(etag), "\"%s%s\"", asset->etag, gzip ? "-gz" : "");
    response_header(response, "ETag", etag);
    response_header(response, "Cache-Control",
                    asset->immutable ? "public, max-age=31536000, immutable" : "no-cache");
    if (asset->gzip != NULL)
        response_header(response, "Vary", "Accept-Encoding");
    if (matches_etag(request_header(request, "If-None-Match"), etag))
        return response_send(response, 304, asset->content_type, "", 0);
    if (!gzip)
        return response_send(response, 200, asset->content_type, (const char *)asset->bytes,
                             asset->len);
    response_header(response, "Content-Encoding", "gzip");
    return response_send(response, 200, asset->content_type, (const char *)asset->gzip,
                         asset->gzip_len);
}
