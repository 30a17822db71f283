/*
 * answer_client: see answer_client.h.
 */
#include "fcgi/endpoints/answer_client.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/answers.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/dialects/dialect.h"
#include "fcgi/app.h"
#include "fcgi/http/exchange.h"
#include "fcgi/http/transport.h"

#define HEAD_AFTER_MS 1000 /* the response head waits this long for the first delta */
#define DELTA_MAX                                                                                  \
    4096 /* bytes of text in one frame; escaped it stays within CAP_FLUSH in practice */
#define CAP_FRAME (DELTA_MAX * 6 + 4096)

static const char sse_ping[] = ": ping\n\n";

struct client {
    struct answer_reader reader; /* first: the reader is the client */
    struct exchange *exchange;
    struct answer_client_options options;
    uv_poll_t watch;
    bool watching;
    bool lagging; /* the socket is full; a writable event goes on */
    bool begun;   /* the head is out */
    bool opened;  /* the first frame is out */
    bool over;
    bool unflushed; /* frames were written and may still be with us */
    size_t preamble_sent;
    size_t sent;                    /* offset of text that has been sent */
    size_t sent_reasoning;          /* the same of the thoughts */
    size_t calls_begun, calls_done; /* how many calls of tools were shown */
    int64_t started_ms, written_ms; /* monotonic */
};

static void client_free(struct client *client)
{
    free(client->options.question);
    free(client->options.preamble);
    free(client);
}

static void on_watch_closed(uv_handle_t *handle)
{
    client_free(handle->data);
}

/* For the log: who answered, as far as that is known now. */
static void note_turn(const struct client *client)
{
    struct exchange_turn *turn = &client->exchange->turn;
    struct turn_reply reply;

    answer_reply(client->reader.answer, &reply);
    turn->provider = reply.provider;
    text_copy(turn->model, sizeof turn->model, reply.model != NULL ? reply.model : "");
    if (reply.usage != NULL && reply.usage->known) {
        turn->prompt_tokens = reply.usage->prompt_tokens;
        turn->completion_tokens = reply.usage->completion_tokens;
    }
}

/* The end, for whatever reason: leave the answer, finish the exchange. */
static void client_end(struct client *client, const char *outcome)
{
    if (client->over)
        return;
    client->over = true;
    note_turn(client);
    answer_detach(&client->reader);
    if (client->watching)
        uv_close((uv_handle_t *)&client->watch, on_watch_closed);
    client->exchange->outcome = outcome;
    exchange_finish(client->exchange);
    if (!client->watching)
        client_free(client);
}

static void watch(struct client *client);

/* One for all: a frame is written before the next one is begun. */
static struct buf *frame_begin(struct client *client)
{
    struct buf *frame = &client->exchange->app->frame;

    if (frame->cap == 0)
        buf_init(frame, CAP_FRAME);
    buf_clear(frame);
    return frame;
}

/* Deltas that came to us together leave together. */
static void flush(struct client *client)
{
    if (!client->unflushed || answer_more(client->reader.answer))
        return;
    client->unflushed = false;
    if (response_flush(&client->exchange->response) != RESULT_OK)
        client->exchange->response.gone = true;
}

static void write_frame(struct client *client, const struct buf *frame)
{
    if (frame->failed ||
        response_stream_part(&client->exchange->response, frame->data, frame->len) != RESULT_OK)
        client->exchange->response.gone = true;
    client->written_ms = clock_mono_ms();
    client->unflushed = true;
    flush(client);
}

static bool gone(const struct client *client)
{
    return client->exchange->response.gone;
}

static void describe(const struct client *client, struct turn_reply *reply)
{
    answer_reply(client->reader.answer, reply);
    reply->question = client->options.question != NULL ? client->options.question : "";
    reply->question_len = strlen(reply->question);
}

/* ---- one JSON reply ---- */

/* Of an answer that broke off this client has seen nothing yet: he gets the text that stands in for answers. What there
 * was of it stays in the store, as failed, for others may have seen it. */
static bool stands_in(const struct client *client, const struct fault *fault)
{
    return *client->exchange->app->config->fallback_message != '\0' &&
           (fault->result == RESULT_UPSTREAM_BAD || fault->result == RESULT_UPSTREAM_DOWN ||
            fault->result == RESULT_UPSTREAM_SLOW);
}

