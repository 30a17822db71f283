/*
 * openai_responses: OpenAI's Responses format (OPENAI_API_STYLE=responses). The address and key are those
 * of openai; only the path and what goes over the wire differ. Conversations are ours to keep: nothing is
 * stored at the provider and nothing is chained by previous_response_id.
 *
 * Reply: named events, of which the deltas and the ends matter; the `*.done` events repeat what was
 * said. An answer ends with response.completed, response.incomplete, response.failed or error; there is
 * no `[DONE]`. Pure; runs on the thread that feeds it (the loop).
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

#define MAX_TEMPERATURE 2

/* ---- request ---- */

static void put_headers(struct buf *out, const struct provider *provider)
{
    wire_put_headers(out);
    wire_put_key(out, provider, "bearer");
}

static void put_parts(struct buf *out, const struct chat_message *message,
                      const struct chat_images *images)
{
    json_put_member_raw(out, "content", "[");
    if (message->len > 0) {
        buf_puts(out, "{\"type\":\"input_text\"");
        json_put_member_len(out, "text", message->content, message->len);
        buf_putc(out, '}');
    }
    for (size_t i = 0; i < images->count && !out->failed; i++) {
        wire_put_comma(out);
        buf_puts(out, "{\"type\":\"input_image\"");
        wire_put_data_url(out, "image_url", &images->list[i]);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

static void put_use(struct buf *out, const struct chat_message *message, const struct chat_use *use)
{
    bool called = use->kind == CHAT_USE_CALL;
    json_put_member(out, "type", called ? "function_call" : "function_call_output");
    json_put_member(out, "call_id", use->id);
    if (called)
        json_put_member(out, "name", use->name);
    json_put_member_len(out, called ? "arguments" : "output", message->content, message->len);
}

static void put_input(struct buf *out, const struct provider_call *call)
{
    json_put_member_raw(out, "input", "[");
    for (size_t i = 0; i < call->message_count && !out->failed; i++) {
        const struct chat_message *message = &call->messages[i];
        struct chat_images images = wire_images(call, i);
        struct chat_use use = wire_use(call, i);
        wire_put_comma(out);
        buf_putc(out, '{');
        if (use.kind == CHAT_USE_NONE)
            json_put_member(out, "role", chat_role_name(message->role));
        if (use.kind != CHAT_USE_NONE)
            put_use(out, message, &use);
        else if (images.count > 0)
            put_parts(out, message, &images);
        else
            json_put_member_len(out, "content", message->content, message->len);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

static void put_body(struct buf *out, const struct provider_call *call)
{
    const struct provider *provider = call->provider;
    buf_putc(out, '{');
    json_put_member(out, "model", call->model);
    if (*call->system != '\0')
        json_put_member(out, "instructions", call->system);
    put_input(out, call);
    wire_put_tools(out, call, "{\"type\":\"function\"", "parameters", ",\"strict\":true}");
    wire_put_tool_choice(out, call);
    wire_put_temperature(out, provider, MAX_TEMPERATURE);
    if (provider->max_tokens > 0)
        json_put_member_int(out, "max_output_tokens", provider->max_tokens);
    json_put_member_bool(out, "store", false);
    json_put_member_bool(out, "stream", true);
    buf_putc(out, '}');
}

static enum result encode(const struct provider_call *call, struct provider_request *out,
                          struct fault *fault)
{
    wire_put_url(&out->url, call->provider->base_url, "/responses");
    put_headers(&out->headers, call->provider);
    put_body(&out->body, call);
    return wire_check(out, fault);
}

/* ---- decoder ---- */

struct provider_stream {
    struct events events;
    struct call_parts call;
    bool refused;
    bool called; /* a function */
};

/* The "delta" of an event that carries one. False when the data is no object. */
static bool pass_on(struct provider_stream *stream, enum stream_type type, struct skim data)
{
    static const struct skim_key keys[] = { SKIM_KEY("delta") };
    struct skim delta;
    if (!skim_object(data, keys, 1, &delta))
        return false;
    events_text(&stream->events, type, delta);
    return true;
}

static bool take_text(struct provider_stream *stream, struct skim data)
{
    return pass_on(stream, STREAM_DELTA, data);
}

static bool take_reasoning(struct provider_stream *stream, struct skim data)
{
    return pass_on(stream, STREAM_REASONING, data);
}

static bool take_refusal(struct provider_stream *stream, struct skim data)
{
    stream->refused = true;
    return pass_on(stream, STREAM_DELTA, data);
}

/* A summary comes in parts, each with a heading, and nothing in between. */
static bool take_summary_part(struct provider_stream *stream, struct skim data)
{
    static const struct skim_key keys[] = { SKIM_KEY("summary_index") };
    struct skim index;
    if (!skim_object(data, keys, 1, &index))
        return false;
    if (skim_number(index, 0) > 0)
        emit_text(&stream->events.emit, STREAM_REASONING, "\n\n", 2);
    return true;
}

/* An item is whole: of interest when it is the call of a function. */
static bool take_item(struct provider_stream *stream, struct skim data)
{
    enum { TYPE, ID, NAME, ARGUMENTS, COUNT };
    static const struct skim_key outer[] = { SKIM_KEY("item") };
    static const struct skim_key keys[COUNT] = { SKIM_KEY("type"), SKIM_KEY("call_id"),
                                                 SKIM_KEY("name"), SKIM_KEY("arguments") };
    struct skim item, values[COUNT];
    if (!skim_object(data, outer, 1, &item))
        return false;
    if (skim_object(item, keys, COUNT, values) && events_is(values[TYPE], "function_call"))
        call_parts_add(&stream->call, 0, values[ID], values[NAME], values[ARGUMENTS],
                       &stream->events.scratch);
    return true;
}

static bool take_call(struct provider_stream *stream, struct skim data)
{
    (void)data;
    stream->called = true;
    return true;
}

static int64_t detail(struct json_object *usage, const char *group, const char *key)
{
    struct json_object *details;
    return json_get_object(usage, group, &details) == JSON_FOUND ? wire_tokens(details, key) : 0;
}

static void read_usage(struct provider_stream *stream, struct skim text)
{
    struct json_object *usage = NULL;
    if (!skim_is_object(text) || json_parse(text.at, text.len, &usage, NULL) != RESULT_OK)
        return;
    struct stream_usage told = {
        .prompt_tokens = wire_tokens(usage, "input_tokens"),
        .completion_tokens = wire_tokens(usage, "output_tokens"),
        .total_tokens = wire_tokens(usage, "total_tokens"),
        .cached_tokens = detail(usage, "input_tokens_details", "cached_tokens"),
        .reasoning_tokens = detail(usage, "output_tokens_details", "reasoning_tokens"),
    };
    if (told.total_tokens == 0)
        told.total_tokens = told.prompt_tokens + told.completion_tokens;
    told.known = told.total_tokens > 0;
    if (told.known)
        emit_usage(&stream->events.emit, &told);
    json_object_put(usage);
}

/* What matters of the response object that the first and the last events carry. */
struct response {
    struct skim error;
    struct skim incomplete;
};

static bool read_response(struct provider_stream *stream, struct skim data, struct response *out)
{
    enum { MODEL, USAGE, ERROR, INCOMPLETE, COUNT };
    static const struct skim_key outer[] = { SKIM_KEY("response") };
    static const struct skim_key keys[COUNT] = { SKIM_KEY("model"), SKIM_KEY("usage"),
                                                 SKIM_KEY("error"),
                                                 SKIM_KEY("incomplete_details") };
    struct skim response, values[COUNT];
    if (!skim_object(data, outer, 1, &response) || !skim_object(response, keys, COUNT, values))
        return false;
    events_model(&stream->events, values[MODEL]);
    read_usage(stream, values[USAGE]);
    *out = (struct response){ values[ERROR], values[INCOMPLETE] };
    return true;
}

static bool take_begin(struct provider_stream *stream, struct skim data)
{
    struct response response;
    return read_response(stream, data, &response);
}

static bool take_completed(struct provider_stream *stream, struct skim data)
{
    struct response response;
    if (!read_response(stream, data, &response))
        return false;
    call_parts_emit(&stream->call, &stream->events.emit);
    stream->events.finish = stream->refused  ? FINISH_REFUSAL
                            : stream->called ? FINISH_TOOL_CALLS
                                             : FINISH_STOP;
    events_finish(&stream->events);
    return true;
}

/* Whatever the reason, the answer is not whole. */
static const struct events_reason incomplete_reasons[] = {
    { "max_output_tokens", FINISH_LENGTH },
    { "content_filter", FINISH_CONTENT_FILTER },
    { NULL, FINISH_LENGTH },
};

static bool take_incomplete(struct provider_stream *stream, struct skim data)
{
    static const struct skim_key keys[] = { SKIM_KEY("reason") };
    struct response response;
    struct skim reason;
    if (!read_response(stream, data, &response))
        return false;
    stream->events.finish = FINISH_LENGTH;
    if (skim_object(response.incomplete, keys, 1, &reason))
        events_read_reason(&stream->events, incomplete_reasons, reason);
    events_finish(&stream->events);
    return true;
}

static bool take_failed(struct provider_stream *stream, struct skim data)
{
    struct response response = { 0 };
    read_response(stream, data, &response);
    events_error(&stream->events, response.error);
    return true;
}

/* Flat by the specification, {"error":{...}} from the API itself when it refuses early. */
static bool take_error(struct provider_stream *stream, struct skim data)
{
    static const struct skim_key keys[] = { SKIM_KEY("error") };
    struct skim nested;
    bool is_nested = skim_object(data, keys, 1, &nested) && skim_is_object(nested);
    events_error(&stream->events, is_nested ? nested : data);
    return true;
}

static const struct events_row rows[] = {
    { "response.output_text.delta", take_text },
    { "response.refusal.delta", take_refusal },
    { "response.reasoning_summary_text.delta", take_reasoning },
    { "response.reasoning_text.delta", take_reasoning },
    { "response.reasoning_summary_part.added", take_summary_part },
    { "response.function_call_arguments.done", take_call },
    { "response.output_item.done", take_item },
    { "response.created", take_begin },
    { "response.in_progress", take_begin },
    { "response.completed", take_completed },
    { "response.incomplete", take_incomplete },
    { "response.failed", take_failed },
    { "error", take_error },
};

static struct provider_stream *open_stream(const struct provider_call *call, stream_sink *sink,
                                           void *ctx)
{
    struct provider_stream *stream = calloc(1, sizeof *stream);
    if (stream)
        events_init(&stream->events, rows, sizeof rows / sizeof *rows, stream, sink, ctx);
    if (stream)
        call_parts_init(&stream->call, call->tool_count > 0);
    return stream;
}

static void close_stream(struct provider_stream *stream)
{
    if (!stream)
        return;
    events_free(&stream->events);
    call_parts_free(&stream->call);
    free(stream);
}

static void feed(struct provider_stream *stream, const char *bytes, size_t len)
{
    events_feed(&stream->events, bytes, len);
}

static void end(struct provider_stream *stream)
{
    events_end(&stream->events);
}

const struct provider_ops provider_openai_responses = {
    .kind = "openai_responses",
    .sees_images = true,
    .encode = encode,
    .open = open_stream,
    .feed = feed,
    .end = end,
    .close = close_stream,
    .explain = failure_explain,
};
