/*
 * provider_fixture: replays a recorded stream through a decoder in every way a network may deliver it,
 * and encodes a call. Included by one test program each.
 */
#ifndef PARLEY_TESTS_PROVIDER_FIXTURE_H
#define PARLEY_TESTS_PROVIDER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "common/base/buf.h"
#include "common/base/text.h"
#include "common/config.h"
#include "common/config_table.h"
#include "common/providers/provider.h"

/* ---- replies ---- */

/* Events are written down as "name value;" and so compared as one string. */
static void write_down(void *ctx, const struct stream_event *event)
{
    struct buf *out = ctx;
    const struct stream_usage *usage = event->usage;
    switch (event->type) {
    case STREAM_TOOL_CALL:
        buf_putf(out, "call %s %.*s", event->tool, (int)event->text_len, event->text);
        break;
    case STREAM_DELTA:
    case STREAM_REASONING:
    case STREAM_MODEL:
        assert_true(event->text_len > 0 && text_utf8_valid(event->text, event->text_len));
        buf_puts(out, event->type == STREAM_DELTA   ? "text "
                      : event->type == STREAM_MODEL ? "model "
                                                    : "think ");
        buf_put(out, event->text, event->text_len);
        break;
    case STREAM_USAGE:
        assert_true(usage->known && !usage->estimated);
        buf_putf(out, "usage %d+%d=%d cached %d reasoning %d", (int)usage->prompt_tokens,
                 (int)usage->completion_tokens, (int)usage->total_tokens, (int)usage->cached_tokens,
                 (int)usage->reasoning_tokens);
        break;
    case STREAM_FINISH:
        buf_putf(out, "finish %s", finish_reason_name(event->finish));
        break;
    case STREAM_FAILED:
        buf_putf(out, "failed %s", event->fault->code);
        break;
    }
    buf_putc(out, ';');
}

/* Whether streams are opened with a function on offer. */
static bool offers;
static const struct chat_tool offered = { "f", "Does it", "{\"type\":\"object\"}" };

/* The events of the bytes, which come in pieces of `size`, the first one of `first`. Into `out`. */
static void replay(const struct provider_ops *ops, const char *bytes, size_t len, size_t first,
                   size_t size, struct buf *out)
{
    struct provider_call call = {
        .model = "m", .system = "", .tools = &offered, .tool_count = offers ? 1 : 0
    };
    struct provider_stream *stream = ops->open(&call, write_down, out);
    assert_non_null(stream);
    for (size_t at = 0, step = first; at < len; at += step, step = size) {
        step = step < len - at ? step : len - at;
        /* A copy of its own, so that a sanitizer sees every byte that is read beyond it. */
        char *piece = malloc(step + 1);
        assert_non_null(piece);
        memcpy(piece, bytes + at, step);
        char *exact = realloc(piece, step ? step : 1);
        assert_non_null(exact);
        ops->feed(stream, exact, step);
        free(exact);
    }
    ops->end(stream);
    ops->end(stream); /* nothing may follow the end */
    ops->close(stream);
}

static void check_pieces(const struct provider_ops *ops, const struct buf *bytes, size_t first,
                         size_t size, const char *wanted)
{
    struct buf events;
    buf_init(&events, 1 << 20);
    replay(ops, buf_str(bytes), bytes->len, first, size, &events);
    if (strcmp(buf_str(&events), wanted) != 0)
        fail_msg("first %zu, then %zu\n  got    %s\n  wanted %s", first, size, buf_str(&events),
                 wanted);
    buf_free(&events);
}

/* Whole, byte by byte, and in two pieces, split at every byte. */
static void check_splits(const struct provider_ops *ops, const struct buf *bytes,
                         const char *wanted)
{
    check_pieces(ops, bytes, bytes->len, 1, wanted);
    check_pieces(ops, bytes, 1, 1, wanted);
    for (size_t first = 1; first < bytes->len; first++)
        check_pieces(ops, bytes, first, bytes->len, wanted);
}

