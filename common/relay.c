/*
 * relay: see relay.h. curl_multi_socket_action driven by libuv: one uv_poll_t per socket that curl
 * names, one uv_timer_t for curl's own timeouts, one slow tick for our deadlines.
 *
 * curl forbids calls on the multi handle from inside its callbacks, so a call that is cancelled there is
 * only marked, and swept as soon as curl has returned.
 */
#include "common/relay_curl.h"
#include "common/relay_end.h"
#include "common/relay_shun.h"
#include "common/relay_trust.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uv.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define DEADLINE_TICK_MS 100
#define DRAIN_MS         1000
#define RECEIVE_BUFFER   4096 /* per transfer; a delta is a few hundred bytes */
#define HTTP2_STREAMS    32   /* per connection; curl goes through all whenever one has bytes */

struct relay {
    uv_loop_t *loop;
    CURLM *multi;       /* NULL until the first call */
    uv_timer_t timeout; /* curl's */
    uv_timer_t tick;    /* ours: deadlines of all calls */
    struct relay_call *calls;
    struct relay_call *heard; /* those to whom `settled` is due */
    bool in_curl;
    bool sweep; /* a call was cancelled while curl was on the stack */
    bool http2;
    size_t max_idle;
    unsigned open_timers; /* while closing */
    struct relay_trust trust;
    char *https_proxy, *no_proxy;
};

struct relay_call {
    struct relay *relay;
    struct relay_call *next, *prev;
    struct relay_call *heard_next;
    CURL *easy;
    struct curl_slist *headers;
    char *body;
    const struct relay_handler *handler;
    void *ctx;
    int64_t started_ms, last_byte_ms; /* monotonic */
    int64_t first_byte_timeout_ms, idle_timeout_ms, total_timeout_ms;
    size_t (*read_body)(void *ctx, char *out, size_t size);
    bool (*rewind_body)(void *ctx);
    bool has_head;
    bool is_heard; /* in the relay's list */
    bool held;
    bool cancelled; /* to be closed by the next sweep */
    bool draining;  /* nobody listens any more */
    struct relay_shun shun;
    char error[CURL_ERROR_SIZE];
};

struct relay_socket {
    uv_poll_t poll;
    struct relay *relay;
    curl_socket_t fd;
};

static void call_free(struct relay_call *call)
{
    if (call == NULL)
        return;
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    free(call->body);
    free(call);
}

static void heard_remove(struct relay_call *call)
{
    struct relay_call **link = &call->relay->heard;

    if (!call->is_heard)
        return;
    while (*link != call)
        link = &(*link)->heard_next;
    *link = call->heard_next;
    call->is_heard = false;
}

/* Take the call out of curl and of our list; a running transfer's connection is closed by this. */
static void call_unlink(struct relay_call *call)
{
    struct relay *relay = call->relay;

    curl_multi_remove_handle(relay->multi, call->easy);
    heard_remove(call);
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        relay->calls = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    if (relay->calls == NULL)
        uv_timer_stop(&relay->tick);
}

static void call_end(struct relay_call *call, enum relay_end end)
{
    if (call->shun.shied && end == RELAY_UNREACHABLE) {
        end = RELAY_FAILED;
        snprintf(call->error, sizeof call->error, "it leads into an inner network");
    }
    if (!call->cancelled && !call->draining)
        call->handler->done(call->ctx, end, call->error);
    call_unlink(call);
    call_free(call);
}

static void sweep_cancelled(struct relay *relay)
{
    struct relay_call *call, *next;

    if (!relay->sweep)
        return;
    relay->sweep = false;
    for (call = relay->calls; call != NULL; call = next) {
        next = call->next;
        if (call->cancelled) {
            call_unlink(call);
            call_free(call);
        }
    }
}

/* A handler may cancel its own call, and with it free it: not touched any more once it was told. */
static void tell_settled(struct relay *relay)
{
    while (relay->heard != NULL) {
        struct relay_call *call = relay->heard;

        heard_remove(call);
        if (!call->cancelled && !call->draining)
            call->handler->settled(call->ctx);
    }
}

static void collect_finished(struct relay *relay)
{
    CURLMsg *message;
    int left;

    sweep_cancelled(relay);
    tell_settled(relay);
    while ((message = curl_multi_info_read(relay->multi, &left)) != NULL) {
        struct relay_call *call = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        call_end(call, relay_end_of(code, call->easy));
    }
}

