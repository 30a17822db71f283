/*
 * upload_file: POST /api/vector_stores/upload_file: base64 in JSON comes in, multipart goes out. The file never stands in
 * memory: the request thread decodes the body as it reads it into a file without a name, and the loop sends that
 * file as the relay asks for more. Request thread, then loop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/id.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/config.h"
#include "common/relay_fetch.h"
#include "common/responses/upload_scan.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/openai_api.h"
#include "fcgi/endpoints/outflow.h"
#include "fcgi/http/body_limit.h"
#include "fcgi/http/exchange.h"
#include "fcgi/http/transport.h"

#define READ_SIZE   (64 * 1024)
#define CAP_PART    8192
#define CAP_REPLY   (1024 * 1024)
#define CAP_URL     (CAP_OPTION_VALUE + 64)
#define CAP_HEADERS (4 * CAP_OPTION_VALUE)
#define FAILURE     "Error uploading file"

struct upload {
    struct exchange *exchange;
    struct outflow *flow;
    struct relay_fetch *fetch;
    struct openai_tries tries;
    int fd;
    size_t file_len;
    struct buf head, tail; /* of the multipart body, around the file */
    char boundary[CAP_ID];
    size_t sent; /* of all three */
};

static void upload_free(struct upload *upload)
{
    if (upload == NULL)
        return;
    if (upload->fd >= 0)
        close(upload->fd);
    buf_free(&upload->head);
    buf_free(&upload->tail);
    free(upload);
}

/* ---- request thread: body to file ---- */

