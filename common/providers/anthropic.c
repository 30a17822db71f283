/*
 * anthropic: the Messages format of Anthropic's Claude models, and of gateways that speak it.
 *
 * Request: the system prompt stands beside the messages; turns alternate, so that neighbours of one role
 * become one turn of several blocks; the first turn is the user's; max_tokens is required.
 * Reply: named events. STREAM_FINISH comes with message_stop, or with the end of the body after a
 * stop_reason. Counts of tokens are cumulative and come in pieces: the input with message_start, the
 * output with each message_delta. The call of a function is a block, whose arguments come in pieces.
 * Signatures and citations are not acted on. Pure; runs on the thread that feeds it (the loop).
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/providers/call_parts.h"
#include "common/providers/events.h"
#include "common/providers/failure.h"
#include "common/providers/provider.h"
#include "common/providers/skim.h"
#include "common/providers/wire.h"

#define API_VERSION     "2023-06-01"
#define MAX_TEMPERATURE 1
#define SOME_MAX_TOKENS 1024 /* when the provider has no limit of its own: the format wants one */

/* ---- request ---- */

/* The base is https://host or https://host/v1, both of which people copy from somewhere. */
static void put_url(struct buf *out, const char *base)
{
    size_t path_len = strcspn(base, "?");
    bool has_version = path_len >= 3 && memcmp(base + path_len - 3, "/v1", 3) == 0;
    wire_put_url(out, base, has_version ? "/messages" : "/v1/messages");
}

static void put_headers(struct buf *out, const struct provider *provider)
{
    wire_put_headers(out);
    buf_puts(out, "anthropic-version: " API_VERSION "\n");
    wire_put_key(out, provider, "x-api-key");
}

static void put_picture(struct buf *out, const struct chat_image *image)
{
    wire_put_comma(out);
    buf_puts(out, "{\"type\":\"image\",\"source\":{\"type\":\"base64\"");
    json_put_member(out, "media_type", image->mime);
    json_put_member_len(out, "data", image->base64, image->base64_len);
    buf_puts(out, "}}");
}

/* The API refuses text without words: an answer that was stopped at once, say. */
static bool is_blank(const struct chat_message *message)
{
    return strspn(message->content, " \t\r\n") == message->len;
}

static void put_use(struct buf *out, const struct chat_message *message, const struct chat_use *use)
{
    bool called = use->kind == CHAT_USE_CALL;
    wire_put_comma(out);
    buf_putc(out, '{');
    json_put_member(out, "type", called ? "tool_use" : "tool_result");
    json_put_member(out, called ? "id" : "tool_use_id", use->id);
    if (called) {
        json_put_member(out, "name", use->name);
        json_put_member_raw(out, "input", message->content);
    } else {
        json_put_member_len(out, "content", message->content, message->len);
    }
    buf_putc(out, '}');
}

/* The blocks of one message, pictures before the words about them. */
static void put_blocks(struct buf *out, const struct provider_call *call, size_t index)
{
    const struct chat_message *message = &call->messages[index];
    struct chat_images images = wire_images(call, index);
    struct chat_use use = wire_use(call, index);
    if (use.kind != CHAT_USE_NONE) {
        put_use(out, message, &use);
        return;
    }
    for (size_t i = 0; i < images.count && !out->failed; i++)
        put_picture(out, &images.list[i]);
    if (is_blank(message))
        return;
    wire_put_comma(out);
    buf_puts(out, "{\"type\":\"text\"");
    json_put_member_len(out, "text", message->content, message->len);
    buf_putc(out, '}');
}

static bool is_empty(const struct provider_call *call, size_t index)
{
    return is_blank(&call->messages[index]) && wire_images(call, index).count == 0 &&
           wire_use(call, index).kind == CHAT_USE_NONE;
}

/* Where the turn that begins at `from` ends: before the next message that says something in another
 * role. */
static size_t turn_end(const struct provider_call *call, size_t from)
{
    size_t at = from + 1;
    while (at < call->message_count &&
           (is_empty(call, at) || call->messages[at].role == call->messages[from].role))
        at++;
    return at;
}

static void put_turn(struct buf *out, const struct provider_call *call, size_t from, size_t to)
{
    const struct chat_message *first = &call->messages[from];
    wire_put_comma(out);
    buf_putc(out, '{');
    json_put_member(out, "role", chat_role_name(first->role));
    if (to == from + 1 && wire_images(call, from).count == 0 &&
        wire_use(call, from).kind == CHAT_USE_NONE) {
        json_put_member_len(out, "content", first->content, first->len);
    } else {
        json_put_member_raw(out, "content", "[");
        for (size_t i = from; i < to && !out->failed; i++)
            put_blocks(out, call, i);
        buf_putc(out, ']');
    }
    buf_putc(out, '}');
}

