/*
 * container_files: GET /api/container_files/content: a file that the model's code has written, passed on piece by piece
 * (contracts/turn_response.md, section 8). When the client is slow, upstream is held back; when it leaves, upstream is
 * closed. The file is somebody's output on our origin: it goes out as an attachment that may run nothing.
 * Request thread, then loop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/config.h"
#include "common/relay.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/openai_api.h"
#include "fcgi/endpoints/outflow.h"
#include "fcgi/http/exchange.h"

#define NAME_SIZE   513
#define TYPE_SIZE   128
#define CAP_URL     (CAP_OPTION_VALUE + 1024)
#define CAP_HEADERS (4 * CAP_OPTION_VALUE)
#define CAP_VALUE   4096
#define TOTAL_MS    (3600 * 1000)
#define FAILURE     "Failed to fetch file"

struct download {
    struct exchange *exchange;
    struct outflow *flow;
    struct relay_call *call;
    char file_id[OPENAI_ID_SIZE];
    char container_id[OPENAI_ID_SIZE]; /* "" = none */
    char name[NAME_SIZE];
    bool begun;
};

/* ---- the name ---- */

/* What every client understands, and what the newer ones prefer (RFC 6266). */
static void put_disposition(struct buf *out, const char *name)
{
    buf_puts(out, "attachment; filename=\"");
    for (const char *c = name; *c != '\0'; c++) {
        bool plain = *c >= 0x20 && *c < 0x7f && strchr("\"\\/", *c) == NULL;

        if (((unsigned char)*c & 0xc0) != 0x80) /* one sign per character */
            buf_putc(out, plain ? *c : '_');
    }
    buf_puts(out, "\"; filename*=UTF-8''");
    text_percent_encode(out, name, strlen(name));
}

static void set_headers(struct download *download)
{
    struct response *response = &download->exchange->response;
    const char *length = relay_header(download->call, "Content-Length");
    struct buf value;

    buf_init(&value, CAP_VALUE);
    put_disposition(&value, download->name);
    response_header(response, "Content-Disposition", buf_str(&value));
    response_header(response, "Content-Security-Policy", "default-src 'none'; sandbox");
    if (length != NULL && *length != '\0' && strspn(length, "0123456789") == strlen(length))
        response_header(response, "Content-Length", length);
    buf_free(&value);
}

/* Upstream's, when it looks like one. */
static void read_type(struct relay_call *call, char type[TYPE_SIZE])
{
    const char *value = relay_header(call, "Content-Type");

    text_copy(type, TYPE_SIZE, "application/octet-stream");
    if (value == NULL || *value == '\0' || strlen(value) >= TYPE_SIZE)
        return;
    for (const char *c = value; *c != '\0'; c++)
        if (*c < 0x20 || *c > 0x7e)
            return;
    text_copy(type, TYPE_SIZE, value);
}

/* ---- the loop ---- */

static void finish(struct download *download, const char *outcome)
{
    if (download->flow != NULL)
        outflow_end(download->flow, outcome);
    else
        exchange_finish(download->exchange);
    free(download);
}

static void on_gone(void *ctx)
{
    struct download *download = ctx;

    if (download->call != NULL)
        relay_cancel(download->call);
    free(download);
}

static void on_drained(void *ctx)
{
    struct download *download = ctx;

    if (download->call != NULL)
        relay_go_on(download->call);
}

static const struct outflow_handler flow_handler = { .gone = on_gone, .drained = on_drained };

static void on_head(void *ctx, int status)
{
    struct download *download = ctx;
    char type[TYPE_SIZE];

    if (status >= 300)
        return;
    download->begun = true;
    read_type(download->call, type);
    set_headers(download);
    response_begin_stream(&download->exchange->response, 200, type);
}

static void on_body(void *ctx, const char *bytes, size_t len)
{
    struct download *download = ctx;

    if (!download->begun)
        return;
    outflow_put(download->flow, bytes, len);
    if (outflow_full(download->flow))
        relay_hold(download->call);
}

