/*
 * turn_stream: a turn on the loop: rounds with the model, frames to the client, functions that the server runs itself,
 * and the end.
 *
 * Frames go out as they come, with two exceptions. What follows an item that is done waits until the store has
 * the item: the front end answers a function call with a new request at once, whose conversation is found by that
 * item. And the last frame waits for the final commit: whoever saw response.completed owns a stored answer.
 *
 * When the client leaves, the provider's connection is closed; the text so far is kept. Loop thread.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/config.h"
#include "common/responses/envelope.h"
#include "common/tools/tools.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/outflow.h"
#include "fcgi/endpoints/turn.h"
#include "fcgi/http/exchange.h"

#define CAP_FRAME (128u * 1024 * 1024)

static void start_round(struct turn *turn);
static void end_turn(struct turn *turn, enum turn_status status, enum finish_reason finish,
                     const struct fault *fault);

/* ---- frames ---- */

static void begin(struct turn *turn)
{
    struct response *response = &turn->exchange->response;

    if (turn->begun)
        return;
    turn->begun = true;
    response_header(response, "X-Conversation-Id", turn->conversation_id);
    response_header(response, "X-Message-Id", turn->message_id);
    response_begin_stream(response, 200, "text/event-stream");
}

/* `wait`: not before what is to be stored now is stored. */
static void put_frame(struct turn *turn, const struct buf *frame, bool wait)
{
    if (turn->flow == NULL || frame->failed)
        return;
    if (wait || turn->storing || turn->item_count > 0 || turn->waiting.len > 0) {
        buf_put(&turn->waiting, buf_str(frame), frame->len);
        return;
    }
    begin(turn);
    outflow_put(turn->flow, buf_str(frame), frame->len);
    if (turn->round != NULL && outflow_full(turn->flow))
        round_hold(turn->round);
}

static void put_event(struct turn *turn, const char *type, const char *json, size_t len, bool wait)
{
    struct buf frame;

    buf_init(&frame, CAP_FRAME);
    envelope_put(&frame, type, json, len);
    put_frame(turn, &frame, wait);
    buf_free(&frame);
}

static void flush_waiting(struct turn *turn)
{
    if (turn->flow == NULL || turn->waiting.len == 0)
        return;
    begin(turn);
    outflow_put(turn->flow, turn->waiting.data, turn->waiting.len);
    buf_free(&turn->waiting);
    if (turn->round != NULL && outflow_full(turn->flow))
        round_hold(turn->round);
}

/* ---- events of a round ---- */

static void take_delta(struct turn *turn, struct skim event)
{
    static const struct skim_key keys[] = { SKIM_KEY("delta") };
    struct skim delta;
    struct buf scratch, whole;
    const char *chars;
    size_t len;

    buf_init(&scratch, CAP_SSE_EVENT);
    buf_init(&whole, CAP_ANSWER);
    if (skim_object(event, keys, 1, &delta) && skim_string(delta, &scratch, &chars, &len) &&
        text_utf8_repair(&whole, chars, len))
        buf_put(&turn->text, buf_str(&whole), whole.len);
    buf_free(&scratch);
    buf_free(&whole);
}

static void copy_string(struct skim value, char *out, size_t size)
{
    struct buf scratch;
    const char *chars;
    size_t len;

    out[0] = '\0';
    buf_init(&scratch, size);
    if (skim_is_string(value) && skim_string(value, &scratch, &chars, &len) && len < size) {
        memcpy(out, chars, len);
        out[len] = '\0';
    }
    buf_free(&scratch);
}

void turn_drop_functions(struct turn *turn)
{
    for (size_t i = 0; i < turn->function_count; i++)
        free(turn->functions[i].arguments);
    turn->function_count = turn->function_at = 0;
    turn->too_many_calls = false;
}

