/*
 * fcgi_peek: the strict reader in front of libfcgi.
 *
 * Only one sequence passes: BEGIN_REQUEST (version 1, responder, 8 bytes), PARAMS records, an empty one,
 * STDIN records, an empty one, all with the same request id, and then silence until the answer is out.
 * That is what every measured web server sends. Whatever else there is goes no further, because libfcgi
 * 2.4.2 can be crashed by it: GET_VALUES with repeated names overflows its stack, lengths near 2^31 abort the
 * process (WEBSERVERS.md section 8). libfcgi is then fed from `params` and `body`, never from the wire.
 *
 * The bytes are taken out of the socket, not looked at with MSG_PEEK: a unix socket counts each small write as
 * a whole packet, so a sender of single bytes is stopped after 278 of them, and one of 100-byte pieces after
 * 27 KB (measured); a request that waits in the socket until it is whole would then never be whole.
 *
 * Runs on the loop. Writing to the file goes to the page cache; it is for bodies that would fill the memory.
 */
#include "fcgi/http/fcgi_peek.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/caps.h"
#include "fcgi/http/transport.h"

void fcgi_peek_init(struct fcgi_peek *peek, size_t body_max)
{
    *peek = (struct fcgi_peek){ .file = -1, .body_most = body_max + 1 };
    buf_init(&peek->params, CAP_PARAMS);
    buf_init(&peek->body, body_max + 1);
}

void fcgi_peek_free(struct fcgi_peek *peek)
{
    buf_free(&peek->params);
    buf_free(&peek->body);
    if (peek->file >= 0)
        close(peek->file);
    peek->file = -1;
}

bool fcgi_peek_started(const struct fcgi_peek *peek)
{
    return peek->stage != FCGI_AT_BEGIN || peek->head_len > 0;
}

static void refuse(struct fcgi_peek *peek, const char *reason)
{
    peek->stage = FCGI_REFUSED;
    peek->reason = reason;
}

/* ---- name-value pairs ---- */

/* A length of one byte, or of four with the top bit set. False when it is cut off. */
static bool take_length(const unsigned char **at, const unsigned char *end, size_t *len)
{
    const unsigned char *p = *at;
    if (p < end && p[0] < 0x80) {
        *len = p[0];
        *at += 1;
        return true;
    }
    if (end - p < 4)
        return false;
    *len = (size_t)(p[0] & 0x7f) << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    *at += 4;
    return true;
}

/* libfcgi makes C strings "name=value" of the pairs: a NUL or a "=" in the name would make another one. */
static bool pairs_sound(const struct buf *params)
{
    if (params->len == 0)
        return true;
    const unsigned char *at = (const unsigned char *)params->data;
    const unsigned char *end = at + params->len;
    while (at < end) {
        size_t name_len, value_len;
        if (!take_length(&at, end, &name_len) || !take_length(&at, end, &value_len))
            return false;
        size_t left = (size_t)(end - at);
        if (name_len == 0 || name_len > left || value_len > left - name_len)
            return false;
        if (memchr(at, '\0', name_len + value_len) != NULL || memchr(at, '=', name_len) != NULL)
            return false;
        at += name_len + value_len;
    }
    return true;
}

/* ---- records ---- */

static void head_complete(struct fcgi_peek *peek)
{
    static const unsigned expected[] = {
        [FCGI_AT_BEGIN] = FCGI_TYPE_BEGIN,
        [FCGI_AT_PARAMS] = FCGI_TYPE_PARAMS,
        [FCGI_AT_STDIN] = FCGI_TYPE_STDIN,
    };
    const unsigned char *head = peek->head;
    unsigned id = (unsigned)head[2] << 8 | head[3];

    peek->record_len = peek->content_left = (size_t)head[4] << 8 | head[5];
    peek->padding_left = head[6];
    if (head[0] != 1)
        refuse(peek, "not FastCGI version 1");
    else if (id == 0)
        refuse(peek, "a management record");
    else if (head[1] != expected[peek->stage])
        refuse(peek, "a record of this type is not due");
    else if (peek->stage == FCGI_AT_BEGIN && peek->record_len != sizeof(peek->begin))
        refuse(peek, "BEGIN_REQUEST of a wrong length");
    else if (peek->stage != FCGI_AT_BEGIN && id != peek->request_id)
        refuse(peek, "a second request on the connection");
    peek->request_id = id;
}