static void on_done(void *ctx, enum relay_end end, const char *detail)
{
    struct download *download = ctx;

    download->call = NULL;
    if (end != RELAY_COMPLETE)
        log_warn("download_failed", LOG_STR("request_id", download->exchange->request.id),
                 LOG_STR("end", relay_end_name(end)), LOG_STR("detail", detail));
    if (!download->begun) {
        openai_reply_error(download->exchange, 500, FAILURE);
        finish(download, "failed");
        return;
    }
    /* Half a file must not look like a whole one: the connection is broken off. */
    if (end != RELAY_COMPLETE)
        download->exchange->response.gone = true;
    finish(download, end == RELAY_COMPLETE ? "ok" : "failed");
}

static const struct relay_handler handler = { .head = on_head, .body = on_body, .done = on_done };

static void put_path(struct buf *out, const struct download *download)
{
    if (download->container_id[0] != '\0')
        buf_putf(out, "/containers/%s/files/%s/content", download->container_id, download->file_id);
    else
        buf_putf(out, "/container-files/%s/content", download->file_id);
}

static struct relay_call *start(struct download *download)
{
    const struct app *app = download->exchange->app;
    struct relay_request request = { .method = "GET" };
    struct relay_call *call = NULL;
    struct buf path, url, headers;

    openai_set_deadlines(&request, app->config);
    request.total_timeout_ms = TOTAL_MS;
    buf_init(&path, 1024);
    buf_init(&url, CAP_URL);
    buf_init(&headers, CAP_HEADERS);
    put_path(&path, download);
    openai_put_url(&url, app, buf_str(&path));
    openai_put_headers(&headers, app, false);
    request.url = buf_str(&url);
    request.headers = buf_str(&headers);
    if (!path.failed && !url.failed && !headers.failed)
        call = relay_start(app->relay, &request, &handler, download);
    buf_free(&path);
    buf_free(&url);
    buf_free(&headers);
    return call;
}

static void download_on_loop(struct exchange *exchange)
{
    struct download *download = exchange->state;

    download->flow = outflow_open(exchange, &flow_handler, download);
    if (download->flow != NULL)
        download->call = start(download);
    if (download->call != NULL)
        return;
    openai_reply_error(exchange, 500, FAILURE);
    finish(download, "failed");
}

/* ---- request thread ---- */

/* "" when absent; false when it is there and no id. */
static bool read_id(const struct exchange *exchange, const char *name, char id[OPENAI_ID_SIZE])
{
    char given[4 * OPENAI_ID_SIZE];

    id[0] = '\0';
    if (!request_query(&exchange->request, name, given, sizeof given))
        return strstr(exchange->request.query, name) == NULL;
    return given[0] == '\0' || (openai_id_sound(given) && text_copy(id, OPENAI_ID_SIZE, given));
}

static void read_name(const struct exchange *exchange, struct download *download)
{
    char given[NAME_SIZE];

    if (request_query(&exchange->request, "filename", given, sizeof given) &&
        text_utf8_valid(given, strlen(given)) && !text_has_control(given, strlen(given)) &&
        given[0] != '\0')
        text_copy(download->name, sizeof download->name, given);
    else
        text_copy(download->name, sizeof download->name, download->file_id);
}

void endpoint_container_file(struct exchange *exchange)
{
    struct download *download = calloc(1, sizeof *download);
    bool sound;

    if (download == NULL) {
        openai_reply_error(exchange, 500, FAILURE);
        return;
    }
    sound = read_id(exchange, "file_id", download->file_id) &&
            read_id(exchange, "container_id", download->container_id);
    if (!sound || download->file_id[0] == '\0') {
        openai_reply_error(exchange, 400, sound ? "Missing file_id" : "Not an id");
        free(download);
        return;
    }
    read_name(exchange, download);
    download->exchange = exchange;
    exchange->state = download;
    exchange->on_loop = download_on_loop;
}