/* All calls of a round count: the API takes none of them back without its output. */
static void take_function(struct turn *turn, struct skim item)
{
    enum { TYPE, NAME, CALL, ARGUMENTS, COUNT };
    static const struct skim_key keys[COUNT] = { SKIM_KEY("type"), SKIM_KEY("name"),
                                                 SKIM_KEY("call_id"), SKIM_KEY("arguments") };
    struct turn_function *function;
    struct skim values[COUNT];
    char type[32];

    if (!turn->fields.server_tools || !skim_object(item, keys, COUNT, values))
        return;
    copy_string(values[TYPE], type, sizeof type);
    if (strcmp(type, "function_call") != 0)
        return;
    turn->too_many_calls = turn->function_count == TURN_CALLS;
    if (turn->too_many_calls)
        return;
    function = &turn->functions[turn->function_count++];
    copy_string(values[NAME], function->name, sizeof function->name);
    copy_string(values[CALL], function->call_id, sizeof function->call_id);
    function->arguments = calloc(1, values[ARGUMENTS].len + 1);
    if (function->arguments != NULL)
        copy_string(values[ARGUMENTS], function->arguments, values[ARGUMENTS].len + 1);
}

static void take_item(struct turn *turn, struct skim event)
{
    static const struct skim_key keys[] = { SKIM_KEY("item") };
    struct skim item;

    if (!skim_object(event, keys, 1, &item) || !skim_is_object(item))
        return;
    turn_store_item(turn, item.at, item.len, true);
    take_function(turn, item);
    if (turn->fields.server_tools) {
        buf_putc(&turn->extra, ',');
        buf_put(&turn->extra, item.at, item.len);
    }
}

/* More rounds will follow: the client is not told that it is over. One that the server does not know leaves all to it. */
static bool goes_on(const struct turn *turn)
{
    for (size_t i = 0; i < turn->function_count; i++)
        if (tools_find(turn->functions[i].name) == NULL)
            return false;
    return turn->function_count > 0 && !turn->too_many_calls &&
           turn->rounds <= turn->app->config->tool_rounds;
}

static void on_event(void *ctx, const char *type, const char *json, size_t len)
{
    struct turn *turn = ctx;
    struct skim event = { json, len };
    bool item = strcmp(type, "response.output_item.done") == 0;
    bool last = strcmp(type, "response.completed") == 0 ||
                strcmp(type, "response.incomplete") == 0 || strcmp(type, "response.failed") == 0;

    if (strcmp(type, "response.output_text.delta") == 0)
        take_delta(turn, event);
    if (item)
        take_item(turn, event);
    if (last && goes_on(turn))
        return;
    put_event(turn, type, json, len, item || last);
    if (item)
        turn_store(turn);
}

/* ---- functions on the server ---- */

static void run_function(struct turn *turn);

static void put_output_item(struct turn *turn, const struct tool_reply *reply, struct buf *out)
{
    buf_putc(out, '{');
    json_put_member(out, "type", "function_call_output");
    json_put_member(out, "call_id", turn->functions[turn->function_at].call_id);
    json_put_member(out, "status", "completed");
    json_put_member_len(out, "output", reply->json, reply->len);
    buf_putc(out, '}');
}

static void send_output_item(struct turn *turn, const struct buf *item)
{
    static const char type[] = "response.output_item.done";
    struct buf event;

    buf_init(&event, CAP_FRAME);
    buf_putc(&event, '{');
    json_put_member(&event, "type", type);
    json_put_member_raw(&event, "item", buf_str(item));
    buf_putc(&event, '}');
    put_event(turn, type, buf_str(&event), event.len, true);
    buf_free(&event);
}

static void on_tool(void *ctx, const struct tool_reply *reply)
{
    struct turn *turn = ctx;
    struct buf item;

    turn->tool = NULL;
    buf_init(&item, CAP_SSE_EVENT);
    put_output_item(turn, reply, &item);
    buf_putc(&turn->extra, ',');
    buf_put(&turn->extra, buf_str(&item), item.len);
    turn_store_item(turn, buf_str(&item), item.len, true);
    send_output_item(turn, &item);
    turn_store(turn);
    buf_free(&item);
    if (++turn->function_at < turn->function_count) {
        run_function(turn);
        return;
    }
    turn_drop_functions(turn);
    start_round(turn);
}

