/*
 * synth: see synth.h. Each event is written straight into one buffer; a stream has thousands. Pure; runs on the
 * thread that feeds it (the loop).
 */
#include "common/responses/synth.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/json.h"
#include "common/base/text.h"

#define CAP_EVENT (8 * CAP_ANSWER)

void synth_init(struct synth *synth, const char *model, synth_sink *sink, void *ctx)
{
    *synth = (struct synth){ .sink = sink, .ctx = ctx };
    buf_init(&synth->event, CAP_EVENT);
    buf_init(&synth->text, CAP_ANSWER);
    buf_init(&synth->output, CAP_EVENT / 2);
    id_make(synth->response_id, "resp_");
    text_copy(synth->model, sizeof synth->model, model);
    synth->created_s = clock_wall_ms() / 1000;
}

void synth_free(struct synth *synth)
{
    buf_free(&synth->event);
    buf_free(&synth->text);
    buf_free(&synth->output);
}

/* ---- one event ---- */

static struct buf *begin(struct synth *synth, const char *type)
{
    struct buf *out = &synth->event;

    buf_clear(out);
    buf_putc(out, '{');
    json_put_member(out, "type", type);
    json_put_member_int(out, "sequence_number", synth->sequence++);
    return out;
}

static void send(struct synth *synth, const char *type)
{
    buf_putc(&synth->event, '}');
    if (synth->event.failed)
        synth->failed = true;
    else
        synth->sink(synth->ctx, type, buf_str(&synth->event), synth->event.len);
}

static void put_raw(struct buf *out, const char *key, const char *json, size_t len)
{
    json_put_member_raw(out, key, "");
    buf_put(out, json, len);
}

static void put_usage(struct buf *out, const struct stream_usage *usage)
{
    json_put_member_raw(out, "usage", "{");
    json_put_member_int(out, "input_tokens", usage->prompt_tokens);
    json_put_member_int(out, "output_tokens", usage->completion_tokens);
    json_put_member_int(out, "total_tokens", usage->total_tokens);
    buf_putc(out, '}');
}

/* "response":{...} in the given state. */
static void put_response(struct synth *synth, const char *status, const char *incomplete,
                         const struct stream_usage *usage)
{
    struct buf *out = &synth->event;

    json_put_member_raw(out, "response", "{");
    json_put_member(out, "id", synth->response_id);
    json_put_member(out, "object", "response");
    json_put_member_int(out, "created_at", synth->created_s);
    json_put_member(out, "status", status);
    json_put_member(out, "error", NULL);
    if (incomplete != NULL)
        buf_putf(out, ",\"incomplete_details\":{\"reason\":\"%s\"}", incomplete);
    json_put_member(out, "model", synth->model);
    json_put_member_raw(out, "output", "[");
    buf_put(out, buf_str(&synth->output), synth->output.len);
    buf_putc(out, ']');
    if (usage != NULL && usage->known)
        put_usage(out, usage);
    buf_putc(out, '}');
}

static void begin_response(struct synth *synth)
{
    if (synth->begun)
        return;
    synth->begun = true;
    begin(synth, "response.created");
    put_response(synth, "in_progress", NULL, NULL);
    send(synth, "response.created");
}

/* ---- items ---- */

static void send_item(struct synth *synth, const char *type, const char *item, size_t len)
{
    struct buf *out = begin(synth, type);

    json_put_member_int(out, "output_index", synth->index);
    put_raw(out, "item", item, len);
    send(synth, type);
}

static void item_done(struct synth *synth, const char *item, size_t len)
{
    if (synth->output.len > 0)
        buf_putc(&synth->output, ',');
    buf_put(&synth->output, item, len);
    if (synth->output.failed)
        synth->failed = true;
    send_item(synth, "response.output_item.done", item, len);
    synth->index++;
}

void synth_item(struct synth *synth, const char *item, size_t len)
{
    begin_response(synth);
    send_item(synth, "response.output_item.added", item, len);
    item_done(synth, item, len);
}

/* ---- the message ---- */