/* The stream with `line_end` for every LF and `before` in front of every line that begins a frame. */
static void dress(struct buf *out, const char *text, const char *before, const char *line_end)
{
    bool begins = true;
    buf_init(out, 1 << 20);
    for (; *text != '\0'; text++) {
        if (begins)
            buf_puts(out, before);
        begins = text[0] == '\n' && text[1] == '\n';
        if (*text == '\n')
            buf_puts(out, line_end);
        else
            buf_putc(out, *text);
    }
    assert_false(out->failed);
}

/* `stream` has LF line ends. However its bytes come and its lines end, the events are `wanted`. */
static void check_stream(const struct provider_ops *ops, const char *stream, const char *wanted)
{
    static const struct {
        const char *before;
        const char *line_end;
    } dresses[] = {
        { "", "\n" },
        { "", "\r\n" },
        { "", "\r" },
        { ": keep-alive\n", "\n" },
        { "id: 7\r\nretry: 10\r\n:\r\nunknown\r\n", "\r\n" },
    };
    for (size_t i = 0; i < sizeof dresses / sizeof *dresses; i++) {
        struct buf bytes;
        dress(&bytes, stream, dresses[i].before, dresses[i].line_end);
        check_splits(ops, &bytes, wanted);
        buf_free(&bytes);
    }
}

/*
 * Cut after every byte, the stream never seems whole before `until` was there, never sends what it
 * would not have sent, and always ends. Half an event was cut, it is not malformed.
 */
static void check_cuts(const struct provider_ops *ops, const char *stream, const char *until)
{
    struct buf whole, events;
    const char *found = strstr(stream, until);
    assert_non_null(found);
    size_t enough = (size_t)(found - stream) + strlen(until);
    size_t silent = strcspn(stream, "{"); /* up to here there was no data at all */
    buf_init(&whole, 1 << 20);
    buf_init(&events, 1 << 20);
    replay(ops, stream, strlen(stream), strlen(stream), 1, &whole);
    for (size_t len = 0; len < strlen(stream); len++) {
        buf_clear(&events);
        replay(ops, stream, len, len, 1, &events);
        char *end = strstr(buf_str(&events), "failed ");
        if (!end)
            end = strstr(buf_str(&events), "finish ");
        assert_non_null(end);
        assert_non_null(strchr(end, ';'));
        assert_string_equal(strchr(end, ';'), ";");
        if (strcmp(end, "failed provider_stream_cut;") != 0 &&
            !(len <= silent && strcmp(end, "failed provider_bad_response;") == 0) &&
            !(len >= enough && strncmp(end, "finish ", 7) == 0))
            fail_msg("cut after %zu bytes: %s", len, end);
        assert_memory_equal(buf_str(&events), buf_str(&whole), (size_t)(end - events.data));
    }
    buf_free(&whole);
    buf_free(&events);
}

/* Bytes that are no stream at all must neither crash nor hang, and end in one failure. */
static void check_garbage(const struct provider_ops *ops)
{
    static const char *const bodies[] = {
        "",
        "<html><body>502 Bad Gateway</body></html>",
        "{\"error\":{\"type\":\"api_error\"}}",
        "data: \n\ndata:\n\n",
        "data: hello\n\n",
        "data: {\"type\":\n\n",
        "data: [1,2]\n\ndata: null\n\n",
        "event: message_start\nevent: response.created\n\n",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct buf bytes;
        dress(&bytes, bodies[i], "", "\n");
        check_splits(ops, &bytes, "failed provider_bad_response;");
        buf_free(&bytes);
    }
}

/* ---- requests ---- */

static bool same_json(const char *text, const char *wanted)
{
    struct json_object *got = json_tokener_parse(text);
    struct json_object *want = json_tokener_parse(wanted);
    assert_non_null(want);
    bool same = got && json_object_equal(got, want);
    json_object_put(got);
    json_object_put(want);
    return same;
}

