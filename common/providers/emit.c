/*
 * emit: see emit.h. The common case, a delta of well-formed text with nothing held back, goes straight
 * to the sink without a copy. Runs where the decoder runs: on the thread that feeds it.
 */
#include "common/providers/emit.h"

#include <json-c/json.h>
#include <string.h>

#include "common/base/caps.h"
#include "common/base/json.h"
#include "common/base/text.h"

#define REPLACEMENT "\xef\xbf\xbd"

void emit_init(struct emit *emit, stream_sink *sink, void *ctx)
{
    *emit = (struct emit){ .sink = sink, .ctx = ctx };
    buf_init(&emit->joined, CAP_SSE_EVENT + sizeof emit->held);
    buf_init(&emit->repaired, 3 * emit->joined.cap); /* a malformed byte becomes three */
}

void emit_free(struct emit *emit)
{
    buf_free(&emit->joined);
    buf_free(&emit->repaired);
}

static void send_event(struct emit *emit, const struct stream_event *event)
{
    if (!emit->ended)
        emit->sink(emit->ctx, event);
}

static void send_text(struct emit *emit, enum stream_type type, const char *text, size_t len)
{
    if (len > 0)
        send_event(emit, &(struct stream_event){ .type = type, .text = text, .text_len = len });
}

/* ---- text ---- */

/* The surrogate whose three bytes stand at `at`, 0 when there is none. */
static unsigned surrogate(const char *at, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)at;
    if (len < 3 || bytes[0] != 0xed || bytes[1] < 0xa0 || bytes[1] > 0xbf ||
        (bytes[2] & 0xc0) != 0x80)
        return 0;
    return 0xd000u | (bytes[1] & 0x3fu) << 6 | (bytes[2] & 0x3fu);
}

/* `high` stands at `at`; append the character of the pair, or a replacement. Returns the bytes used. */
static size_t put_surrogate(struct buf *out, unsigned high, const char *at, size_t len)
{
    unsigned low = surrogate(at + 3, len - 3);
    if (high >= 0xdc00 || low < 0xdc00) {
        buf_puts(out, REPLACEMENT);
        return 3;
    }
    unsigned code = 0x10000u + ((high - 0xd800u) << 10) + (low - 0xdc00u);
    char bytes[4] = { (char)(0xf0 | code >> 18), (char)(0x80 | (code >> 12 & 0x3f)),
                      (char)(0x80 | (code >> 6 & 0x3f)), (char)(0x80 | (code & 0x3f)) };
    buf_put(out, bytes, sizeof bytes);
    return 6;
}

/*
 * Append `text` well-formed: surrogate pairs made characters, U+0000 left out, everything malformed
 * replaced; a lone surrogate is one U+FFFD.
 */
static void repair(struct buf *out, const char *text, size_t len)
{
    size_t start = 0; /* of the run that needs no special care */
    size_t at = 0;
    while (at < len) {
        unsigned high = surrogate(text + at, len - at);
        if (!high && text[at] != '\0') {
            at++;
            continue;
        }
        text_utf8_repair(out, text + start, at - start);
        at += high ? put_surrogate(out, high, text + at, len - at) : 1;
        start = at;
    }
    text_utf8_repair(out, text + start, len - start);
}

/* How many bytes at the end may be the beginning of a character whose rest is still to come. */
static size_t cut_len(const char *text, size_t len)
{
    unsigned last = len >= 3 ? surrogate(text + len - 3, 3) : 0;
    return last >= 0xd800 && last < 0xdc00 ? 3 : text_utf8_partial(text, len);
}

/* Held bytes that nothing completes any more. */
static void flush_held(struct emit *emit)
{
    if (emit->held_len == 0)
        return;
    emit->held_len = 0;
    send_text(emit, emit->held_type, REPLACEMENT, strlen(REPLACEMENT));
}

static void send_repaired(struct emit *emit, enum stream_type type, const char *text, size_t len)
{
    struct buf *joined = &emit->joined;
    buf_clear(joined);
    buf_clear(&emit->repaired);
    buf_put(joined, emit->held, emit->held_len);
    buf_put(joined, text, len);

    size_t cut = cut_len(buf_str(joined), joined->len);
    size_t whole = joined->len - cut;
    memcpy(emit->held, buf_str(joined) + whole, cut);
    emit->held_len = cut;
    emit->held_type = type;
    repair(&emit->repaired, buf_str(joined), whole);
    if (joined->failed || emit->repaired.failed) {
        struct fault fault;
        fault_set(&fault, RESULT_INTERNAL, "out_of_memory", NULL, "The server is out of memory.");
        emit_failed(emit, &fault);
        return;
    }
    send_text(emit, type, buf_str(&emit->repaired), emit->repaired.len);
}

void emit_text(struct emit *emit, enum stream_type type, const char *text, size_t len)
{
    if (emit->ended || len == 0)
        return;
    if (emit->held_len > 0 && emit->held_type != type)
        flush_held(emit);
    if (emit->held_len == 0 && text_utf8_valid(text, len) && !memchr(text, '\0', len))
        send_text(emit, type, text, len);
    else
        send_repaired(emit, type, text, len);
}

/* ---- facts ---- */

void emit_model(struct emit *emit, const char *name, size_t len)
{
    if (emit->model_told || len == 0)
        return;
    len = text_utf8_prefix(name, len, CAP_MODEL_NAME - 1);
    if (!text_utf8_valid(name, len) || text_has_control(name, len))
        return;
    emit->model_told = true;
    send_text(emit, STREAM_MODEL, name, len);
}

static bool same_usage(const struct stream_usage *a, const struct stream_usage *b)
{
    return a->known == b->known && a->prompt_tokens == b->prompt_tokens &&
           a->completion_tokens == b->completion_tokens && a->total_tokens == b->total_tokens &&
           a->cached_tokens == b->cached_tokens && a->reasoning_tokens == b->reasoning_tokens;
}

void emit_usage(struct emit *emit, const struct stream_usage *usage)
{
    if (same_usage(&emit->usage, usage))
        return;
    emit->usage = *usage;
    send_event(emit, &(struct stream_event){ .type = STREAM_USAGE, .usage = &emit->usage });
}

/* White space between values is all that may break a line in JSON. */
static void join_lines(struct buf *json)
{
    for (size_t i = 0; i < json->len; i++)
        if (json->data[i] == '\n' || json->data[i] == '\r')
            json->data[i] = ' ';
}

void emit_tool_call(struct emit *emit, const char *name, const char *arguments, size_t len)
{
    struct json_object *object = NULL;
    struct stream_event event = { .type = STREAM_TOOL_CALL, .text = "{}", .text_len = 2 };
    struct buf *tool = &emit->joined, *json = &emit->repaired;

    flush_held(emit);
    buf_clear(tool);
    buf_clear(json);
    repair(tool, name, strlen(name));
    repair(json, arguments, len);
    if (json_parse(buf_str(json), json->len, &object, NULL) == RESULT_OK &&
        json_object_is_type(object, json_type_object)) {
        join_lines(json);
        event.text = buf_str(json);
        event.text_len = json->len;
    }
    json_object_put(object);
    event.tool = buf_str(tool);
    if (tool->len > 0)
        send_event(emit, &event);
}

void emit_finish(struct emit *emit, enum finish_reason reason)
{
    flush_held(emit);
    send_event(emit, &(struct stream_event){ .type = STREAM_FINISH, .finish = reason });
    emit->ended = true;
}

void emit_failed(struct emit *emit, const struct fault *fault)
{
    send_event(emit, &(struct stream_event){ .type = STREAM_FAILED, .fault = fault });
    emit->ended = true;
}