static void reply_json(struct client *client)
{
    struct exchange *exchange = client->exchange;
    const struct fault *fault = answer_fault(client->reader.answer);
    struct turn_reply reply;
    struct buf body;

    if (fault != NULL && !stands_in(client, fault)) {
        response_fault(&exchange->response, fault);
        client_end(client, "failed");
        return;
    }
    describe(client, &reply);
    if (fault != NULL) {
        reply.text = exchange->app->config->fallback_message;
        reply.text_len = strlen(reply.text);
        reply.finish = FINISH_FALLBACK;
    }
    buf_init(&body, CAP_RESPONSE_BODY);
    client->options.dialect->reply(&reply, &body);
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
    client_end(client, finish_reason_name(reply.finish));
}

/* ---- long poll ---- */

static enum turn_status poll_status(const struct turn_reply *reply, bool ended)
{
    if (!ended)
        return TURN_STREAMING;
    if (reply->fault == NULL)
        return reply->finish == FINISH_STOPPED ? TURN_STOPPED : TURN_COMPLETE;
    return strcmp(reply->fault->code, "interrupted") == 0 ? TURN_INTERRUPTED : TURN_FAILED;
}

/* All of them each time: they have numbers. */
static void put_poll_calls(const struct client *client, struct buf *out)
{
    const struct answer_call *call = answer_calls(client->reader.answer);

    if (!client->options.tool_calls || call == NULL)
        return;
    json_put_member_raw(out, "tool_calls", "[");
    for (; call != NULL; call = call->next)
        buf_putf(out, "%s%s", call->index > 0 ? "," : "", call->json);
    buf_putc(out, ']');
}

static void put_poll_body(const struct client *client, struct buf *out)
{
    bool ended = answer_ended(client->reader.answer);
    struct turn_reply reply;
    size_t from = client->sent;

    describe(client, &reply);
    if (from > reply.text_len)
        from = reply.text_len;
    buf_puts(out, "{");
    json_put_member_len(out, "content", reply.text + from, reply.text_len - from);
    json_put_member_int(out, "next",
                        (int64_t)(client->sent > reply.text_len ? client->sent : reply.text_len));
    json_put_member(out, "status", turn_status_name(poll_status(&reply, ended)));
    json_put_member_bool(out, "done", ended);
    json_put_member(out, "message_id", reply.message_id);
    put_poll_calls(client, out);
    if (ended)
        json_put_member(out, "finish_reason", finish_reason_name(reply.finish));
    if (ended && reply.sources_json != NULL)
        json_put_member_raw(out, "sources", reply.sources_json);
    if (ended && reply.fault != NULL) {
        json_put_member(out, "error", reply.fault->text);
        json_put_member(out, "code", reply.fault->code);
    }
    buf_puts(out, "}");
}

static void advance_poll(struct client *client)
{
    const struct answer *answer = client->reader.answer;
    struct buf body;

    if (answer_text(answer)->len <= client->sent && !answer_ended(answer) &&
        !answer_let_go(answer) && clock_mono_ms() - client->started_ms < client->options.wait_ms)
        return;
    buf_init(&body, CAP_RESPONSE_BODY);
    put_poll_body(client, &body);
    response_json(&client->exchange->response, 200, &body);
    buf_free(&body);
    client_end(client, "polled");
}

/* ---- streams ---- */

static void begin_stream(struct client *client)
{
    const char *type = client->options.dialect->stream_type;

    client->begun = true;
    response_begin_stream(&client->exchange->response, 200,
                          type != NULL ? type : RESPONSE_TYPE_SSE);
}

/* False, and the rest waits, while the socket is full. */
static bool has_room(struct client *client)
{
    if (response_writable(&client->exchange->response))
        return true;
    client->lagging = true;
    watch(client);
    return false;
}

