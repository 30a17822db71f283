/*
 * chat: the endpoints that ask a question, in all chat contracts (contracts/chat_api.md).
 *
 * The request thread's part is here: read the question through its dialect, choose provider and model,
 * ask the limits, begin the turn in the store. The loop's part: start the answer and hand it to answer_client.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/answers.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/dialects/dialect.h"
#include "common/limits/limits.h"
#include "common/memory/memory.h"
#include "common/store/store_files.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/answer_client.h"
#include "fcgi/endpoints/chat_turn.h"
#include "fcgi/endpoints/choice.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/rate_limit.h"
#include "fcgi/http/exchange.h"
#include "fcgi/http/identity.h"

#define LEASE_MS 6000

enum delivery { DELIVER_AS_ASKED, DELIVER_STREAM, DELIVER_JSON };

/* ---- the request thread ---- */

int64_t chat_lease_ms(const struct config *config)
{
    int64_t waits = config->recall_timeout_ms + LEASE_MS / 2;

    return waits > LEASE_MS ? waits : LEASE_MS;
}

bool chat_wants_stream(const struct exchange *exchange, struct json_object *body,
                       const struct dialect *dialect)
{
    bool stream;

    if (json_get_bool(body, "stream", &stream) == JSON_FOUND)
        return stream;
    return dialect->stream_by_default ||
           dialect_accept_sse(request_header(&exchange->request, "Accept"));
}

/* No contract of the sources has it. */
enum result chat_read_deliver(struct json_object *body, bool *poll, struct fault *fault)
{
    const char *deliver = NULL;
    enum json_found found = json_get_string(body, "deliver", &deliver, NULL);

    *poll = found == JSON_FOUND && strcmp(deliver, "poll") == 0;
    if (found == JSON_ABSENT || *poll)
        return RESULT_OK;
    return fault_set(fault, RESULT_INVALID, "invalid_field", "deliver",
                     "The field deliver must be \"poll\" or left out.");
}

static bool wants_stream(const struct exchange *exchange, struct json_object *body,
                         const struct dialect *dialect, enum delivery delivery)
{
    if (delivery != DELIVER_AS_ASKED)
        return delivery == DELIVER_STREAM;
    return chat_wants_stream(exchange, body, dialect);
}

enum result chat_read_wish(struct json_object *body, const char *key, bool *wanted,
                           struct fault *fault)
{
    *wanted = false;
    if (json_get_bool(body, key, wanted) == JSON_WRONG_TYPE)
        return fault_set(fault, RESULT_INVALID, "invalid_field", key,
                         "The field %s must be true or false.", key);
    return RESULT_OK;
}

/* Request thread, with what was found for the question in `request`. */
static enum result finish_start(struct chat *chat, const struct turn_request *request,
                                struct fault *fault)
{
    const struct app *app = chat->exchange->app;
    enum result result = answer_start_prepare(&chat->start, app->config, chat->choice.provider,
                                              request, chat->choice.model, &chat->begun, fault);

    chat->start.quoted = chat->quoted;
    if (result == RESULT_OK && chat->may_recall && !chat->quoted &&
        app->config->response_cache_s > 0) {
        bool hit = answer_start_recall(&chat->start, app->config, app->store);

        response_header(&chat->exchange->response, "X-Cache", hit ? "hit" : "miss");
    }
    text_copy(chat->start.request_id, sizeof chat->start.request_id, chat->exchange->request.id);
    if (!chat->quoted)
        chat->start.learn = memory_turn_new(app->memory, &chat->question);
    return result;
}

enum result chat_prepare(struct chat *chat, struct turn_request *request, struct fault *fault)
{
    const struct app *app = chat->exchange->app;

    chat->question.user_id = request->user_id;
    if (chat->quoted)
        return finish_start(chat, request, fault);
    chat->asks = memory_asks(app->memory, &chat->question);
    if (chat->asks) { /* the strings that the question points to stay where they are */
        chat->request = *request;
        *request = (struct turn_request){ 0 };
        return RESULT_OK;
    }
    memory_ground(app->memory, &chat->question, &request->ground);
    return finish_start(chat, request, fault);
}