static void drive(struct relay *relay, curl_socket_t fd, int flags)
{
    int running;

    relay->in_curl = true;
    curl_multi_socket_action(relay->multi, fd, flags, &running);
    relay->in_curl = false;
    collect_finished(relay);
}

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
    struct relay_socket *socket = poll->data;
    int flags = 0;

    if (status < 0)
        flags = CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    drive(socket->relay, socket->fd, flags);
}

static void on_socket_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static struct relay_socket *socket_watch(struct relay *relay, curl_socket_t fd)
{
    struct relay_socket *socket = calloc(1, sizeof *socket);

    if (socket == NULL)
        return NULL;
    socket->relay = relay;
    socket->fd = fd;
    if (uv_poll_init_socket(relay->loop, &socket->poll, fd) != 0) {
        free(socket);
        return NULL;
    }
    socket->poll.data = socket;
    curl_multi_assign(relay->multi, fd, socket);
    return socket;
}

/* CURLMOPT_SOCKETFUNCTION: curl says which events it waits for on a socket. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *assigned)
{
    struct relay *relay = ctx;
    struct relay_socket *socket = assigned;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL) {
            curl_multi_assign(relay->multi, fd, NULL);
            uv_close((uv_handle_t *)&socket->poll, on_socket_closed);
        }
        return 0;
    }
    if (socket == NULL && (socket = socket_watch(relay, fd)) == NULL)
        return -1;
    if (what != CURL_POLL_OUT)
        events |= UV_READABLE;
    if (what != CURL_POLL_IN)
        events |= UV_WRITABLE;
    return uv_poll_start(&socket->poll, events, on_socket_ready) == 0 ? 0 : -1;
}

static void on_curl_timeout(uv_timer_t *timer)
{
    drive(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

/* CURLMOPT_TIMERFUNCTION. A timeout of 0 must not call back into curl from here, so it waits a turn. */
static int on_curl_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct relay *relay = ctx;

    (void)multi;
    if (timeout_ms < 0)
        return uv_timer_stop(&relay->timeout);
    return uv_timer_start(&relay->timeout, on_curl_timeout, (uint64_t)timeout_ms, 0);
}

static size_t on_header_line(char *line, size_t size, size_t count, void *ctx)
{
    struct relay_call *call = ctx;
    size_t len = size * count;
    long status = 0;

    if (call->cancelled)
        return 0;
    call->last_byte_ms = clock_mono_ms();
    if (len > 2 || (line[0] != '\r' && line[0] != '\n')) /* some end their lines with LF alone */
        return len;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && !call->has_head) {
        call->has_head = true;
        if (!call->draining)
            call->handler->head(call->ctx, (int)status);
    }
    return call->cancelled ? 0 : len;
}

static size_t on_body_bytes(char *bytes, size_t size, size_t count, void *ctx)
{
    struct relay_call *call = ctx;
    size_t len = size * count;

    if (call->cancelled)
        return 0;
    call->last_byte_ms = clock_mono_ms();
    if (!call->draining)
        call->handler->body(call->ctx, bytes, len);
    if (call->handler->settled != NULL && !call->is_heard) {
        call->is_heard = true;
        call->heard_next = call->relay->heard;
        call->relay->heard = call;
    }
    return call->cancelled ? 0 : len;
}

static size_t on_read_body(char *out, size_t size, size_t count, void *ctx)
{
    struct relay_call *call = ctx;
    size_t got = call->cancelled ? 0 : call->read_body(call->ctx, out, size * count);

    call->last_byte_ms = clock_mono_ms();
    return got > 0 ? got : CURL_READFUNC_ABORT;
}

static int on_seek_body(void *ctx, curl_off_t offset, int origin)
{
    struct relay_call *call = ctx;

    if (offset != 0 || origin != SEEK_SET || call->cancelled || !call->rewind_body(call->ctx))
        return CURL_SEEKFUNC_CANTSEEK;
    return CURL_SEEKFUNC_OK;
}

static bool past(int64_t since_ms, int64_t timeout_ms, int64_t now_ms)
{
    return timeout_ms > 0 && now_ms - since_ms >= timeout_ms;
}