static void put_messages(struct buf *out, const struct provider_call *call)
{
    size_t at = 0;
    json_put_member_raw(out, "messages", "[");
    while (at < call->message_count && (call->messages[at].role != CHAT_USER || is_empty(call, at)))
        at++;
    while (at < call->message_count && !out->failed) {
        size_t end = turn_end(call, at);
        put_turn(out, call, at, end);
        at = end;
    }
    buf_putc(out, ']');
}

static void put_tools(struct buf *out, const struct provider_call *call)
{
    wire_put_tools(out, call, "{", "input_schema", "}");
    if (call->tool_count > 0)
        json_put_member_raw(out, "tool_choice",
                            call->no_calls
                                ? "{\"type\":\"none\"}"
                                : "{\"type\":\"auto\",\"disable_parallel_tool_use\":true}");
}

static void put_body(struct buf *out, const struct provider_call *call)
{
    const struct provider *provider = call->provider;
    buf_putc(out, '{');
    json_put_member(out, "model", call->model);
    json_put_member_int(out, "max_tokens",
                        provider->max_tokens > 0 ? provider->max_tokens : SOME_MAX_TOKENS);
    if (*call->system != '\0')
        json_put_member(out, "system", call->system);
    put_messages(out, call);
    put_tools(out, call);
    wire_put_temperature(out, provider, MAX_TEMPERATURE);
    json_put_member_bool(out, "stream", true);
    buf_putc(out, '}');
}

static enum result encode(const struct provider_call *call, struct provider_request *out,
                          struct fault *fault)
{
    put_url(&out->url, call->provider->base_url);
    put_headers(&out->headers, call->provider);
    put_body(&out->body, call);
    return wire_check(out, fault);
}

/* ---- decoder ---- */

struct provider_stream {
    struct events events;
    int64_t input_tokens, cache_write_tokens, cache_read_tokens, output_tokens;
    struct call_parts called;
    bool answering; /* the message has begun */
};

/* Cumulative: a later count replaces an earlier one, and none ever shrinks. */
static void raise_count(int64_t *count, struct json_object *usage, const char *key)
{
    int64_t value = wire_tokens(usage, key);
    if (value > *count)
        *count = value;
}

static void read_usage(struct provider_stream *stream, struct skim text)
{
    struct json_object *usage = NULL;
    if (!skim_is_object(text) || json_parse(text.at, text.len, &usage, NULL) != RESULT_OK)
        return;
    raise_count(&stream->input_tokens, usage, "input_tokens");
    raise_count(&stream->cache_write_tokens, usage, "cache_creation_input_tokens");
    raise_count(&stream->cache_read_tokens, usage, "cache_read_input_tokens");
    raise_count(&stream->output_tokens, usage, "output_tokens");
    json_object_put(usage);

    struct stream_usage told = {
        .prompt_tokens =
            stream->input_tokens + stream->cache_write_tokens + stream->cache_read_tokens,
        .completion_tokens = stream->output_tokens,
        .cached_tokens = stream->cache_read_tokens,
    };
    told.total_tokens = told.prompt_tokens + told.completion_tokens;
    told.known = told.total_tokens > 0;
    emit_usage(&stream->events.emit, &told);
}

static bool take_start(struct provider_stream *stream, struct skim data)
{
    enum { MODEL, USAGE, COUNT };
    static const struct skim_key outer[] = { SKIM_KEY("message") };
    static const struct skim_key keys[COUNT] = { SKIM_KEY("model"), SKIM_KEY("usage") };
    struct skim message, values[COUNT];
    if (!skim_object(data, outer, 1, &message))
        return false;
    stream->answering = true;
    if (!skim_object(message, keys, COUNT, values))
        return true;
    events_model(&stream->events, values[MODEL]);
    read_usage(stream, values[USAGE]);
    return true;
}

/* The beginning of a block or the next piece of it. Of the many kinds two have words for people, and one calls a
 * function; its "input" at the beginning is empty. */
