/*
 * openai: the Chat Completions format, as OpenAI, Ollama, llama.cpp, vLLM, Mistral, Groq, OpenRouter and
 * many others speak it. Requests always stream; servers that answer with a whole chat.completion
 * all the same are understood.
 *
 * Bytes -> sse -> skim (what matters of a chunk) -> emit (events). An answer ends in three ways:
 * `[DONE]`; the end of the body after a finish_reason; or a failure: a frame with an error, something
 * that is no chunk, or the end of the body before a finish_reason. STREAM_FINISH waits for the end,
 * because the usage chunk comes behind the finish_reason; so does the call of a function. Pure; runs on
 * the thread that feeds it (the loop).
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/chat/sse.h"
#include "common/providers/call_parts.h"
#include "common/providers/emit.h"
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

/* Content as a list of parts; only with pictures, because many compatible servers know nothing else than
 * a string. */
static void put_parts(struct buf *out, const struct chat_message *message,
                      const struct chat_images *images)
{
    json_put_member_raw(out, "content", "[");
    if (message->len > 0) {
        buf_puts(out, "{\"type\":\"text\"");
        json_put_member_len(out, "text", message->content, message->len);
        buf_putc(out, '}');
    }
    for (size_t i = 0; i < images->count && !out->failed; i++) {
        wire_put_comma(out);
        buf_puts(out, "{\"type\":\"image_url\",\"image_url\":{");
        wire_put_data_url(out, "url", &images->list[i]);
        buf_puts(out, "}}");
    }
    buf_putc(out, ']');
}

static void put_message(struct buf *out, const char *role, const struct chat_message *message,
                        const struct chat_images *images)
{
    wire_put_comma(out);
    buf_putc(out, '{');
    json_put_member(out, "role", role);
    if (images->count > 0)
        put_parts(out, message, images);
    else
        json_put_member_len(out, "content", message->content, message->len);
    buf_putc(out, '}');
}

static void put_use(struct buf *out, const struct chat_message *message, const struct chat_use *use)
{
    wire_put_comma(out);
    buf_putc(out, '{');
    if (use->kind == CHAT_USE_RESULT) {
        json_put_member(out, "role", "tool");
        json_put_member(out, "tool_call_id", use->id);
        json_put_member_len(out, "content", message->content, message->len);
    } else {
        json_put_member(out, "role", "assistant");
        json_put_member_raw(out, "content", "null");
        json_put_member_raw(out, "tool_calls", "[{\"type\":\"function\"");
        json_put_member(out, "id", use->id);
        json_put_member_raw(out, "function", "{");
        json_put_member(out, "name", use->name);
        json_put_member_len(out, "arguments", message->content, message->len);
        buf_puts(out, "}}]");
    }
    buf_putc(out, '}');
}

static void put_system(struct buf *out, const char *text)
{
    buf_putc(out, '{');
    json_put_member(out, "role", "system");
    json_put_member(out, "content", text);
    buf_putc(out, '}');
}

static void put_messages(struct buf *out, const struct provider_call *call)
{
    json_put_member_raw(out, "messages", "[");
    if (*call->system != '\0')
        put_system(out, call->system);
    for (size_t i = 0; i < call->message_count && !out->failed; i++) {
        struct chat_images images = wire_images(call, i);
        struct chat_use use = wire_use(call, i);
        if (use.kind != CHAT_USE_NONE)
            put_use(out, &call->messages[i], &use);
        else
            put_message(out, chat_role_name(call->messages[i].role), &call->messages[i], &images);
    }
    buf_putc(out, ']');
}

static void put_body(struct buf *out, const struct provider_call *call)
{
    const struct provider *provider = call->provider;
    buf_putc(out, '{');
    json_put_member(out, "model", call->model);
    put_messages(out, call);
    wire_put_tools(out, call, "{\"type\":\"function\",\"function\":{", "parameters", "}}");
    wire_put_tool_choice(out, call);
    wire_put_temperature(out, provider, MAX_TEMPERATURE);
    if (provider->max_tokens > 0)
        json_put_member_int(out, provider->max_tokens_field, provider->max_tokens);
    json_put_member_bool(out, "stream", true);
    json_put_member_raw(out, "stream_options", "{\"include_usage\":true}");
    buf_putc(out, '}');
}

static enum result encode(const struct provider_call *call, struct provider_request *out,
                          struct fault *fault)
{
    wire_put_url(&out->url, call->provider->base_url, "/chat/completions");
    put_headers(&out->headers, call->provider);
    put_body(&out->body, call);
    return wire_check(out, fault);
}