/*
 * The budget is spent, but the site's documents may have the answer: then the turn begins without a budget, because no
 * model will be asked. RESULT_OK, or `fault` stays as it is.
 */
static enum result begin_quoted(const struct app *app, struct store_turn *turn,
                                struct turn_request *request, struct chat *chat,
                                struct store_turn_begun *begun, struct fault *fault)
{
    struct memory_question question = { .text = request->message, .anonymous = true };
    struct store_limits limits = chat->limits.in_store;
    struct fault why;
    enum result result;

    if (!app->config->knowledge_fallback || strcmp(fault->code, "budget_exhausted") != 0)
        return RESULT_LIMITED;
    memory_ground(app->memory, &question, &request->ground);
    if (request->ground.offline == NULL)
        return RESULT_LIMITED;
    limits.spending = NULL;
    turn->limits = &limits;
    result = store_turn_begin(app->store, turn, begun, &why);
    turn->limits = NULL;
    chat->quoted = result == RESULT_OK;
    return result == RESULT_OK ? RESULT_OK : RESULT_LIMITED;
}

static enum result begin_turn(struct exchange *exchange, const struct dialect *dialect,
                              struct turn_request *request, struct chat *chat, struct fault *fault)
{
    const struct config *config = exchange->app->config;
    struct choice choice;
    struct store_turn_begun begun;
    struct store_turn turn;
    struct limits_cost cost = { 0 };
    enum result result = choice_make(exchange->app, request, &choice, fault);

    if (result != RESULT_OK)
        return result;
    turn = (struct store_turn){
        .contract = dialect->name,
        .owner = &exchange->owner,
        .request = request,
        .provider = choice.provider->name,
        .model = choice.model,
        .writer = exchange->app->writer,
        .history_max = (size_t)config->context_messages,
        .now_ms = clock_wall_ms(),
        .session_ttl_ms = config->session_ttl_s * 1000,
        .newcomer = exchange->newcomer,
    };
    turn.lease_until_ms = turn.now_ms + chat_lease_ms(config);
    if (request->history_len > 0)
        turn.history_max = cost.max_messages = request->history_len + 1;
    cost.answer_tokens = choice.provider->max_tokens;
    result = limits_admit(exchange->app->limits, &chat->limits, &cost, turn.now_ms, fault);
    if (result != RESULT_OK)
        return result;
    turn.limits = &chat->limits.in_store;
    result = store_turn_begin(exchange->app->store, &turn, &begun, fault);
    if (result == RESULT_LIMITED)
        result = begin_quoted(exchange->app, &turn, request, chat, &begun, fault);
    limits_settle(exchange->app->store, &chat->limits, turn.now_ms, result, fault);
    if (result != RESULT_OK)
        return result;
    text_copy(chat->message_id, sizeof chat->message_id, begun.message_id);
    text_copy(chat->conversation_id, sizeof chat->conversation_id, begun.conversation_id);
    if (begun.visitor[0] != '\0')
        identity_become(exchange, begun.visitor);
    if (begun.duplicate) {
        store_turn_begun_free(&begun);
        chat->exists = true;
        return store_answer_get(exchange->app->store, chat->message_id, 0, turn.now_ms,
                                &chat->snapshot, fault);
    }
    chat->exchange = exchange;
    chat->choice = choice;
    chat->begun = begun;
    chat->question = (struct memory_question){ .owner = exchange->owner,
                                               .text = request->message,
                                               .anonymous = dialect == &dialect_session,
                                               .spending = &chat->limits.spending };
    chat->may_recall = true;
    return chat_prepare(chat, request, fault);
}

/* The pictures that the question only names. */
static enum result fetch_files(struct exchange *exchange, struct turn_request *request,
                               struct fault *fault)
{
    enum result result = RESULT_OK;
    struct store_file file;

