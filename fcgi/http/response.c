/*
 * response: one writer for everything that goes back to the web server: head, then body, then done.
 *
 * The head is put together in one buffer and written in one piece, so that it either leaves whole or
 * not at all; what endpoints add with response_header has its share of that buffer and cannot push
 * the mandatory lines out. The two tables below are the only places that turn a result into a status
 * and a status into words. Knows the transport's operations and nothing of FastCGI.
 *
 * Runs on whichever thread owns the exchange.
 */
#include "fcgi/http/response.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/json.h"
#include "common/base/log.h"
#include "fcgi/http/plain.h"
#include "fcgi/http/request.h"
#include "fcgi/http/transport.h"

/* Kept free in the head for the lines that every response has. */
#define HEAD_RESERVE 512

/* The sentence, its code, the field, the id: all escaped, six bytes for one at worst; or a small page. */
#define CAP_FAULT_BODY 8192

static const struct {
    int status;
    int retry_after_s; /* where the API promises one and the fault names none; 0 = none is promised */
} answers_to[RESULT_COUNT] = {
    [RESULT_OK] = { 200, 0 },
    [RESULT_INVALID] = { 400, 0 },
    [RESULT_UNAUTHORIZED] = { 401, 0 },
    [RESULT_FORBIDDEN] = { 403, 0 },
    [RESULT_NOT_FOUND] = { 404, 0 },
    [RESULT_BAD_METHOD] = { 405, 0 },
    [RESULT_CONFLICT] = { 409, 0 },
    [RESULT_TOO_LARGE] = { 413, 0 },
    [RESULT_UNSUPPORTED_TYPE] = { 415, 0 },
    [RESULT_LIMITED] = { 429, 60 },
    [RESULT_INTERNAL] = { 500, 0 },
    [RESULT_UPSTREAM_BAD] = { 502, 0 },
    [RESULT_OVERLOADED] = { 503, 5 },
    [RESULT_UPSTREAM_DOWN] = { 503, 10 },
    [RESULT_UPSTREAM_SLOW] = { 504, 0 },
    [RESULT_STORE_DOWN] = { 503, 5 },
    [RESULT_GONE] = { 400, 0 },
    [RESULT_CANCELLED] = { 409, 0 },
};

static const struct {
    int status;
    const char *words;
} reasons[] = {
    { 200, "OK" },
    { 201, "Created" },
    { 204, "No Content" },
    { 302, "Found" },
    { 304, "Not Modified" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 409, "Conflict" },
    { 413, "Content Too Large" },
    { 415, "Unsupported Media Type" },
    { 429, "Too Many Requests" },
    { 500, "Internal Server Error" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].words;
    return "Unknown";
}

int response_status_of(enum result result)
{
    return result >= 0 && result < RESULT_COUNT ? answers_to[result].status : 500;
}

void response_init(struct response *response, struct transport *transport,
                   const struct request *request)
{
    memset(response, 0, sizeof(*response));
    response->transport = transport;
    response->request = request;
    buf_init(&response->headers, CAP_RESPONSE_HEAD - HEAD_RESERVE);
}

void response_free(struct response *response)
{
    buf_free(&response->headers);
}

/* The line of a header, NULL when there is none. */
static char *find_header(const struct response *response, const char *name)
{
    size_t name_len = strlen(name);
    char *line = response->headers.len > 0 ? response->headers.data : NULL;

    while (line != NULL && *line != '\0') {
        if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':')
            return line;
        line = strchr(line, '\n');
        if (line != NULL)
            line++;
    }
    return NULL;
}

static bool has_header(const struct response *response, const char *name)
{
    return find_header(response, name) != NULL;
}

void response_drop_header(struct response *response, const char *name)
{
    struct buf *headers = &response->headers;
    char *line;

    while ((line = find_header(response, name)) != NULL) {
        size_t len = strcspn(line, "\n") + 1;
        size_t behind = headers->len - (size_t)(line - headers->data) - len;

        memmove(line, line + len, behind + 1); /* the NUL, too */
        headers->len -= len;
    }
}

void response_header(struct response *response, const char *name, const char *value)
{
    size_t need = strlen(name) + strlen(value) + strlen(": \r\n");
    if (response->headers.len + need > response->headers.cap) {
        log_warn("header_dropped", LOG_STR("request_id", response->request->id),
                 LOG_STR("header", name), LOG_INT("bytes", (int64_t)need));
        return;
    }
    if (!buf_reserve(&response->headers, need))
        return;
    buf_puts(&response->headers, name);
    buf_puts(&response->headers, ": ");
    for (const char *c = value; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x20 && *c != 0x7f)
            buf_putc(&response->headers, *c);
    buf_puts(&response->headers, "\r\n");
}

/* Everything goes through here; the first failure is the last write. */
static enum result put(struct response *response, const char *bytes, size_t len)
{
    if (response->gone)
        return RESULT_GONE;
    enum result result = response->transport->ops->write(response->transport, bytes, len);
    if (result != RESULT_OK)
        response->gone = true;
    return result;
}

enum result response_flush(struct response *response)
{
    if (response->gone)
        return RESULT_GONE;
    enum result result = response->transport->ops->flush(response->transport);
    if (result != RESULT_OK)
        response->gone = true;
    return result;
}