/* ---- decoder ---- */

enum form {
    FORM_UNKNOWN, /* nothing but white space so far */
    FORM_EVENTS,
    FORM_WHOLE /* one JSON object, although a stream was asked for */
};

struct provider_stream {
    struct emit emit;
    struct sse sse;
    struct buf whole;
    struct buf scratch; /* unescaped strings */
    struct call_parts called;
    enum form form;
    enum finish_reason finish;
    bool answering; /* the model has said something, if only its role */
    bool got_event;
    bool refused;
    bool at_end; /* the body is over; what is delivered now may be half an event */
};

static void fail(struct provider_stream *stream, enum failure_kind kind)
{
    struct fault fault;
    failure_fault(kind, &fault);
    emit_failed(&stream->emit, &fault);
}

static void finish(struct provider_stream *stream)
{
    enum finish_reason reason = stream->finish == FINISH_NONE ? FINISH_STOP : stream->finish;
    call_parts_emit(&stream->called, &stream->emit);
    if (!stream->answering)
        fail(stream, FAILURE_BAD);
    else
        emit_finish(&stream->emit, stream->refused ? FINISH_REFUSAL : reason);
}

/* False, and the stream has failed, when a string is malformed. */
static bool read_string(struct provider_stream *stream, struct skim value, const char **chars,
                        size_t *len)
{
    if (skim_string(value, &stream->scratch, chars, len))
        return true;
    fail(stream, FAILURE_BAD);
    return false;
}

static void read_text(struct provider_stream *stream, enum stream_type type, struct skim value)
{
    const char *chars;
    size_t len;
    if (skim_is_string(value) && read_string(stream, value, &chars, &len))
        emit_text(&stream->emit, type, chars, len);
}

/* Mistral's reasoning models: [{"type":"thinking","thinking":[{"text"}...]},{"type":"text","text"}]. */
static void read_parts(struct provider_stream *stream, enum stream_type type, struct skim array)
{
    enum { TEXT, THINKING, COUNT };
    static const struct skim_key keys[COUNT] = { SKIM_KEY("text"), SKIM_KEY("thinking") };
    struct skim part, values[COUNT];
    while (skim_next(&array, &part)) {
        if (!skim_object(part, keys, COUNT, values))
            continue;
        read_text(stream, type, values[TEXT]);
        if (skim_is_array(values[THINKING]) && type == STREAM_DELTA)
            read_parts(stream, STREAM_REASONING, values[THINKING]);
    }
}

/* [{"index","id","function":{"name","arguments"}}]: the pieces of calls. */
static void read_calls(struct provider_stream *stream, struct skim array)
{
    enum { INDEX, ID, FUNCTION, COUNT };
    enum { NAME, ARGUMENTS, INNER };
    static const struct skim_key keys[COUNT] = { SKIM_KEY("index"), SKIM_KEY("id"),
                                                 SKIM_KEY("function") };
    static const struct skim_key inner[INNER] = { SKIM_KEY("name"), SKIM_KEY("arguments") };
    struct skim call, values[COUNT], function[INNER];
    for (int64_t place = 0; skim_next(&array, &call); place++) {
        if (skim_object(call, keys, COUNT, values) &&
            skim_object(values[FUNCTION], inner, INNER, function))
            call_parts_add(&stream->called, skim_number(values[INDEX], place), values[ID],
                           function[NAME], function[ARGUMENTS], &stream->scratch);
    }
}

static void read_delta(struct provider_stream *stream, struct skim delta)
{
    enum { CONTENT, REFUSAL, REASONING_CONTENT, REASONING, TOOL_CALLS, COUNT };
    static const struct skim_key keys[COUNT] = {
        SKIM_KEY("content"),   SKIM_KEY("refusal"),    SKIM_KEY("reasoning_content"),
        SKIM_KEY("reasoning"), SKIM_KEY("tool_calls"),
    };
    struct skim values[COUNT];
    if (!skim_object(delta, keys, COUNT, values))
        return;
    stream->answering = true;
    if (skim_is_array(values[TOOL_CALLS]))
        read_calls(stream, values[TOOL_CALLS]);
    /* Some servers send the same thought under both names. */
    bool one = skim_is_string(values[REASONING_CONTENT]);
    read_text(stream, STREAM_REASONING, values[one ? REASONING_CONTENT : REASONING]);
    if (skim_is_array(values[CONTENT]))
        read_parts(stream, STREAM_DELTA, values[CONTENT]);
    else
        read_text(stream, STREAM_DELTA, values[CONTENT]);
    if (skim_is_string(values[REFUSAL]) && values[REFUSAL].len > 2) {
        stream->refused = true;
        read_text(stream, STREAM_DELTA, values[REFUSAL]);
    }
}