static void limit_body(struct fcgi_peek *peek, size_t body_max)
{
    peek->may_spill = body_max + 1 > peek->body_most;
    peek->body_most = body_max + 1;
    buf_free(&peek->body);
    buf_init(&peek->body, peek->body_most);
}

static void record_complete(struct fcgi_peek *peek)
{
    peek->head_len = 0;
    if (peek->stage == FCGI_AT_BEGIN) {
        peek->stage = FCGI_AT_PARAMS;
        peek->keep_conn = (peek->begin[2] & FCGI_FLAG_KEEP_CONN) != 0;
        if (((unsigned)peek->begin[0] << 8 | peek->begin[1]) != FCGI_ROLE_RESPONDER)
            refuse(peek, "a role other than responder");
    } else if (peek->record_len > 0) {
        return;
    } else if (peek->stage == FCGI_AT_PARAMS) {
        peek->stage = FCGI_AT_STDIN;
        if (!pairs_sound(&peek->params))
            refuse(peek, "PARAMS that are no name-value pairs");
        else if (peek->asks.body_max != NULL)
            limit_body(peek, peek->asks.body_max(peek->asks.ctx, &peek->params));
    } else {
        peek->stage = FCGI_AT_END;
    }
}

static bool write_file(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* What was in memory moves to a file. */
static bool spill(struct fcgi_peek *peek)
{
    peek->file = peek->asks.spill != NULL ? peek->asks.spill(peek->asks.ctx) : -1;
    if (peek->file < 0 || !write_file(peek->file, peek->body.data, peek->body.len)) {
        refuse(peek, "no file for a long body");
        return false;
    }
    buf_free(&peek->body);
    return true;
}

static void take_body(struct fcgi_peek *peek, const unsigned char *bytes, size_t len)
{
    size_t room = peek->body_most - peek->body_len;
    size_t kept = len < room ? len : room;
    if (peek->file < 0 && peek->may_spill && peek->body_len + kept > FCGI_SPILL && !spill(peek))
        return;
    if (peek->file >= 0 ? !write_file(peek->file, bytes, kept)
                        : !buf_put(&peek->body, bytes, kept)) {
        refuse(peek, "no room for the body");
        return;
    }
    peek->body_len += kept;
    peek->dropped += len - kept;
    if (peek->dropped > TRANSPORT_DRAIN) {
        peek->cut = true;
        peek->stage = FCGI_AT_END;
    }
}

static void take_content(struct fcgi_peek *peek, const unsigned char *bytes, size_t len)
{
    if (peek->stage == FCGI_AT_BEGIN)
        memcpy(peek->begin + sizeof(peek->begin) - peek->content_left, bytes, len);
    else if (peek->stage == FCGI_AT_STDIN)
        take_body(peek, bytes, len);
    else if (!buf_put(&peek->params, bytes, len))
        refuse(peek, "PARAMS over the limit");
    peek->content_left -= len;
}

/* Take what one step can use of `bytes`: of the head, the content or the padding. */
static size_t step(struct fcgi_peek *peek, const unsigned char *bytes, size_t len)
{
    size_t want = peek->head_len < FCGI_HEAD_LEN ? FCGI_HEAD_LEN - peek->head_len
                  : peek->content_left > 0       ? peek->content_left
                                                 : peek->padding_left;
    size_t taken = len < want ? len : want;

    if (peek->head_len < FCGI_HEAD_LEN) {
        memcpy(peek->head + peek->head_len, bytes, taken);
        peek->head_len += taken;
        if (peek->head_len == FCGI_HEAD_LEN)
            head_complete(peek);
    } else if (peek->content_left > 0) {
        take_content(peek, bytes, taken);
    } else {
        peek->padding_left -= taken;
    }
    if (peek->stage < FCGI_AT_END && peek->head_len == FCGI_HEAD_LEN && peek->content_left == 0 &&
        peek->padding_left == 0)
        record_complete(peek);
    return taken;
}

enum fcgi_verdict fcgi_peek_feed(struct fcgi_peek *peek, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    while (len > 0 && peek->stage < FCGI_AT_END) {
        size_t taken = step(peek, at, len);
        at += taken;
        len -= taken;
    }
    if (len > 0 && peek->stage == FCGI_AT_END && !peek->cut)
        refuse(peek, "bytes behind the end of the request");
    if (peek->stage == FCGI_REFUSED)
        return FCGI_MALFORMED;
    return peek->stage == FCGI_AT_END ? FCGI_READY : FCGI_INCOMPLETE;
}