/* `length` < 0: no Content-Length. */
static enum result put_head(struct response *response, int status, const char *content_type,
                            long long length)
{
    if (response->status != 0) {
        log_error("second_reply", LOG_STR("request_id", response->request->id),
                  LOG_INT("first", response->status), LOG_INT("second", status));
        return RESULT_INTERNAL;
    }
    response->status = status;

    struct buf head;
    buf_init(&head, CAP_RESPONSE_HEAD);
    buf_putf(&head, "Status: %d %s\r\nContent-Type: %s\r\n", status, reason_of(status),
             content_type);
    if (length >= 0)
        buf_putf(&head, "Content-Length: %lld\r\n", length);
    if (response->request->id[0] != '\0')
        buf_putf(&head, "X-Request-Id: %s\r\n", response->request->id);
    buf_puts(&head, "X-Content-Type-Options: nosniff\r\n");
    if (response->headers.len > 0)
        buf_put(&head, response->headers.data, response->headers.len);
    buf_puts(&head, "\r\n");

    enum result result = RESULT_INTERNAL;
    if (head.failed) {
        /* Half a head would be worse than none: the web server then says 502 by itself. */
        log_error("head_failed", LOG_STR("request_id", response->request->id));
        response->gone = true;
    } else {
        result = put(response, head.data, head.len);
    }
    buf_free(&head);
    return result;
}

static bool head_only(const struct response *response)
{
    return response->request->method == HTTP_HEAD;
}

enum result response_send(struct response *response, int status, const char *content_type,
                          const char *body, size_t len)
{
    bool bodiless = status == 204 || status == 304;
    if (!has_header(response, "Cache-Control"))
        response_header(response, "Cache-Control", "no-store");
    enum result result = put_head(response, status, content_type, bodiless ? -1 : (long long)len);
    if (result == RESULT_OK && len > 0 && !bodiless && !head_only(response)) {
        result = put(response, body, len);
        if (result == RESULT_OK)
            response->bytes += len;
    }
    return result == RESULT_OK ? response_flush(response) : result;
}

enum result response_json(struct response *response, int status, const struct buf *body)
{
    if (body->failed) {
        struct fault fault;
        log_error("reply_too_large", LOG_STR("request_id", response->request->id),
                  LOG_INT("cap", (int64_t)body->cap));
        fault_set(&fault, RESULT_INTERNAL, "internal", NULL,
                  "The reply could not be put together.");
        return response_fault(response, &fault);
    }
    return response_send(response, status, RESPONSE_TYPE_JSON, buf_str(body), body->len);
}

static const char *sentence_of(const struct fault *fault)
{
    return fault->text[0] != '\0' ? fault->text : reason_of(response_status_of(fault->result));
}

static void fault_body(struct buf *body, const struct response *response, const struct fault *fault,
                       int retry_after_s)
{
    buf_putc(body, '{');
    json_put_member(body, "error", sentence_of(fault));
    json_put_member(body, "code", response->code);
    json_put_member(body, "status", "error");
    json_put_member(body, "request_id", response->request->id);
    if (fault->field[0] != '\0')
        json_put_member(body, "field", fault->field);
    if (retry_after_s > 0)
        json_put_member_int(body, "retry_after", retry_after_s);
    buf_putc(body, '}');
}

enum result response_fault(struct response *response, const struct fault *fault)
{
    int status = response_status_of(fault->result);
    int retry_after_s = fault->retry_after_s;
    if (retry_after_s <= 0 && fault->result >= 0 && fault->result < RESULT_COUNT)
        retry_after_s = answers_to[fault->result].retry_after_s;
    if (retry_after_s > 0) {
        char seconds[16];
        snprintf(seconds, sizeof(seconds), "%d", retry_after_s);
        response_header(response, "Retry-After", seconds);
    }
    const char *code = fault->code[0] != '\0' ? fault->code : result_name(fault->result);
    snprintf(response->code, sizeof(response->code), "%s", code);

    struct buf body;
    buf_init(&body, CAP_FAULT_BODY);
    if (response->plain)
        plain_fault(&body, sentence_of(fault));
    else
        fault_body(&body, response, fault, retry_after_s);
    enum result result =
        response_send(response, status, response->plain ? PLAIN_TYPE : RESPONSE_TYPE_JSON,
                      buf_str(&body), body.failed ? 0 : body.len);
    buf_free(&body);
    return result;
}

enum result response_begin_stream(struct response *response, int status, const char *content_type)
{
    response_header(response, "Cache-Control", "no-cache, no-transform");
    /* The only one of these that any web server obeys: nginx (WEBSERVERS.md section 2). */
    response_header(response, "X-Accel-Buffering", "no");
    enum result result = put_head(response, status, content_type, -1);
    if (result != RESULT_OK)
        return result;
    response->streaming = true;
    if (!head_only(response))
        return RESULT_OK;
    /* Apache waits for the end of the whole stream on HEAD, so that must be now. */
    result = response_flush(response);
    response->gone = true;
    return result == RESULT_OK ? RESULT_GONE : result;
}

enum result response_stream_part(struct response *response, const char *bytes, size_t len)
{
    enum result result = put(response, bytes, len);
    if (result == RESULT_OK)
        response->bytes += len;
    return result;
}

enum result response_stream(struct response *response, const char *bytes, size_t len)
{
    enum result result = response_stream_part(response, bytes, len);
    return result == RESULT_OK ? response_flush(response) : result;
}

bool response_writable(struct response *response)
{
    return response->gone || response->transport->ops->writable(response->transport);
}