    for (size_t i = 0; i < request->image_count && result == RESULT_OK; i++) {
        struct chat_image *image = &request->images[i];

        if (image->file_id == NULL)
            continue;
        result = store_file_get(exchange->app->store, &exchange->owner, image->file_id, true, &file,
                                fault);
        if (result == RESULT_NOT_FOUND)
            return fault_set(fault, result, "unknown_file", "attachments",
                             "A picture is not one of yours, or is not kept any more.");
        if (result != RESULT_OK)
            return result;
        image->base64 = file.base64;
        image->base64_len = file.base64_len;
        if ((image->mime = strdup(file.mime)) == NULL)
            result = fault_set(fault, RESULT_INTERNAL, "internal_error", NULL, "Out of memory.");
    }
    return result;
}

void chat_free(struct chat *chat)
{
    if (chat == NULL)
        return;
    free(chat->client.question);
    free(chat->client.preamble);
    answer_start_free(&chat->start);
    turn_request_free(&chat->request);
    store_turn_begun_free(&chat->begun);
    store_answer_free(&chat->snapshot);
    free(chat);
}

/* 202: the answer grows without us; GET /api/messages/{id} brings it. */
static void reply_accepted(struct exchange *exchange, const struct chat *chat)
{
    struct buf body;

    buf_init(&body, 4 * CAP_ID + 256);
    buf_puts(&body, "{");
    json_put_member(&body, "status", "accepted");
    json_put_member(&body, "message_id", chat->message_id);
    json_put_member(&body, "conversation_id", chat->conversation_id);
    buf_puts(&body, "}");
    response_json(&exchange->response, 202, &body);
    buf_free(&body);
    exchange_finish(exchange);
}

static struct answer *find_or_start(struct answers *answers, struct chat *chat)
{
    struct answer *answer;

    if (!chat->exists) /* perhaps followed already, by a repeated send that was faster */
        return answers_start(answers, &chat->start);
    answer = answers_find(answers, chat->message_id);
    return answer != NULL ? answer : answers_follow(answers, chat->message_id, &chat->snapshot);
}

/* A process that serves one request must not keep its web server waiting for the answer: a detached one
 * of its own makes it. */
static bool answer_elsewhere(const struct exchange *exchange, const struct chat *chat)
{
    return exchange->app->answer_detached != NULL && !chat->exists && !chat->quoted &&
           chat->start.cached.text == NULL &&
           exchange->app->answer_detached(chat->message_id, &exchange->owner);
}

static void chat_with_answer(struct exchange *exchange)
{
    struct chat *chat = exchange->state;
    struct answer *answer = NULL;
    struct fault fault;

    if (chat->poll &&
        (chat->exists || (!chat->asks && !chat->quoted && answer_elsewhere(exchange, chat)))) {
        reply_accepted(exchange, chat);
        chat_free(chat);
        return;
    }
    chat->start.unattended = chat->poll;
    chat->start.wants_reasoning = chat->client.reasoning;
    answer = find_or_start(exchange->app->answers, chat);
    if (answer != NULL && chat->poll) {
        reply_accepted(exchange, chat);
    } else if (answer != NULL) {
        answer_client_start(exchange, answer, &chat->client);
        chat->client.question = chat->client.preamble = NULL;
    } else {
        fault_set(&fault, RESULT_OVERLOADED, "overloaded", NULL, "The server is out of memory.");
        response_fault(&exchange->response, &fault);
        exchange_finish(exchange);
    }
    chat_free(chat);
}

enum result chat_begin(struct exchange *exchange, struct json_object *body,
                       const struct dialect *dialect, struct chat *chat, struct fault *fault)
{
    const struct config *config = exchange->app->config;
    struct dialect_limits limits = { .max_message_length = (size_t)config->max_message_length,
                                     .max_history = (size_t)config->max_history,
                                     .max_image_bytes = (size_t)config->max_image_bytes };
    struct turn_request request = { 0 };
    enum result result = dialect->parse(body, &limits, &request, fault);

    if (result == RESULT_OK)
        result = chat_read_deliver(body, &chat->poll, fault);
    if (result == RESULT_OK)
        result = chat_read_wish(body, "reasoning", &chat->client.reasoning, fault);
    chat->client.reasoning = chat->client.reasoning && config->reasoning;
    if (result == RESULT_OK)
        result = fetch_files(exchange, &request, fault);
    if (result == RESULT_OK) {
        chat->client.dialect = dialect;
        chat->client.question = strdup(request.message);
        result = begin_turn(exchange, dialect, &request, chat, fault);
    }
    turn_request_free(&request);
    return result;
}

