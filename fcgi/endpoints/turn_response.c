/*
 * turn_response: POST /api/turn_response (contracts/turn_response.md, section 2), the request thread's part: read the
 * body, find out who answers, begin the turn in the store. turn_stream.c goes on.
 *
 * The turn is a conversation of contract "responses". The front end names none; the ids of the items that it
 * sends back tell which one goes on.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/answers.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/chat/window.h"
#include "common/config.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/rate_limit.h"
#include "fcgi/endpoints/turn.h"
#include "fcgi/http/body_limit.h"
#include "fcgi/http/exchange.h"

#define CONTRACT      "responses"
#define DEFAULT_MODEL "gpt-5.2"
#define IDS_MAX       16 /* newest items that are looked for */
#define CAP_EXTRA     CAP_UPSTREAM_REQUEST
#define CAP_WAITING   (64u * 1024 * 1024)
#define BUSY_RETRY_S  5

static enum result out_of_memory(struct fault *fault)
{
    return fault_set(fault, RESULT_OVERLOADED, "overloaded", NULL, "The server is out of memory.");
}

void turn_free(struct turn *turn)
{
    if (turn == NULL)
        return;
    for (size_t i = 0; i < turn->item_count; i++)
        free(turn->items[i].json);
    free(turn->items);
    free(turn->body);
    free(turn->model);
    free(turn->instructions);
    turn_drop_functions(turn);
    google_tokens_free(&turn->google);
    round_request_free(&turn->request);
    buf_free(&turn->extra);
    buf_free(&turn->tools);
    buf_free(&turn->text);
    buf_free(&turn->waiting);
    free(turn);
}

static struct turn *turn_new(struct exchange *exchange)
{
    struct turn *turn = calloc(1, sizeof *turn);

    if (turn == NULL)
        return NULL;
    turn->app = exchange->app;
    turn->exchange = exchange;
    turn->owner = exchange->owner;
    text_copy(turn->request_id, sizeof turn->request_id, exchange->request.id);
    buf_init(&turn->extra, CAP_EXTRA);
    buf_init(&turn->tools, CAP_UPSTREAM_REQUEST);
    buf_init(&turn->text, CAP_ANSWER);
    buf_init(&turn->waiting, CAP_WAITING);
    return turn;
}

/* ---- who answers ---- */

static bool asks_openai(const struct config *config)
{
    if (strcmp(config->turn_api, "auto") == 0)
        return *config->openai_api_key != '\0';
    return strcmp(config->turn_api, "responses") == 0;
}

static const char *native_model(const struct config *config)
{
    if (*config->turn_model != '\0')
        return config->turn_model;
    return config_is_set(config, "OPENAI_MODEL") ? config->openai_model : DEFAULT_MODEL;
}

static char *make_instructions(const struct config *config)
{
    time_t now = clock_wall_ms() / 1000;
    struct tm today;
    struct buf out;

    buf_init(&out, 2 * CAP_OPTION_VALUE);
    if (localtime_r(&now, &today) == NULL)
        memset(&today, 0, sizeof today);
    turn_instructions_put(&out, config->turn_prompt, &today);
    return buf_take(&out);
}

static enum result make_plan(struct turn *turn, struct fault *fault)
{
    const struct app *app = turn->app;
    struct round_plan *plan = &turn->plan;

    plan->config = app->config;
    if (asks_openai(app->config)) {
        turn->provider_name = "openai";
        turn->payer = providers_find(&app->providers, turn->provider_name);
        turn->model = strdup(native_model(app->config));
    } else {
        plan->provider = turn->payer = providers_find(&app->providers, NULL);
        turn->provider_name = plan->provider->name;
        turn->model = strdup(plan->provider->model);
        if (turn_tools_functions(&turn->fields))
            round_plan_offer(plan);
    }
    plan->payer = turn->payer;
    turn->instructions = make_instructions(app->config);
    if (turn->fields.google && plan->provider == NULL)
        google_read_tokens(turn->exchange, &turn->google);
    google_session_id(turn->exchange, turn->session);
    turn_tools_put(&turn->tools, &turn->fields, turn->google.access);
    if (turn->model == NULL || turn->instructions == NULL || turn->tools.failed)
        return out_of_memory(fault);
    plan->model = turn->model;
    plan->instructions = turn->instructions;
    plan->tools = buf_str(&turn->tools);
    return RESULT_OK;
}

/* ---- the store ---- */

static enum result find_conversation(struct turn *turn, struct fault *fault)
{
    char ids[IDS_MAX][STORE_ITEM_ID_SIZE];
    size_t count = turn_body_ids(&turn->fields, ids, IDS_MAX);

    return store_items_conversation(turn->app->store, &turn->exchange->owner, ids, count,
                                    turn->conversation_id, fault);
}

/* A turn that begins with the result of a function has no question; its message is what came. */
static enum result read_question(struct turn *turn, struct turn_request *request, const char **role,
                                 struct fault *fault)
{
    struct buf text;

    buf_init(&text, turn->body_len + 1);
    turn_body_question(&turn->fields, &text, role);
    if (text.len == 0)
        buf_putc(&text, ' ');
    request->message = buf_take(&text);
    if (request->message == NULL)
        return out_of_memory(fault);
    request->message_len = text_clean(request->message, strlen(request->message));
    return RESULT_OK;
}

static void keep_question(struct turn *turn, const char *role)
{
    struct skim last = turn_body_last(&turn->fields);
    struct store_item item = { .json = last.at, .len = last.len };

    store_items_add(turn->app->store, turn->message_id, true,
                    strcmp(role, "user") == 0 ? NULL : role, &item, 1);
}