static void run_function(struct turn *turn)
{
    const struct turn_function *function = &turn->functions[turn->function_at];
    const struct tool *tool = tools_find(function->name);
    const char *arguments = function->arguments != NULL ? function->arguments : "";
    struct json_object *args = NULL;
    struct tool_run *run;

    json_parse(arguments, strlen(arguments), &args, NULL);
    run = tool_start(turn->app->tools, tool, args, on_tool, turn);
    if (run != NULL)
        turn->tool = run;
    json_object_put(args);
}

/* ---- rounds ---- */

static void on_round_done(void *ctx, const struct round_end *end)
{
    struct turn *turn = ctx;

    turn->round = NULL;
    turn->usage.prompt_tokens += end->usage.prompt_tokens;
    turn->usage.completion_tokens += end->usage.completion_tokens;
    turn->usage.total_tokens += end->usage.total_tokens;
    turn->usage.known = turn->usage.known || end->usage.known;
    turn->usage.estimated = turn->usage.estimated || end->usage.estimated;
    if (end->detail != NULL)
        text_copy(turn->detail, sizeof turn->detail, end->detail);
    turn->fault_told = end->told;
    if (end->fault != NULL)
        end_turn(turn, TURN_FAILED, FINISH_ERROR, end->fault);
    else if (goes_on(turn))
        run_function(turn);
    else
        end_turn(turn, TURN_COMPLETE, end->finish, NULL);
}

static const struct round_sink sink = { .event = on_event, .done = on_round_done };

static enum result prepare_round(struct turn *turn, struct fault *fault)
{
    struct buf items;
    enum result result;

    /* The last word is the model's: a call without its result would leave the conversation stuck. */
    turn->plan.no_calls = turn->rounds >= turn->app->config->tool_rounds;
    buf_init(&items, CAP_UPSTREAM_REQUEST);
    buf_put(&items, turn->fields.messages.at + 1, turn->fields.messages.len - 2);
    buf_put(&items, buf_str(&turn->extra), turn->extra.len);
    result = items.failed
                 ? fault_set(fault, RESULT_TOO_LARGE, "request_too_large", NULL,
                             "The conversation is too large to be sent.")
                 : round_prepare(&turn->plan, buf_str(&items), items.len, &turn->request, fault);
    buf_free(&items);
    return result;
}

static void start_round(struct turn *turn)
{
    struct app *app = turn->app;
    struct fault fault;

    if (!turn->prepared && prepare_round(turn, &fault) != RESULT_OK) {
        end_turn(turn, TURN_FAILED, FINISH_ERROR, &fault);
        return;
    }
    turn->prepared = false;
    turn->rounds++;
    turn->round = round_start(app->loop, app->relay, &turn->plan, &turn->request, &sink, turn);
    if (turn->round != NULL)
        return;
    fault_set(&fault, RESULT_INTERNAL, "internal_error", NULL, "The server is out of memory.");
    end_turn(turn, TURN_FAILED, FINISH_ERROR, &fault);
}

/* ---- the end ---- */

static void end_turn(struct turn *turn, enum turn_status status, enum finish_reason finish,
                     const struct fault *fault)
{
    if (turn->ending)
        return;
    turn->ending = true;
    turn->status = status;
    turn->finish = finish;
    turn->has_fault = fault != NULL;
    if (fault != NULL)
        turn->fault = *fault;
    turn_store(turn);
}

void turn_stop(struct turn *turn)
{
    if (turn->ending)
        return;
    google_cancel(turn->refresh);
    turn->refresh = NULL;
    turn_store_google_alone(turn);
    round_cancel(turn->round);
    turn->round = NULL;
    tool_cancel(turn->tool);
    turn->tool = NULL;
    end_turn(turn, TURN_STOPPED, FINISH_STOPPED, NULL);
}

static void show_failure(struct turn *turn)
{
    bool visible = turn_failure_visible(turn->app->config);
    struct buf frame;

    if (!turn->begun) {
        turn_failure_reply(turn);
        return;
    }
    if (turn->fault_told && !visible)
        return;
    buf_init(&frame, CAP_FRAME);
    if (visible)
        turn_failure_message(&frame, turn->model, &turn->fault);
    else
        envelope_put_error(&frame, turn->fault.text);
    put_frame(turn, &frame, false);
    buf_free(&frame);
}