static void asked_work(void *ctx, struct turn_ground *ground)
{
    struct chat *chat = ctx;

    chat->request.ground = *ground;
    *ground = (struct turn_ground){ 0 };
    chat->result = finish_start(chat, &chat->request, &chat->fault);
}

static void asked_done(void *ctx)
{
    struct chat *chat = ctx;
    struct exchange *exchange = chat->exchange;

    if (chat->result == RESULT_OK) {
        chat_with_answer(exchange);
        return;
    }
    response_fault(&exchange->response, &chat->fault);
    exchange_finish(exchange);
    chat_free(chat);
}

/* Start the answer, or follow the one that exists, and hand it to the client. */
static void start_on_loop(struct exchange *exchange)
{
    struct chat *chat = exchange->state;

    if (!chat->asks) {
        chat_with_answer(exchange);
    } else if (chat->poll && answer_elsewhere(exchange, chat)) {
        reply_accepted(exchange, chat);
        chat_free(chat);
    } else if (!memory_ask(exchange->app->memory, &chat->question, asked_work, asked_done, chat)) {
        fault_set(&chat->fault, RESULT_OVERLOADED, "overloaded", NULL,
                  "The server is out of memory.");
        chat->result = RESULT_OVERLOADED;
        asked_done(chat);
    }
}

/* ---- the endpoints ---- */

void chat_ask(struct exchange *exchange, chat_preparation *prepare, const void *how)
{
    struct chat *chat = calloc(1, sizeof *chat);
    struct fault fault = { 0 };
    enum result result;

    if (chat == NULL) {
        result = fault_set(&fault, RESULT_OVERLOADED, "overloaded", NULL,
                           "The server is out of memory.");
    } else {
        rate_limit_plan(exchange, &chat->limits);
        result = prepare(exchange, how, chat, &fault);
        rate_limit_headers(exchange, &chat->limits);
    }
    if (result != RESULT_OK) {
        response_fault(&exchange->response, &fault);
        chat_free(chat);
        return;
    }
    exchange->state = chat;
    exchange->on_loop = start_on_loop;
}

struct way {
    const struct dialect *dialect; /* NULL: the one that the body's fields choose */
    enum delivery delivery;
};

static enum result prepare(struct exchange *exchange, const void *how, struct chat *chat,
                           struct fault *fault)
{
    const struct way *way = how;
    const struct dialect *dialect = way->dialect, *chosen = NULL;
    struct buf *body_bytes = &exchange->request.body;
    struct json_object *body = NULL;
    enum result result = json_parse(body_bytes->data, body_bytes->len, &body, fault);

    if (result == RESULT_OK)
        result = dialect_choose(body, &chosen, fault);
    if (dialect == NULL)
        dialect = chosen;
    if (result == RESULT_OK)
        result = chat_read_wish(body, "tool_calls", &chat->client.tool_calls, fault);
    if (result == RESULT_OK) {
        chat->client.delivery =
            wants_stream(exchange, body, dialect, way->delivery) ? ANSWER_STREAM : ANSWER_JSON;
        result = chat_begin(exchange, body, dialect, chat, fault);
    }
    json_object_put(body);
    buf_free(body_bytes);
    return result;
}

void endpoint_chat(struct exchange *exchange)
{
    static const struct way way = { NULL, DELIVER_AS_ASKED };

    chat_ask(exchange, prepare, &way);
}

void endpoint_chat_stream(struct exchange *exchange)
{
    static const struct way way = { NULL, DELIVER_STREAM };

    chat_ask(exchange, prepare, &way);
}

void endpoint_chat_simple(struct exchange *exchange)
{
    static const struct way way = { &dialect_simple, DELIVER_JSON };

    chat_ask(exchange, prepare, &way);
}