/* The history comes with the request, not from the store, and no memory adds to it. */
static enum result admit(struct turn *turn, int64_t now_ms, struct fault *fault)
{
    struct store_spending *spending = &turn->limits.spending;
    struct limits_cost cost = { .answer_tokens = turn->payer != NULL
                                                     ? turn->payer->max_tokens
                                                     : turn->app->config->openai_max_tokens };
    enum result result = limits_admit(turn->app->limits, &turn->limits, &cost, now_ms, fault);

    spending->facts_tokens = spending->passages_tokens = 0;
    spending->window.system_tokens =
        window_estimate(turn->instructions, strlen(turn->instructions)) +
        window_estimate(turn->fields.messages.at, turn->fields.messages.len);
    return result;
}

static enum result begin_in_store(struct turn *turn, struct store_turn *row,
                                  struct store_turn_begun *begun, struct fault *fault)
{
    enum result result = admit(turn, row->now_ms, fault);

    if (result != RESULT_OK)
        return result;
    row->limits = &turn->limits.in_store;
    result = store_turn_begin(turn->app->store, row, begun, fault);
    limits_settle(turn->app->store, &turn->limits, row->now_ms, result, fault);
    return result;
}

static enum result begin_turn(struct turn *turn, struct fault *fault)
{
    struct turn_request request = { .stream = true };
    struct store_turn_begun begun;
    const char *role = "user";
    struct store_turn row = {
        .contract = CONTRACT,
        .owner = &turn->exchange->owner,
        .request = &request,
        .provider = turn->provider_name,
        .model = turn->model,
        .writer = turn->app->writer,
        .history_max = 1,
        .now_ms = clock_wall_ms(),
    };
    enum result result = find_conversation(turn, fault);

    if (result == RESULT_OK)
        result = read_question(turn, &request, &role, fault);
    if (result == RESULT_OK && turn->conversation_id[0] != '\0' &&
        (request.conversation_id = strdup(turn->conversation_id)) == NULL)
        result = out_of_memory(fault);
    row.lease_until_ms = row.now_ms + TURN_LEASE_MS;
    if (result == RESULT_OK)
        result = begin_in_store(turn, &row, &begun, fault);
    turn_request_free(&request);
    if (result != RESULT_OK)
        return result;
    text_copy(turn->conversation_id, sizeof turn->conversation_id, begun.conversation_id);
    text_copy(turn->message_id, sizeof turn->message_id, begun.message_id);
    turn->row = begun.message_row;
    store_turn_begun_free(&begun);
    keep_question(turn, role);
    return RESULT_OK;
}

/* ---- together ---- */

static enum result check_room(const struct app *app, struct fault *fault)
{
    if (answers_count(app->answers) + app->turns < (size_t)app->config->max_streams)
        return RESULT_OK;
    fault_set(fault, RESULT_OVERLOADED, "overloaded", NULL,
              "Too many answers are being written right now. Please try again in a few seconds.");
    fault->retry_after_s = BUSY_RETRY_S;
    return RESULT_OVERLOADED;
}

/* The body's memory changes hands: `fields` points into it. */
static enum result read_body(struct turn *turn, struct fault *fault)
{
    struct request *request = &turn->exchange->request;
    size_t most = body_limit_of_route(turn->app->config, turn->exchange->route);
    enum result result = request_body(request, most, fault);

    if (result != RESULT_OK)
        return result;
    turn->body_len = request->body.len;
    if ((turn->body = buf_take(&request->body)) == NULL)
        return out_of_memory(fault);
    return turn_body_read(turn->body, turn->body_len, &turn->fields, fault);
}

static enum result prepare(struct turn *turn, struct fault *fault)
{
    static const struct skim nothing;
    struct skim messages;
    enum result result = check_room(turn->app, fault);

    if (result == RESULT_OK)
        result = read_body(turn, fault);
    if (result == RESULT_OK)
        result = make_plan(turn, fault);
    messages = result == RESULT_OK ? turn->fields.messages : nothing;
    /* Before anything is stored: what cannot be asked is no turn. */
    if (result == RESULT_OK)
        result =
            round_prepare(&turn->plan, messages.at + 1, messages.len - 2, &turn->request, fault);
    turn->prepared = result == RESULT_OK;
    if (result == RESULT_OK)
        result = begin_turn(turn, fault);
    return result;
}

/* A mistake in the body is the client's own, and stays an error in any case. */
static void refuse(struct turn *turn, struct exchange *exchange, const struct fault *fault)
{
    if (turn != NULL && fault->result != RESULT_INVALID &&
        turn_failure_visible(exchange->app->config)) {
        turn->fault = *fault;
        turn_failure_reply(turn);
    } else {
        response_fault(&exchange->response, fault);
    }
    turn_free(turn);
}

void endpoint_turn_response(struct exchange *exchange)
{
    struct turn *turn = turn_new(exchange);
    struct fault fault = { 0 };
    enum result result;

    if (turn == NULL) {
        result = out_of_memory(&fault);
    } else {
        rate_limit_plan(exchange, &turn->limits);
        result = prepare(turn, &fault);
        rate_limit_headers(exchange, &turn->limits);
    }
    if (result != RESULT_OK) {
        refuse(turn, exchange, &fault);
        return;
    }
    exchange->state = turn;
    exchange->on_loop = turn_on_loop;
}