static void put_message(struct synth *synth, struct buf *out, bool done)
{
    buf_putc(out, '{');
    json_put_member(out, "id", synth->item_id);
    json_put_member(out, "type", "message");
    json_put_member(out, "status", done ? "completed" : "in_progress");
    json_put_member(out, "role", "assistant");
    json_put_member_raw(out, "content", "[");
    if (done) {
        buf_puts(out, "{\"type\":\"output_text\",\"annotations\":[]");
        json_put_member_len(out, "text", buf_str(&synth->text), synth->text.len);
        buf_putc(out, '}');
    }
    buf_puts(out, "]}");
}

static void open_message(struct synth *synth)
{
    struct buf item;

    begin_response(synth);
    id_make(synth->item_id, "msg_");
    buf_clear(&synth->text);
    buf_init(&item, 1024);
    put_message(synth, &item, false);
    send_item(synth, "response.output_item.added", buf_str(&item), item.len);
    buf_free(&item);
}

static void close_message(struct synth *synth)
{
    struct buf item;

    if (synth->item_id[0] == '\0')
        return;
    buf_init(&item, CAP_EVENT / 2);
    put_message(synth, &item, true);
    if (item.failed)
        synth->failed = true;
    else
        item_done(synth, buf_str(&item), item.len);
    buf_free(&item);
    synth->item_id[0] = '\0';
}

void synth_text(struct synth *synth, const char *text, size_t len)
{
    static const char type[] = "response.output_text.delta";
    struct buf *out;

    if (synth->called)
        return; /* nothing may stand behind the call that ends the turn */
    if (synth->item_id[0] == '\0')
        open_message(synth);
    if (!buf_put(&synth->text, text, len)) {
        synth->failed = true;
        return;
    }
    out = begin(synth, type);
    json_put_member(out, "item_id", synth->item_id);
    json_put_member_int(out, "output_index", synth->index);
    json_put_member_int(out, "content_index", 0);
    json_put_member_len(out, "delta", text, len);
    send(synth, type);
}

/* ---- the function call ---- */

static void put_call(struct buf *out, const char *id, const char *call_id, const char *name,
                     const char *arguments, size_t len)
{
    buf_putc(out, '{');
    json_put_member(out, "id", id);
    json_put_member(out, "type", "function_call");
    json_put_member(out, "status", arguments != NULL ? "completed" : "in_progress");
    json_put_member(out, "call_id", call_id);
    json_put_member(out, "name", name);
    json_put_member_len(out, "arguments", arguments != NULL ? arguments : "", len);
    buf_putc(out, '}');
}

/* The order is what the front end needs: the item, its arguments, the whole item. */
void synth_call(struct synth *synth, const char *name, const char *arguments, size_t len)
{
    static const char done[] = "response.function_call_arguments.done";
    char id[CAP_ID], call_id[CAP_ID];
    struct buf item, *out;

    if (synth->called)
        return;
    begin_response(synth);
    close_message(synth);
    synth->called = true;
    id_make(id, "fc_");
    id_make(call_id, "call_");
    buf_init(&item, 6 * CAP_SSE_EVENT);
    put_call(&item, id, call_id, name, NULL, 0);
    send_item(synth, "response.output_item.added", buf_str(&item), item.len);
    out = begin(synth, done);
    json_put_member(out, "item_id", id);
    json_put_member_int(out, "output_index", synth->index);
    json_put_member_len(out, "arguments", arguments, len);
    send(synth, done);
    buf_clear(&item);
    put_call(&item, id, call_id, name, arguments, len);
    if (item.failed)
        synth->failed = true;
    else
        item_done(synth, buf_str(&item), item.len);
    buf_free(&item);
}

/* ---- the end ---- */

static const char *incomplete_reason(enum finish_reason finish)
{
    if (finish == FINISH_LENGTH)
        return "max_output_tokens";
    return finish == FINISH_CONTENT_FILTER ? "content_filter" : NULL;
}

void synth_finish(struct synth *synth, enum finish_reason finish, const struct stream_usage *usage)
{
    const char *missing = incomplete_reason(finish);
    const char *type = missing != NULL ? "response.incomplete" : "response.completed";

    /* The front end waits with a pulsing dot for an item; a model that says nothing has said "". */
    if (synth->index == 0 && synth->item_id[0] == '\0')
        open_message(synth);
    begin_response(synth);
    close_message(synth);
    begin(synth, type);
    put_response(synth, missing != NULL ? "incomplete" : "completed", missing, usage);
    send(synth, type);
}