static const struct {
    const char *name;
    enum finish_reason reason;
} finish_names[] = {
    { "stop", FINISH_STOP },
    { "length", FINISH_LENGTH },
    { "max_tokens", FINISH_LENGTH },
    { "model_length", FINISH_LENGTH },
    { "content_filter", FINISH_CONTENT_FILTER },
    { "tool_calls", FINISH_TOOL_CALLS },
    { "function_call", FINISH_TOOL_CALLS },
    { "refusal", FINISH_REFUSAL },
    { "error", FINISH_ERROR },
    { "insufficient_system_resource", FINISH_ERROR },
};

/* An unknown reason is still an end ("eos", "end_turn", ...); an empty one is none. */
static void read_finish(struct provider_stream *stream, struct skim value)
{
    const char *chars;
    size_t len;
    if (!skim_is_string(value) || value.len == 2 || !read_string(stream, value, &chars, &len))
        return;
    stream->finish = FINISH_STOP;
    for (size_t i = 0; i < sizeof finish_names / sizeof *finish_names; i++) {
        if (strlen(finish_names[i].name) == len && memcmp(finish_names[i].name, chars, len) == 0)
            stream->finish = finish_names[i].reason;
    }
    if (stream->finish == FINISH_ERROR)
        fail(stream, FAILURE_ERROR);
}

static void read_choices(struct provider_stream *stream, struct skim choices)
{
    enum { INDEX, DELTA, MESSAGE, FINISH, COUNT };
    static const struct skim_key keys[COUNT] = {
        SKIM_KEY("index"),
        SKIM_KEY("delta"),
        SKIM_KEY("message"),
        SKIM_KEY("finish_reason"),
    };
    struct skim choice, values[COUNT];
    while (skim_next(&choices, &choice)) {
        if (!skim_object(choice, keys, COUNT, values) || skim_number(values[INDEX], 0) != 0)
            continue;
        read_delta(stream, values[stream->form == FORM_WHOLE ? MESSAGE : DELTA]);
        read_finish(stream, values[FINISH]);
    }
}

static void read_usage(struct provider_stream *stream, struct skim text)
{
    struct json_object *usage = NULL, *details;
    if (!skim_is_object(text) || json_parse(text.at, text.len, &usage, NULL) != RESULT_OK)
        return;
    struct stream_usage read = {
        .prompt_tokens = wire_tokens(usage, "prompt_tokens"),
        .completion_tokens = wire_tokens(usage, "completion_tokens"),
        .total_tokens = wire_tokens(usage, "total_tokens"),
    };
    if (json_get_object(usage, "prompt_tokens_details", &details) == JSON_FOUND)
        read.cached_tokens = wire_tokens(details, "cached_tokens");
    if (json_get_object(usage, "completion_tokens_details", &details) == JSON_FOUND)
        read.reasoning_tokens = wire_tokens(details, "reasoning_tokens");
    if (read.total_tokens == 0)
        read.total_tokens = read.prompt_tokens + read.completion_tokens;
    read.known = read.total_tokens > 0;
    if (read.known)
        emit_usage(&stream->emit, &read);
    json_object_put(usage);
}

static bool is_text(struct skim value, const char *text)
{
    size_t len = strlen(text);
    return value.at && value.len == len && memcmp(value.at, text, len) == 0;
}

/* The client libraries raise on whatever Python finds true, wherever it stands in the stream. */
static bool is_truthy(struct skim value)
{
    if (!value.at || is_text(value, "false") || is_text(value, "\"\"") || is_text(value, "{}") ||
        is_text(value, "[]"))
        return false;
    return skim_number(value, 1) != 0;
}

/* `error` is an error object, or some other truth that says nothing more. */
static void read_error(struct provider_stream *stream, struct skim error)
{
    struct json_object *object = NULL;
    struct fault fault;
    if (skim_is_object(error))
        json_parse(error.at, error.len, &object, NULL);
    failure_in_stream(object, &fault);
    emit_failed(&stream->emit, &fault);
    json_object_put(object);
}