static bool take_block(struct provider_stream *stream, struct skim data)
{
    enum { BLOCK, DELTA, INDEX, OUTER };
    enum { TYPE, TEXT, THINKING, ID, NAME, JSON, COUNT };
    static const struct skim_key outer[OUTER] = { SKIM_KEY("content_block"), SKIM_KEY("delta"),
                                                  SKIM_KEY("index") };
    static const struct skim_key keys[COUNT] = { SKIM_KEY("type"),     SKIM_KEY("text"),
                                                 SKIM_KEY("thinking"), SKIM_KEY("id"),
                                                 SKIM_KEY("name"),     SKIM_KEY("partial_json") };
    struct skim pieces[OUTER], values[COUNT];
    if (!skim_object(data, outer, OUTER, pieces))
        return false;
    stream->answering = true;
    if (!skim_object(pieces[DELTA].at ? pieces[DELTA] : pieces[BLOCK], keys, COUNT, values))
        return true;
    if (events_is(values[TYPE], "text_delta") || events_is(values[TYPE], "text"))
        events_text(&stream->events, STREAM_DELTA, values[TEXT]);
    else if (events_is(values[TYPE], "thinking_delta") || events_is(values[TYPE], "thinking"))
        events_text(&stream->events, STREAM_REASONING, values[THINKING]);
    else if (events_is(values[TYPE], "tool_use") ||
             (events_is(values[TYPE], "input_json_delta") && stream->called.begun))
        call_parts_add(&stream->called, skim_number(pieces[INDEX], 0), values[ID], values[NAME],
                       values[JSON], &stream->events.scratch);
    return true;
}

/* An unknown reason is still an end; so is pause_turn, which only tools of Anthropic's own bring. */
static const struct events_reason stop_reasons[] = {
    { "end_turn", FINISH_STOP },
    { "stop_sequence", FINISH_STOP },
    { "max_tokens", FINISH_LENGTH },
    { "model_context_window_exceeded", FINISH_LENGTH },
    { "tool_use", FINISH_TOOL_CALLS },
    { "refusal", FINISH_REFUSAL },
    { NULL, FINISH_STOP },
};

static bool take_delta(struct provider_stream *stream, struct skim data)
{
    enum { DELTA, USAGE, COUNT };
    static const struct skim_key keys[COUNT] = { SKIM_KEY("delta"), SKIM_KEY("usage") };
    static const struct skim_key inner[] = { SKIM_KEY("stop_reason") };
    struct skim values[COUNT], reason;
    if (!skim_object(data, keys, COUNT, values))
        return false;
    read_usage(stream, values[USAGE]);
    if (skim_object(values[DELTA], inner, 1, &reason))
        events_read_reason(&stream->events, stop_reasons, reason);
    return true;
}

static bool take_stop(struct provider_stream *stream, struct skim data)
{
    (void)data;
    call_parts_emit(&stream->called, &stream->events.emit);
    if (stream->answering)
        events_finish(&stream->events);
    else
        events_fail(&stream->events, FAILURE_BAD);
    return true;
}

/* May come at any time, also after a 200 and some text. */
static bool take_error(struct provider_stream *stream, struct skim data)
{
    static const struct skim_key keys[] = { SKIM_KEY("error") };
    struct skim error;
    skim_object(data, keys, 1, &error);
    events_error(&stream->events, error);
    return true;
}

static const struct events_row rows[] = {
    { "content_block_delta", take_block }, { "content_block_start", take_block },
    { "message_start", take_start },       { "message_delta", take_delta },
    { "message_stop", take_stop },         { "error", take_error },
};

static struct provider_stream *open_stream(const struct provider_call *call, stream_sink *sink,
                                           void *ctx)
{
    struct provider_stream *stream = calloc(1, sizeof *stream);
    if (stream)
        events_init(&stream->events, rows, sizeof rows / sizeof *rows, stream, sink, ctx);
    if (stream)
        call_parts_init(&stream->called, call->tool_count > 0);
    return stream;
}

static void close_stream(struct provider_stream *stream)
{
    if (!stream)
        return;
    events_free(&stream->events);
    call_parts_free(&stream->called);
    free(stream);
}

static void feed(struct provider_stream *stream, const char *bytes, size_t len)
{
    events_feed(&stream->events, bytes, len);
}

static void end(struct provider_stream *stream)
{
    if (stream->events.finish != FINISH_NONE)
        call_parts_emit(&stream->called, &stream->events.emit);
    events_end(&stream->events);
}

const struct provider_ops provider_anthropic = {
    .kind = "anthropic",
    .sees_images = true,
    .encode = encode,
    .open = open_stream,
    .feed = feed,
    .end = end,
    .close = close_stream,
    .explain = failure_explain,
};
