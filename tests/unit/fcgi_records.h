/*
 * fcgi_records: the web server's side of FastCGI, byte by byte, for the tests of fcgi_peek and server.
 */
#ifndef PARLEY_TESTS_FCGI_RECORDS_H
#define PARLEY_TESTS_FCGI_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/base/buf.h"

enum { REC_BEGIN = 1, REC_ABORT, REC_END, REC_PARAMS, REC_STDIN, REC_STDOUT, REC_GET_VALUES = 9 };

/* One record with `padding` bytes behind its content. */
static inline void put_record_padded(struct buf *out, unsigned type, unsigned id,
                                     const void *content, size_t len, size_t padding)
{
    const unsigned char head[8] = { 1,
                                    (unsigned char)type,
                                    (unsigned char)(id >> 8),
                                    (unsigned char)id,
                                    (unsigned char)(len >> 8),
                                    (unsigned char)len,
                                    (unsigned char)padding,
                                    0 };
    buf_put(out, head, sizeof(head));
    if (len > 0)
        buf_put(out, content, len);
    for (; padding > 0; padding--)
        buf_putc(out, 'P');
}

static inline void put_record(struct buf *out, unsigned type, unsigned id, const void *content,
                              size_t len)
{
    put_record_padded(out, type, id, content, len, (8 - len % 8) % 8);
}

static inline void put_begin(struct buf *out, unsigned id, unsigned role, bool keep)
{
    const unsigned char body[8] = { 0, (unsigned char)role, keep, 0, 0, 0, 0, 0 };
    put_record(out, REC_BEGIN, id, body, sizeof(body));
}

/* A length in the form of four bytes. */
static inline void put_long_length(struct buf *out, size_t len)
{
    buf_putc(out, (char)(len >> 24 | 0x80));
    buf_putc(out, (char)(len >> 16));
    buf_putc(out, (char)(len >> 8));
    buf_putc(out, (char)len);
}

/* A name-value pair, to go into a PARAMS record. */
static inline void put_pair_len(struct buf *out, const char *name, const char *value,
                                size_t value_len)
{
    buf_putc(out, (char)strlen(name));
    if (value_len < 128)
        buf_putc(out, (char)value_len);
    else
        put_long_length(out, value_len);
    buf_puts(out, name);
    buf_put(out, value, value_len);
}

static inline void put_pair(struct buf *out, const char *name, const char *value)
{
    put_pair_len(out, name, value, strlen(value));
}

/* A whole stream in records of at most `piece` bytes, and its end. */
static inline void put_stream(struct buf *out, unsigned type, unsigned id, const char *bytes,
                              size_t len, size_t piece)
{
    for (size_t at = 0; at < len; at += piece)
        put_record(out, type, id, bytes + at, len - at < piece ? len - at : piece);
    put_record(out, type, id, NULL, 0);
}

/* A whole POST of `path` with `body`. */
static inline void put_request(struct buf *out, unsigned id, bool keep, const char *path,
                               const char *body, size_t body_len)
{
    struct buf params;
    buf_init(&params, 65535);
    put_pair(&params, "REQUEST_METHOD", "POST");
    put_pair(&params, "SCRIPT_NAME", path);
    put_pair(&params, "REMOTE_ADDR", "192.0.2.7");
    put_pair(&params, "HTTP_ACCEPT", "text/plain");
    put_begin(out, id, 1, keep);
    put_stream(out, REC_PARAMS, id, params.data, params.len, 50);
    put_stream(out, REC_STDIN, id, body, body_len, 8000);
    buf_free(&params);
}

#endif
