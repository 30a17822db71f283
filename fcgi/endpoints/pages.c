/*
 * pages: the chat page and its files, from the binary. Nothing in the page names an absolute address: it
 * refers to "assets/..." and "api/..." beside itself, so it works under any mount. That holds only when the
 * browser's address has the right depth, so "/ai" is sent to "/ai/" and "/ai/chat/" to "/ai/chat".
 *
 * Request thread.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/assets.h"
#include "fcgi/http/exchange.h"
#include "fcgi/http/transport.h"

#define CAP_LOCATION 2048

/* %s: where pictures may come from beyond us. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:%s; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

static const struct {
    const char *name, *value;
} page_headers[] = {
    { "X-Frame-Options", "DENY" },
    { "Referrer-Policy", "same-origin" },
    { "Permissions-Policy",
      "microphone=(self), camera=(self), geolocation=(), payment=(), usb=()" },
};

static void add_headers(struct exchange *exchange)
{
    char line[sizeof policy + 16];

    snprintf(line, sizeof line, policy,
             exchange->app->config->allow_remote_images ? " https:" : "");
    response_header(&exchange->response, "Content-Security-Policy", line);
    for (size_t i = 0; i < sizeof(page_headers) / sizeof(page_headers[0]); i++)
        response_header(&exchange->response, page_headers[i].name, page_headers[i].value);
}

static void not_found(struct exchange *exchange)
{
    struct fault fault;
    fault_set(&fault, RESULT_NOT_FOUND, "unknown_path", NULL, "There is nothing at this address.");
    response_fault(&exchange->response, &fault);
}

/*
 * Where the browser should have asked, when its address has the wrong depth: the mount's root wants a slash
 * at its end, "/chat" wants none. Built from REQUEST_URI and not from our own base, because only that
 * is the browser's view when something in front strips a prefix. False: the address is right, or unknown.
 */
static bool other_address(const struct exchange *exchange, struct buf *out)
{
    struct transport *transport = exchange->transport;
    const char *page = exchange->request.path;
    const char *uri = transport->ops->variable(transport, "REQUEST_URI");
    /* A browser reads a backslash as a slash; "//host" would lead to another site. */
    if (uri == NULL || uri[0] != '/' || uri[1] == '/' || strchr(uri, '\\') != NULL)
        return false;
    size_t len = strcspn(uri, "?#");
    size_t kept = len;
    while (kept > 0 && uri[kept - 1] == '/')
        kept--;
    bool root = strcmp(page, "/") == 0;
    if (kept == 0 || (kept < len) == root)
        return false;
    if (!root &&
        (kept < strlen(page) || strncmp(uri + kept - strlen(page), page, strlen(page)) != 0))
        return false;
    buf_put(out, uri, kept);
    if (root)
        buf_putc(out, '/');
    buf_puts(out, uri + len);
    return !out->failed;
}

static void send_page(struct exchange *exchange, const char *name)
{
    const struct asset *page = assets_find(name);
    if (page == NULL) {
        not_found(exchange);
        return;
    }
    struct buf location;
    buf_init(&location, CAP_LOCATION);
    if (other_address(exchange, &location)) {
        response_header(&exchange->response, "Location", buf_str(&location));
        response_send(&exchange->response, 302, "text/plain; charset=utf-8", "", 0);
    } else {
        add_headers(exchange);
        assets_send(&exchange->response, page);
    }
    buf_free(&location);
}

void endpoint_page(struct exchange *exchange)
{
    send_page(exchange, "index.html");
}

void endpoint_docs(struct exchange *exchange)
{
    send_page(exchange, "docs.html");
}

void endpoint_widget_demo(struct exchange *exchange)
{
    send_page(exchange, "widget-demo.html");
}

static void send_file(struct exchange *exchange, const struct asset *asset)
{
    if (asset == NULL)
        not_found(exchange);
    else
        assets_send(&exchange->response, asset);
}

void endpoint_asset(struct exchange *exchange)
{
    struct buf path;
    buf_init(&path, sizeof(exchange->request.path_arg) + strlen("assets/"));
    buf_putf(&path, "assets/%s", exchange->request.path_arg);
    send_file(exchange, assets_find(buf_str(&path)));
    buf_free(&path);
}

void endpoint_file(struct exchange *exchange)
{
    send_file(exchange, assets_find(exchange->request.path + 1));
}

/* Browsers ask for /favicon.ico whatever the page says; they know what an SVG is by its type. */
void endpoint_favicon(struct exchange *exchange)
{
    for (size_t i = 0; i < assets_count; i++) {
        if (strncmp(assets[i].path, "assets/icon-", strlen("assets/icon-")) != 0 ||
            strcmp(assets[i].content_type, "image/svg+xml") != 0)
            continue;
        /* Under this name it may change. */
        struct asset icon = assets[i];
        icon.immutable = false;
        assets_send(&exchange->response, &icon);
        return;
    }
    not_found(exchange);
}