/* Preamble and first frame, as long as the socket takes them. */
static void send_opening(struct client *client)
{
    const char *preamble = client->options.preamble != NULL ? client->options.preamble : "";
    size_t preamble_len = strlen(preamble);
    struct turn_reply reply;
    struct buf *frame;

    while (client->preamble_sent < preamble_len && !gone(client)) {
        size_t len = preamble_len - client->preamble_sent;

        if (!has_room(client))
            return;
        if (len > CAP_FLUSH)
            len = CAP_FLUSH;
        frame = frame_begin(client);
        buf_put(frame, preamble + client->preamble_sent, len);
        client->preamble_sent += len;
        write_frame(client, frame);
    }
    client->opened = true;
    describe(client, &reply);
    frame = frame_begin(client);
    client->options.dialect->frame_first(&reply, client->sent, frame);
    write_frame(client, frame);
}

static void send_reasoning(struct client *client)
{
    const struct buf *thoughts = answer_reasoning(client->reader.answer);
    struct turn_reply reply;
    struct buf *frame;

    while (client->options.reasoning && client->sent_reasoning < thoughts->len && !gone(client) &&
           has_room(client)) {
        const char *from = thoughts->data + client->sent_reasoning;
        size_t len = text_utf8_prefix(from, thoughts->len - client->sent_reasoning, DELTA_MAX);

        describe(client, &reply);
        frame = frame_begin(client);
        dialect_frame_reasoning(&reply, from, len, client->sent, frame);
        client->sent_reasoning += len;
        write_frame(client, frame);
    }
}

static void send_call(struct client *client, const struct answer_call *call)
{
    struct turn_reply reply;
    struct buf frame;

    describe(client, &reply);
    buf_init(&frame, CAP_RESPONSE_BODY);
    dialect_frame_tool(&reply, call->json, call->at, &frame);
    client->calls_begun = call->index + 1;
    client->calls_done = call->index + call->done;
    write_frame(client, &frame);
    buf_free(&frame);
}

/* News of calls for which the text has come far enough. Returns how far text may go before the next of them. Whoever
 * comes back is shown what was called since, and what he may have seen of it twice. */
static size_t send_calls(struct client *client)
{
    const struct answer_call *call = answer_calls(client->reader.answer);

    if (!client->options.tool_calls)
        return SIZE_MAX;
    for (; call != NULL && !gone(client) && has_room(client); call = call->next) {
        if (call->at > client->sent)
            return call->at;
        if (call->at >= client->options.after &&
            (call->index >= client->calls_begun ||
             (call->done && call->index >= client->calls_done)))
            send_call(client, call);
    }
    return SIZE_MAX;
}

/* Everything from the last sent offset on, as long as the socket takes it. */
static void send_text(struct client *client)
{
    const struct buf *text = answer_text(client->reader.answer);

    for (size_t up_to = send_calls(client);
         client->sent < text->len && !gone(client) && !client->lagging;
         up_to = send_calls(client)) {
        size_t most = up_to < text->len ? up_to - client->sent : text->len - client->sent;
        size_t len = text_utf8_prefix(text->data + client->sent, most, DELTA_MAX);
        struct turn_reply reply;
        struct buf *frame;

        if (!has_room(client))
            return;
        if (client->exchange->first_delta_us == 0)
            client->exchange->first_delta_us = clock_mono_us();
        describe(client, &reply);
        frame = frame_begin(client);
        client->options.dialect->frame_delta(&reply, text->data + client->sent, len,
                                             client->sent + len, frame);
        client->sent += len;
        write_frame(client, frame);
    }
}

static void send_last(struct client *client)
{
    const struct fault *fault = answer_fault(client->reader.answer);
    struct turn_reply reply;
    struct buf *frame;

    describe(client, &reply);
    frame = frame_begin(client);
    if (fault != NULL)
        client->options.dialect->frame_failed(&reply, fault, client->sent, frame);
    else
        client->options.dialect->frame_last(&reply, client->sent, frame);
    write_frame(client, frame);
    client_end(client, fault != NULL ? "failed" : finish_reason_name(reply.finish));
}

static void heartbeat(struct client *client)
{
    const char *ping = client->options.dialect->ping;
    struct buf *frame;

    if (clock_mono_ms() - client->written_ms < client->exchange->app->config->heartbeat_s * 1000 ||
        !response_writable(&client->exchange->response))
        return;
    frame = frame_begin(client);
    buf_puts(frame, ping != NULL ? ping : sse_ping);
    write_frame(client, frame);
}