/* The end is in the store: the last frames, and out. */
static void finish(struct turn *turn)
{
    struct outflow *flow = turn->flow;

    turn_account(turn);
    flush_waiting(turn);
    if (flow != NULL && turn->has_fault)
        show_failure(turn);
    else if (flow != NULL)
        begin(turn);
    turn->flow = NULL;
    if (flow != NULL)
        outflow_end(flow, turn->has_fault ? "failed" : finish_reason_name(turn->finish));
    turn->app->turns--;
    turn_free(turn);
}

void turn_stored(struct turn *turn)
{
    if (turn->ended) {
        finish(turn);
        return;
    }
    turn_store(turn);
    if (!turn->storing && !turn->ending)
        flush_waiting(turn);
}

/* ---- the client ---- */

static void on_gone(void *ctx)
{
    struct turn *turn = ctx;

    turn->flow = NULL;
    turn->exchange = NULL;
    turn_stop(turn);
}

static void on_drained(void *ctx)
{
    struct turn *turn = ctx;

    if (turn->round != NULL)
        round_go_on(turn->round);
}

static void on_tick(void *ctx)
{
    struct turn *turn = ctx;

    turn_store(turn);
    if (turn->refresh != NULL || turn->save != NULL ||
        outflow_silence_ms(turn->flow) < turn->app->config->heartbeat_s * 1000)
        return;
    begin(turn);
    outflow_put(turn->flow, ENVELOPE_PING, sizeof ENVELOPE_PING - 1);
}

static const struct outflow_handler flow_handler = { .gone = on_gone,
                                                     .drained = on_drained,
                                                     .tick = on_tick };

/* ---- the beginning ---- */

/* Before the head goes out, so that the cookies can still be set; but not for a browser that has signed out while Google
 * was asked. */
void turn_google_stored(struct turn *turn, bool signed_out)
{
    if (signed_out)
        google_tokens_free(&turn->google);
    else
        google_set_tokens(turn->exchange, &turn->google, false);
    buf_clear(&turn->tools);
    turn_tools_put(&turn->tools, &turn->fields, turn->google.access);
    turn->plan.tools = buf_str(&turn->tools);
    round_request_free(&turn->request);
    turn->prepared = false;
    start_round(turn);
}

/* A failure is silent: the old token may do. */
static void on_refreshed(void *ctx, struct google_tokens *tokens)
{
    struct turn *turn = ctx;

    turn->refresh = NULL;
    if (tokens == NULL) {
        start_round(turn);
        return;
    }
    tokens->kept = turn->google.kept;
    google_tokens_free(&turn->google);
    turn->google = *tokens;
    *tokens = (struct google_tokens){ .access = NULL };
    if (!turn_store_google(turn))
        turn_google_stored(turn, false);
}

static bool start_refresh(struct turn *turn)
{
    if (!turn->fields.google || turn->plan.provider != NULL ||
        !google_configured(turn->app->config) ||
        !google_refresh_due(&turn->google, clock_wall_ms()))
        return false;
    turn->refresh = google_refresh(turn->app, &turn->google, on_refreshed, turn);
    return turn->refresh != NULL;
}

void turn_on_loop(struct exchange *exchange)
{
    struct turn *turn = exchange->state;
    struct fault fault;

    exchange->state = NULL;
    turn->started_ms = turn->renewed_ms = clock_mono_ms();
    turn->flow = outflow_open(exchange, &flow_handler, turn);
    turn->app->turns++;
    if (turn->flow == NULL) {
        fault_set(&fault, RESULT_OVERLOADED, "overloaded", NULL, "The server is out of memory.");
        response_fault(&exchange->response, &fault);
        exchange_finish(exchange);
        turn->exchange = NULL;
        end_turn(turn, TURN_FAILED, FINISH_ERROR, &fault);
        return;
    }
    if (!start_refresh(turn))
        start_round(turn);
}
