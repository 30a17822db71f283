/*
 * response: head, then body, then done, with one writer. The only place where a result becomes an HTTP
 * status and a fault becomes an error body.
 *
 * Always sends Status and Content-Type, no 1xx, no Transfer-Encoding, an exact Content-Length or none,
 * a head below 4 KB (WEBSERVERS.md section 7). HEAD gets the head only.
 */
#ifndef PARLEY_HTTP_RESPONSE_H
#define PARLEY_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/result.h"

struct transport;
struct request;

#define RESPONSE_TYPE_JSON "application/json"
#define RESPONSE_TYPE_SSE  "text/event-stream; charset=utf-8"

struct response {
    struct transport *transport;
    const struct request *request;
    struct buf headers; /* added by response_header, "Name: value\r\n" lines */
    int status;         /* 0 until the head was made */
    bool streaming;
    bool plain;    /* the client is a browser without JavaScript: failures are pages */
    bool gone;     /* the peer has left; writes are dropped */
    size_t bytes;  /* of body, for the log */
    char code[40]; /* error code that was sent, for the log */
};

void response_init(struct response *response, struct transport *transport,
                   const struct request *request);
void response_free(struct response *response);

/* The HTTP status of a result: the one table. */
int response_status_of(enum result result);

/* Add a header. CR, LF and other controls in the value are dropped; over CAP_RESPONSE_HEAD it is not added. */
void response_header(struct response *response, const char *name, const char *value);

/* Take back what response_header added under this name, all of it. */
void response_drop_header(struct response *response, const char *name);

/*
 * A whole reply: head, body, flush. Cache-Control: no-store unless one was added before. Only one reply
 * can be sent: a second one is RESULT_INTERNAL, logged, and not written. Status 204 and 304 go without body
 * and Content-Length.
 */
enum result response_send(struct response *response, int status, const char *content_type,
                          const char *body, size_t len);
/* The same for JSON in a buf. A failed buf becomes 500. */
enum result response_json(struct response *response, int status, const struct buf *body);
/* The documented error body (chat_api.md, rules for every endpoint), with Retry-After where due; a page where
 * `plain` says so. */
enum result response_fault(struct response *response, const struct fault *fault);

/*
 * Start a stream: head only, flushed with the first write. It gets its no-buffer headers. For HEAD that
 * is all there will be: the head is flushed and RESULT_GONE says that nobody reads a stream; finish.
 */
enum result response_begin_stream(struct response *response, int status, const char *content_type);
/* On the loop: at most CAP_FLUSH bytes at once, after response_writable said yes (which it does for a peer
 * that has left, too: the write then says RESULT_GONE). Writes and flushes. */
enum result response_stream(struct response *response, const char *bytes, size_t len);
/* The same in two steps, where several pieces are to leave in one. */
enum result response_stream_part(struct response *response, const char *bytes, size_t len);
enum result response_flush(struct response *response);
bool response_writable(struct response *response);

#endif