static void check_deadline(struct relay_call *call, int64_t now)
{
    enum relay_end end;

    if (past(call->started_ms, call->total_timeout_ms, now))
        end = RELAY_TIMEOUT_TOTAL;
    else if (!call->has_head && past(call->started_ms, call->first_byte_timeout_ms, now))
        end = RELAY_TIMEOUT_FIRST_BYTE;
    else if (call->has_head && !call->held && past(call->last_byte_ms, call->idle_timeout_ms, now))
        end = RELAY_TIMEOUT_IDLE;
    else
        return;
    call_end(call, end);
}

/* A `done` may start calls (they go in front of the list) and cancel others: see in_curl below. */
static void on_tick(uv_timer_t *timer)
{
    struct relay *relay = timer->data;
    struct relay_call *call, *next;
    int64_t now = clock_mono_ms();

    relay->in_curl =
        true; /* cancels from inside `done` wait for the sweep, so `next` stays valid */
    for (call = relay->calls; call != NULL; call = next) {
        next = call->next;
        if (!call->cancelled)
            check_deadline(call, now);
    }
    relay->in_curl = false;
    collect_finished(relay);
}

static char *copy_or_empty(const char *text)
{
    return strdup(text != NULL ? text : "");
}

bool relay_load(void)
{
    return relay_curl_load_ahead();
}

static void relay_free(struct relay *relay)
{
    relay_trust_fini(&relay->trust);
    free(relay->https_proxy);
    free(relay->no_proxy);
    free(relay);
}

enum result relay_open(uv_loop_t *loop, const struct relay_options *options, struct relay **out)
{
    struct relay *relay = calloc(1, sizeof *relay);

    if (relay == NULL)
        return RESULT_INTERNAL;
    relay->loop = loop;
    relay->http2 = options->http2;
    relay->https_proxy = copy_or_empty(options->https_proxy);
    relay->no_proxy = copy_or_empty(options->no_proxy);
    relay->max_idle = options->max_idle;
    if (!relay_trust_init(&relay->trust, options->ca_file) || relay->https_proxy == NULL ||
        relay->no_proxy == NULL) {
        relay_free(relay);
        return RESULT_INTERNAL;
    }
    uv_timer_init(loop, &relay->timeout);
    uv_timer_init(loop, &relay->tick);
    relay->timeout.data = relay->tick.data = relay;
    *out = relay;
    return RESULT_OK;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct relay *relay = handle->data;

    if (--relay->open_timers == 0) {
        relay_free(relay);
    }
}

void relay_close(struct relay *relay)
{
    if (relay == NULL)
        return;
    while (relay->calls != NULL)
        relay_cancel(relay->calls);
    if (relay->multi != NULL)
        curl_multi_cleanup(relay->multi);
    relay->open_timers = 2;
    uv_close((uv_handle_t *)&relay->timeout, on_timer_closed);
    uv_close((uv_handle_t *)&relay->tick, on_timer_closed);
}

/* "Name: value\n" lines to curl's list. False when out of memory. */
static bool add_headers(struct relay_call *call, const char *lines)
{
    while (lines != NULL && *lines != '\0') {
        size_t len = strcspn(lines, "\n");
        char *line = strndup(lines, len); /* keys may be long: a token is some kilobytes */
        struct curl_slist *list = line != NULL ? curl_slist_append(call->headers, line) : NULL;

        free(line);
        if (list == NULL)
            return false;
        call->headers = list;
        lines += len + (lines[len] == '\n');
    }
    return true;
}

bool relay_proxies(const struct relay *relay, const char *url)
{
    return relay->https_proxy[0] != '\0' && strncasecmp(url, "https:", 6) == 0;
}

static void set_transfer_options(struct relay_call *call, const struct relay_request *request)
{
    CURL *easy = call->easy;
    struct relay *relay = call->relay;
    bool tls = strncasecmp(request->url, "https:", 6) == 0;
    bool http2 = relay->http2 && tls;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header_line);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                     http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1);
    /* Wait for a connection that may carry many, instead of opening one each. With TLS that is known after the
     * handshake; without, curl would wait for a whole reply head. */
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, http2 ? 1L : 0L);
    /* An explicit proxy, if only "" = none, keeps curl from asking the environment: in a CGI that is partly
     * the visitor's. */
    curl_easy_setopt(easy, CURLOPT_PROXY, tls ? relay->https_proxy : "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, relay->no_proxy);
    relay_trust_use(&relay->trust, easy);
    if (request->body != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    }
    if (request->read_body != NULL) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read_body);
        curl_easy_setopt(easy, CURLOPT_READDATA, call);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek_body);
        curl_easy_setopt(easy, CURLOPT_SEEKDATA, call);
    }
    relay_shun_watch(easy, &call->shun);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

