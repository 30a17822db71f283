/*
 * fcgi_peek: reads one request off a FastCGI connection before libfcgi may see it, strictly and piece by
 * piece, so that a slow sender costs a few bytes and a malicious one meets this file and not libfcgi.
 *
 * Pure: bytes in, verdict out; no clock, and no descriptor but the file that `spill` opens for a long body.
 * One owner at a time.
 */
#ifndef PARLEY_HTTP_FCGI_PEEK_H
#define PARLEY_HTTP_FCGI_PEEK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

/* Record types of the FastCGI specification that a responder has to do with. */
enum fcgi_type {
    FCGI_TYPE_BEGIN = 1,
    FCGI_TYPE_END = 3,
    FCGI_TYPE_PARAMS = 4,
    FCGI_TYPE_STDIN = 5,
    FCGI_TYPE_STDOUT = 6
};

#define FCGI_HEAD_LEN       8
#define FCGI_ROLE_RESPONDER 1
#define FCGI_FLAG_KEEP_CONN 1

enum fcgi_verdict {
    FCGI_INCOMPLETE, /* go on feeding */
    FCGI_READY,    /* the request is there whole, or its body is so long that it will be refused */
    FCGI_MALFORMED /* `reason` says why; the connection is of no more use */
};

enum fcgi_stage { FCGI_AT_BEGIN, FCGI_AT_PARAMS, FCGI_AT_STDIN, FCGI_AT_END, FCGI_REFUSED };

/* Bytes of a body that are kept in memory where body_max allowed more than init did; the rest goes to a file. */
#define FCGI_SPILL (1024 * 1024)

/* What the reader asks its owner; either may be NULL. */
struct fcgi_peek_asks {
    /* How long the body of a request with these PARAMS may be. Without: as said at init. */
    size_t (*body_max)(void *ctx, const struct buf *params);
    /* A file for a body that is longer than FCGI_SPILL, -1 = none: then it is refused. */
    int (*spill)(void *ctx);
    void *ctx;
};

struct fcgi_peek {
    struct buf params; /* content of PARAMS: name-value pairs, checked once the stream has ended */
    struct buf
        body; /* content of STDIN up to one byte over the limit; empty when there is a file */
    int file; /* or -1; whoever takes it sets it to -1 */
    struct fcgi_peek_asks asks; /* set after init */
    unsigned request_id;
    bool keep_conn;     /* the web server wants to use the connection again */
    bool cut;           /* READY although STDIN has not ended: TRANSPORT_DRAIN bytes were dropped */
    const char *reason; /* of FCGI_MALFORMED; static */

    /* private: where we are */
    enum fcgi_stage stage;
    unsigned char head[FCGI_HEAD_LEN];
    unsigned char begin[FCGI_HEAD_LEN]; /* body of BEGIN_REQUEST */
    size_t head_len;
    size_t record_len; /* content of the current record */
    size_t content_left;
    size_t padding_left;
    bool may_spill;
    size_t body_most; /* bytes that are kept: one over the limit */
    size_t body_len;  /* bytes kept so far, in memory or in the file */
    size_t dropped;   /* bytes of body over the limit */
};

/* Ready for the first byte of a request whose body may have `body_max` bytes. Allocates nothing. */
void fcgi_peek_init(struct fcgi_peek *peek, size_t body_max);

/* Take the next bytes. After FCGI_READY or FCGI_MALFORMED there is nothing more to feed. */
enum fcgi_verdict fcgi_peek_feed(struct fcgi_peek *peek, const void *bytes, size_t len);

/* Has a byte of the request arrived? */
bool fcgi_peek_started(const struct fcgi_peek *peek);

void fcgi_peek_free(struct fcgi_peek *peek);

#endif