static bool keep_bytes(void *ctx, const void *bytes, size_t len)
{
    struct upload *upload = ctx;
    const char *at = bytes;

    upload->file_len += len;
    while (len > 0) {
        ssize_t n = write(upload->fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            log_error("upload_not_kept", LOG_STR("error", strerror(errno)));
            return false;
        }
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static enum result too_large(const struct exchange *exchange, struct fault *fault)
{
    return fault_set(fault, RESULT_TOO_LARGE, "body_too_large", NULL,
                     "The body of the request is larger than the %zu bytes that are allowed.",
                     body_limit_of_route(exchange->app->config, exchange->route));
}

/* The whole body through the scanner. What is too long is read to its end all the same, within bounds, so
 * that the peer sees our answer. */
static enum result scan_body(struct upload *upload, struct upload_scan *scan, struct fault *fault)
{
    struct exchange *exchange = upload->exchange;
    struct transport *transport = exchange->transport;
    size_t most = body_limit_of_route(exchange->app->config, exchange->route);
    char *chunk = malloc(READ_SIZE);
    size_t total = 0, got = 1;
    enum result result = RESULT_OK;

    exchange->request.body_read = true;
    while (chunk != NULL && got > 0 && total < most + TRANSPORT_DRAIN) {
        if (transport->ops->read(transport, chunk, READ_SIZE, &got) != RESULT_OK) {
            result = fault_set(fault, RESULT_GONE, "body_incomplete", NULL,
                               "The body of the request ended before all of it had arrived.");
            break;
        }
        total += got;
        if (total <= most)
            upload_scan_feed(scan, chunk, got);
    }
    free(chunk);
    if (chunk == NULL || scan->sink_failed)
        return fault_set(fault, RESULT_INTERNAL, "no_room", NULL,
                         "There is no room for the file on this server.");
    if (result == RESULT_OK && total > most)
        result = too_large(exchange, fault);
    return result;
}

/* A name is quoted as browsers do it in forms: UTF-8 as it is, but nothing that ends the header. */
static void put_name(struct buf *out, const struct buf *name)
{
    struct buf whole;

    buf_init(&whole, 3 * name->len + 16);
    text_utf8_repair(&whole, name->len > 0 ? name->data : "file", name->len > 0 ? name->len : 4);
    for (size_t i = 0; i < whole.len; i++) {
        unsigned char c = (unsigned char)whole.data[i];

        if (c < 0x20 || c == '"' || c == 0x7f)
            buf_putf(out, "%%%02X", c);
        else
            buf_putc(out, (char)c);
    }
    buf_free(&whole);
}

static void put_parts(struct upload *upload, const struct buf *name)
{
    struct buf *head = &upload->head;

    id_make(upload->boundary, "part-");
    buf_putf(head, "--%s\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n",
             upload->boundary);
    buf_putf(head, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"",
             upload->boundary);
    put_name(head, name);
    buf_puts(head, "\"\r\nContent-Type: application/octet-stream\r\n\r\n");
    buf_putf(&upload->tail, "\r\n--%s--\r\n", upload->boundary);
}

static enum result read_upload(struct upload *upload, struct fault *fault)
{
    const struct config *config = upload->exchange->app->config;
    struct upload_scan *scan = malloc(sizeof *scan);
    enum result result;

    upload->fd = body_limit_open_file((void *)(uintptr_t)config);
    if (upload->fd < 0 || scan == NULL) {
        free(scan);
        return fault_set(fault, RESULT_INTERNAL, "no_room", NULL,
                         "There is no room for the file on this server.");
    }
    upload_scan_init(scan, keep_bytes, upload);
    result = scan_body(upload, scan, fault);
    if (result == RESULT_OK && !upload_scan_end(scan))
        result =
            fault_set(fault, RESULT_INVALID, "invalid_field", "fileObject",
                      "The body must be {\"fileObject\":{\"name\":...,\"content\":<base64>}}.");
    if (result == RESULT_OK && scan->name_wrong)
        result = fault_set(fault, RESULT_INVALID, "invalid_field", "fileObject.name",
                           "The field fileObject.name must be a string.");
    if (result == RESULT_OK)
        put_parts(upload, &scan->name);
    if (result == RESULT_OK && (upload->head.failed || upload->tail.failed))
        result = fault_set(fault, RESULT_INTERNAL, "internal_error", NULL, "Out of memory.");
    upload_scan_free(scan);
    free(scan);
    return result;
}

/* ---- loop: file to OpenAI ---- */

static size_t body_len(const struct upload *upload)
{
    return upload->head.len + upload->file_len + upload->tail.len;
}

static size_t copy_from(const struct buf *part, size_t offset, char *out, size_t size)
{
    size_t len = part->len - offset < size ? part->len - offset : size;

    memcpy(out, part->data + offset, len);
    return len;
}

/* One page-cache read per call. */
static size_t upload_read(struct upload *upload, char *out, size_t size)
{
    size_t at = upload->sent, head_len = upload->head.len;
    size_t file_end = head_len + upload->file_len;
    ssize_t n;

    if (at < head_len) {
        n = (ssize_t)copy_from(&upload->head, at, out, size);
    } else if (at < file_end) {
        if (size > file_end - at)
            size = file_end - at;
        n = pread(upload->fd, out, size, (off_t)(at - head_len));
    } else {
        n = (ssize_t)copy_from(&upload->tail, at - file_end, out, size);
    }
    if (n <= 0)
        return 0;
    upload->sent += (size_t)n;
    return (size_t)n;
}

static size_t on_read(void *ctx, char *out, size_t size)
{
    return upload_read(ctx, out, size);
}

static bool on_rewind(void *ctx)
{
    struct upload *upload = ctx;

    upload->sent = 0;
    return true;
}

static void on_gone(void *ctx)
{
    struct upload *upload = ctx;

    relay_fetch_cancel(upload->fetch);
    upload_free(upload);
}

static void on_tick(void *ctx);

static const struct outflow_handler flow_handler = { .gone = on_gone, .tick = on_tick };

static void finish(struct upload *upload, bool good)
{
    if (upload->flow != NULL)
        outflow_end(upload->flow, good ? "ok" : "failed");
    else
        exchange_finish(upload->exchange);
    upload_free(upload);
}

static void on_reply(void *ctx, const struct relay_fetch_reply *reply)
{
    struct upload *upload = ctx;
    bool good = relay_fetch_good(reply);

    upload->fetch = NULL;
    if (!good && upload->flow != NULL && openai_try_again(&upload->tries, upload->exchange, reply))
        return;
    if (good)
        response_send(&upload->exchange->response, 200, RESPONSE_TYPE_JSON, reply->body,
                      reply->len);
    else
        openai_reply_error(upload->exchange, 500, FAILURE);
    finish(upload, good);
}

static struct relay_fetch *start(struct upload *upload)
{
    const struct app *app = upload->exchange->app;
    struct relay_request request = { .method = "POST",
                                     .body_len = body_len(upload),
                                     .read_body = on_read,
                                     .rewind_body = on_rewind };
    struct relay_fetch *fetch = NULL;
    struct buf url, headers;

    upload->tries.made++;
    upload->sent = 0;
    openai_set_deadlines(&request, app->config);
    request.first_byte_timeout_ms = app->config->answer_timeout_ms; /* the upload comes before */
    buf_init(&url, CAP_URL);
    buf_init(&headers, CAP_HEADERS);
    openai_put_url(&url, app, "/files");
    openai_put_headers(&headers, app, false);
    buf_putf(&headers, "Content-Type: multipart/form-data; boundary=%s\n", upload->boundary);
    request.url = buf_str(&url);
    request.headers = buf_str(&headers);
    if (!url.failed && !headers.failed)
        fetch = relay_fetch_start(app->relay, &request, CAP_REPLY, on_reply, upload);
    buf_free(&url);
    buf_free(&headers);
    return fetch;
}

static void send(struct upload *upload)
{
    upload->fetch = start(upload);
    if (upload->fetch != NULL)
        return;
    openai_reply_error(upload->exchange, 500, FAILURE);
    finish(upload, false);
}

static void on_tick(void *ctx)
{
    struct upload *upload = ctx;

    if (openai_again_due(&upload->tries))
        send(upload);
}

static void upload_on_loop(struct exchange *exchange)
{
    struct upload *upload = exchange->state;

    upload->flow = outflow_open(exchange, &flow_handler, upload);
    send(upload);
}

void endpoint_upload_file(struct exchange *exchange)
{
    struct upload *upload = calloc(1, sizeof *upload);
    struct fault fault = { 0 };
    enum result result;

    if (upload == NULL) {
        openai_reply_error(exchange, 500, FAILURE);
        return;
    }
    upload->exchange = exchange;
    upload->fd = -1;
    buf_init(&upload->head, CAP_PART);
    buf_init(&upload->tail, CAP_PART);
    result = read_upload(upload, &fault);
    if (result != RESULT_OK) {
        response_fault(&exchange->response, &fault);
        upload_free(upload);
        return;
    }
    exchange->state = upload;
    exchange->on_loop = upload_on_loop;
}