/* Encode, and compare address, header lines and body (as JSON). NULL is not compared. */
static void check_request(const struct provider_call *call, const char *url, const char *headers,
                          const char *body)
{
    struct provider_request request;
    struct fault fault;
    provider_request_init(&request);
    assert_int_equal(call->provider->ops->encode(call, &request, &fault), RESULT_OK);
    if (url)
        assert_string_equal(buf_str(&request.url), url);
    if (headers)
        assert_string_equal(buf_str(&request.headers), headers);
    if (body && !same_json(buf_str(&request.body), body))
        fail_msg("\n  got    %s\n  wanted %s", buf_str(&request.body), body);
    provider_request_free(&request);
}

/* A picture over the cap of a request is refused, not cut. */
static void check_too_large(const struct provider *provider)
{
    struct chat_message message = { .role = CHAT_USER, .content = (char[]){ "q" }, .len = 1 };
    size_t len = CAP_UPSTREAM_REQUEST;
    char *base64 = malloc(len);
    assert_non_null(base64);
    memset(base64, 'A', len);
    struct chat_image image = { "image/png", base64, len, NULL };
    struct chat_images images = { &image, 1 };
    struct provider_call call = { .provider = provider,
                                  .model = "m",
                                  .system = "",
                                  .messages = &message,
                                  .message_count = 1,
                                  .images = &images };
    struct provider_request request;
    struct fault fault;
    provider_request_init(&request);
    assert_int_equal(provider->ops->encode(&call, &request, &fault), RESULT_TOO_LARGE);
    assert_string_equal(fault.code, "request_too_large");
    provider_request_free(&request);
    free(base64);
}

/* ---- error replies ---- */

/* Response headers as name, value, name, value, ..., NULL. */
static const char *header_of(void *ctx, const char *name)
{
    const char *const *headers = ctx;
    for (; headers && *headers; headers += 2) {
        if (strcasecmp(headers[0], name) == 0)
            return headers[1];
    }
    return NULL;
}

struct error_case {
    int status;
    const char *body;
    const char *code; /* wanted */
    bool retryable;
    const char *detail;
};

static void check_errors(const struct provider_ops *ops, const struct error_case *cases,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct provider_failure failure;
        ops->explain(cases[i].status, header_of, NULL, cases[i].body, strlen(cases[i].body),
                     &failure);
        if (strcmp(failure.fault.code, cases[i].code) != 0 ||
            failure.retryable != cases[i].retryable || strcmp(failure.detail, cases[i].detail) != 0)
            fail_msg("status %d, %s: %s, retryable %d, detail %s", cases[i].status, cases[i].body,
                     failure.fault.code, failure.retryable, failure.detail);
        assert_int_equal(failure.retry_after_ms, -1);
        assert_null(strstr(failure.fault.text, "sk-"));
    }
}

/* ---- configuration ---- */

/* The options whose names depend on PROVIDERS, and those of the built-in ones. */
static void clear_provider_options(void)
{
    static const char *const prefixes[] = { "PROVIDER_", "OPENAI_", "ANTHROPIC_" };
    for (size_t i = 0; environ[i];) {
        char name[100];
        size_t len = strcspn(environ[i], "=");
        bool ours = false;
        for (size_t j = 0; j < 3; j++)
            ours = ours || strncmp(environ[i], prefixes[j], strlen(prefixes[j])) == 0;
        if (!ours || len >= sizeof name) {
            i++;
            continue;
        }
        memcpy(name, environ[i], len);
        name[len] = '\0';
        unsetenv(name);
    }
}

/* Load the providers of exactly these options: name, value, ..., NULL. */
static void load_providers(const char *const *options, struct config *config,
                           struct providers *providers)
{
    struct fault fault = { 0 };
    for (size_t i = 0; i < config_option_count; i++) {
        unsetenv(config_options[i].name);
        if (config_options[i].alias)
            unsetenv(config_options[i].alias);
    }
    clear_provider_options();
    setenv("PARLEY_ENV", "/dev/null", 1);
    for (; *options; options += 2)
        setenv(options[0], options[1], 1);
    if (config_load(config, NULL, &fault) != RESULT_OK ||
        providers_load(config, providers, &fault) != RESULT_OK)
        fail_msg("%s", fault.text);
}

#endif