/* A chunk of a stream or a whole reply. False when it is no object. */
static bool read_chunk(struct provider_stream *stream, struct skim text)
{
    enum { ERROR, OBJECT, MODEL, CHOICES, USAGE, COUNT };
    static const struct skim_key keys[COUNT] = {
        SKIM_KEY("error"),   SKIM_KEY("object"), SKIM_KEY("model"),
        SKIM_KEY("choices"), SKIM_KEY("usage"),
    };
    struct skim values[COUNT];
    const char *chars;
    size_t len;
    if (!skim_object(text, keys, COUNT, values))
        return false;
    if (is_truthy(values[ERROR])) {
        read_error(stream, values[ERROR]);
    } else if (is_text(values[OBJECT], "\"error\"")) {
        read_error(stream, text);
    } else {
        if (!stream->emit.model_told && skim_is_string(values[MODEL]) &&
            read_string(stream, values[MODEL], &chars, &len))
            emit_model(&stream->emit, chars, len);
        read_choices(stream, values[CHOICES]);
        read_usage(stream, values[USAGE]);
    }
    return true;
}

static void on_event(void *ctx, const char *event, const char *data, size_t len)
{
    struct provider_stream *stream = ctx;
    if (stream->emit.ended || strspn(data, " \t\n") == len)
        return;
    stream->got_event = true;
    if (strncmp(data, "[DONE]", 6) == 0) {
        finish(stream);
        return;
    }
    if (read_chunk(stream, (struct skim){ data, len }) || stream->at_end)
        return;
    /* Events with a name of their own (ping ...) may hold anything. */
    if (*event == '\0' || strcmp(event, "error") == 0)
        fail(stream, FAILURE_BAD);
}

static struct provider_stream *open_stream(const struct provider_call *call, stream_sink *sink,
                                           void *ctx)
{
    struct provider_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    emit_init(&stream->emit, sink, ctx);
    sse_init(&stream->sse, on_event, stream);
    buf_init(&stream->whole, CAP_SSE_EVENT);
    buf_init(&stream->scratch, CAP_SSE_EVENT);
    call_parts_init(&stream->called, call->tool_count > 0);
    return stream;
}

static void close_stream(struct provider_stream *stream)
{
    if (!stream)
        return;
    emit_free(&stream->emit);
    sse_free(&stream->sse);
    buf_free(&stream->whole);
    buf_free(&stream->scratch);
    call_parts_free(&stream->called);
    free(stream);
}

/* The first byte that says something tells what the body is. Returns the bytes to leave out. */
static size_t recognise(struct provider_stream *stream, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr(" \t\r\n\xef\xbb\xbf", bytes[i]) && bytes[i] != '\0')
            continue; /* white space or a byte order mark */
        stream->form = bytes[i] == '{' ? FORM_WHOLE : FORM_EVENTS;
        if (bytes[i] == '<')
            fail(stream, FAILURE_BAD);
        return i;
    }
    return len;
}

static void feed(struct provider_stream *stream, const char *bytes, size_t len)
{
    if (stream->form == FORM_UNKNOWN) {
        size_t skipped = recognise(stream, bytes, len);
        bytes += skipped;
        len -= skipped;
    }
    if (stream->emit.ended || len == 0)
        return;
    bool fits = stream->form == FORM_WHOLE ? buf_put(&stream->whole, bytes, len)
                                           : sse_feed(&stream->sse, bytes, len);
    if (!fits)
        fail(stream, FAILURE_BAD);
}

static void end_events(struct provider_stream *stream)
{
    sse_end(&stream->sse);
    if (stream->emit.ended)
        return;
    if (stream->finish != FINISH_NONE)
        finish(stream);
    else
        fail(stream, stream->got_event ? FAILURE_CUT : FAILURE_BAD);
}

static void end_whole(struct provider_stream *stream)
{
    if (!read_chunk(stream, (struct skim){ buf_str(&stream->whole), stream->whole.len }))
        fail(stream, FAILURE_BAD);
    else if (!stream->emit.ended)
        finish(stream);
}

static void end(struct provider_stream *stream)
{
    stream->at_end = true;
    if (!stream->emit.ended && stream->form == FORM_WHOLE)
        end_whole(stream);
    else if (!stream->emit.ended)
        end_events(stream);
}

const struct provider_ops provider_openai = {
    .kind = "openai",
    .sees_images = true,
    .encode = encode,
    .open = open_stream,
    .feed = feed,
    .end = end,
    .close = close_stream,
    .explain = failure_explain,
};