/* Is it time for the head? Before the first delta a failure can still be a clean HTTP error. */
static bool may_begin(const struct client *client)
{
    const struct answer *answer = client->reader.answer;

    if (answer_ended(answer))
        return true;
    return answer_text(answer)->len > client->sent ||
           (client->options.reasoning && answer_reasoning(answer)->len > 0) ||
           (client->options.tool_calls && answer_calls(answer) != NULL) ||
           clock_mono_ms() - client->started_ms >= HEAD_AFTER_MS;
}

static void advance_stream(struct client *client)
{
    struct answer *answer = client->reader.answer;

    if (!client->begun) {
        if (!may_begin(client))
            return;
        if (answer_ended(answer) && answer_fault(answer) != NULL && !client->options.resumed &&
            answer_text(answer)->len == 0) {
            reply_json(client); /* the clean HTTP error */
            return;
        }
        begin_stream(client);
    }
    if (!client->lagging && !client->opened)
        send_opening(client);
    if (!client->lagging)
        send_reasoning(client);
    if (!client->lagging)
        send_text(client);
    flush(client);
    if (client->lagging)
        return;
    if (gone(client))
        client_end(client, "client_gone");
    else if (answer_ended(answer))
        send_last(client);
    else
        heartbeat(client);
}

/* An offset that a client made up may point into a character, perhaps of text that is still to come: begin behind it. */
static void skip_partial(struct client *client)
{
    const struct buf *text = answer_text(client->reader.answer);

    while (client->sent < text->len && ((unsigned char)text->data[client->sent] & 0xc0) == 0x80)
        client->sent++;
}

/* The answer goes on in another process, but ours ends. A stream that ends without a last frame is one to come back to,
 * and the next process has the rest of it. */
static void leave_answer(struct client *client)
{
    struct fault fault;

    if (!client->begun) {
        fault_set(&fault, RESULT_OVERLOADED, "interrupted", NULL,
                  "The server is restarting; the answer goes on. Please ask again in a moment.");
        fault.retry_after_s = 1;
        response_fault(&client->exchange->response, &fault);
    }
    client_end(client, "interrupted");
}

static void on_changed(struct answer_reader *reader)
{
    struct client *client = (struct client *)reader;

    skip_partial(client);
    if (answer_let_go(reader->answer) && client->options.delivery != ANSWER_POLL)
        leave_answer(client);
    else if (client->options.delivery == ANSWER_STREAM)
        advance_stream(client);
    else if (client->options.delivery == ANSWER_POLL)
        advance_poll(client);
    else if (answer_ended(reader->answer))
        reply_json(client);
}

/* ---- the socket ---- */

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct client *client = poll->data;

    if (status < 0 || client->exchange->transport->ops->hung_up(client->exchange->transport)) {
        client_end(client, "client_gone");
        return;
    }
    if (client->lagging && (events & UV_WRITABLE)) {
        client->lagging = false;
        watch(client);
        on_changed(&client->reader);
        return;
    }
    watch(client);
}

static void on_hang_up(void *ctx)
{
    client_end(ctx, "client_gone");
}

/* (Re)arm the watcher: hang-up always, room to write while lagging. */
static void watch(struct client *client)
{
    struct transport *transport = client->exchange->transport;
    int events = 0;
    int fd = transport->ops->watch_fd(transport, &events);

    if (fd < 0)
        return;
    if (!client->watching) {
        if (uv_poll_init(client->exchange->app->loop, &client->watch, fd) != 0)
            return;
        client->watch.data = client;
        client->watching = true;
    }
    uv_poll_start(&client->watch, events | (client->lagging ? UV_WRITABLE : 0), on_socket);
}

void answer_client_start(struct exchange *exchange, struct answer *answer,
                         struct answer_client_options *options)
{
    struct client *client = calloc(1, sizeof *client);

    if (client == NULL) {
        free(options->question);
        free(options->preamble);
        exchange_finish(exchange);
        return;
    }
    client->exchange = exchange;
    client->options = *options;
    client->reader.changed = on_changed;
    client->sent = options->after;
    client->started_ms = client->written_ms = clock_mono_ms();
    answer_attach(answer, &client->reader);
    exchange->transport->hang_up = on_hang_up;
    exchange->transport->hang_up_ctx = client;
    watch(client);
    on_changed(&client->reader);
}