/* Setting up curl and its TLS library costs more than a whole request that needs neither, and a plain CGI
 * would pay that each time: so it waits for the first call. */
static bool multi_open(struct relay *relay)
{
    if (relay->multi != NULL)
        return true;
    if (!relay_curl_load() || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        (relay->multi = curl_multi_init()) == NULL)
        return false;
    relay_trust_look(&relay->trust);
    curl_multi_setopt(relay->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(relay->multi, CURLMOPT_SOCKETDATA, relay);
    curl_multi_setopt(relay->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(relay->multi, CURLMOPT_TIMERDATA, relay);
    curl_multi_setopt(relay->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)HTTP2_STREAMS);
    curl_multi_setopt(relay->multi, CURLMOPT_MAXCONNECTS, (long)relay->max_idle);
    return true;
}

static void call_link(struct relay_call *call)
{
    struct relay *relay = call->relay;

    call->next = relay->calls;
    if (relay->calls != NULL)
        relay->calls->prev = call;
    relay->calls = call;
    if (!uv_is_active((uv_handle_t *)&relay->tick))
        uv_timer_start(&relay->tick, on_tick, DEADLINE_TICK_MS, DEADLINE_TICK_MS);
}

struct relay_call *relay_start(struct relay *relay, const struct relay_request *request,
                               const struct relay_handler *handler, void *ctx)
{
    struct relay_call *call = calloc(1, sizeof *call);

    if (call == NULL) {
        free(request->body);
        return NULL;
    }
    call->relay = relay;
    call->body = request->body;
    call->read_body = request->read_body;
    call->rewind_body = request->rewind_body;
    call->handler = handler;
    call->ctx = ctx;
    call->first_byte_timeout_ms = request->first_byte_timeout_ms;
    call->idle_timeout_ms = request->idle_timeout_ms;
    call->total_timeout_ms = request->total_timeout_ms;
    call->shun.networks = relay_proxies(relay, request->url) ? NULL : request->shunned;
    call->started_ms = call->last_byte_ms = clock_mono_ms();
    /* An "Expect: 100-continue" of curl's own would cost a round trip for large bodies. */
    if (!multi_open(relay) || !add_headers(call, "Expect:\n") ||
        !add_headers(call, request->headers) || (call->easy = curl_easy_init()) == NULL ||
        curl_easy_setopt(call->easy, CURLOPT_URL, request->url) != CURLE_OK)
        goto fail;
    set_transfer_options(call, request);
    if (curl_multi_add_handle(relay->multi, call->easy) != CURLM_OK)
        goto fail;
    call_link(call);
    return call;
fail:
    call_free(call);
    return NULL;
}

const char *relay_header(struct relay_call *call, const char *name)
{
    struct curl_header *header;

    if (curl_easy_header(call->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

void relay_hold(struct relay_call *call)
{
    if (call->held)
        return;
    call->held = true;
    curl_easy_pause(call->easy, CURLPAUSE_RECV);
}

/* curl may hand out what it kept back at once, from inside curl_easy_pause. */
void relay_go_on(struct relay_call *call)
{
    struct relay *relay = call->relay;
    bool nested = relay->in_curl;

    if (!call->held)
        return;
    call->held = false;
    call->last_byte_ms = clock_mono_ms();
    relay->in_curl = true;
    curl_easy_pause(call->easy, CURLPAUSE_CONT);
    relay->in_curl = nested;
    if (!nested)
        drive(relay, CURL_SOCKET_TIMEOUT, 0);
}

void relay_drain(struct relay_call *call)
{
    call->draining = true;
    call->started_ms = clock_mono_ms();
    call->total_timeout_ms = DRAIN_MS;
}

void relay_cancel(struct relay_call *call)
{
    if (call->relay->in_curl) {
        call->cancelled = true;
        call->relay->sweep = true;
        return;
    }
    call_unlink(call);
    call_free(call);
}
