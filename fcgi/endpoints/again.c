/*
 * again: another answer. POST /api/conversations/{id}/regenerate answers the last question anew, POST
 * /api/messages/{id}/continue goes on from an answer that broke off. Both reply as a chat turn does, in the
 * contract that the conversation began with.
 *
 * Request thread; chat.c does the loop's part.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/dialects/dialect.h"
#include "common/store/conversations.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/chat_turn.h"
#include "fcgi/endpoints/choice.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/rate_limit.h"
#include "fcgi/http/exchange.h"

#define CAP_CLIENT_ID 128

/* Which answer follows, and how the store begins it. */
struct way {
    enum result (*begin)(struct store *store, const struct store_again *again,
                         struct store_again_begun *out, struct fault *fault);
    bool continues; /* the answer named goes on; else its question is answered anew */
};

static enum result read_string(struct json_object *body, const char *key, size_t max, char **out,
                               struct fault *fault)
{
    const char *text = NULL;
    size_t len = 0;
    enum json_found found = json_get_string(body, key, &text, &len);

    if (found == JSON_ABSENT || (found == JSON_FOUND && len == 0))
        return RESULT_OK;
    if (found == JSON_WRONG_TYPE || len > max || text_has_control(text, len))
        return fault_set(fault, RESULT_INVALID, "invalid_field", key,
                         "The field %s must be a string of at most %zu bytes.", key, max);
    *out = strndup(text, len);
    return *out != NULL
               ? RESULT_OK
               : fault_set(fault, RESULT_INTERNAL, "internal_error", NULL, "Out of memory.");
}

/* provider, model, client_message_id, stream, deliver; an empty body is fine. */
static enum result read_body(struct exchange *exchange, struct json_object **body,
                             struct turn_request *out, bool *poll, struct fault *fault)
{
    const struct buf *bytes = &exchange->request.body;
    enum result result = RESULT_OK;
    bool stream;

    if (bytes->len > 0)
        result = json_parse(bytes->data, bytes->len, body, fault);
    if (result != RESULT_OK)
        return result;
    if (bytes->len > 0 && !json_object_is_type(*body, json_type_object))
        return fault_set(fault, RESULT_INVALID, "invalid_json", NULL,
                         "The body must be a JSON object, or empty.");
    if (json_get_bool(*body, "stream", &stream) == JSON_WRONG_TYPE)
        return fault_set(fault, RESULT_INVALID, "invalid_field", "stream",
                         "The field stream must be true or false.");
    if ((result = chat_read_deliver(*body, poll, fault)) != RESULT_OK ||
        (result = read_string(*body, "provider", CAP_PROVIDER_NAME - 1, &out->provider, fault)) !=
            RESULT_OK ||
        (result = read_string(*body, "model", CAP_MODEL_NAME - 1, &out->model, fault)) != RESULT_OK)
        return result;
    return read_string(*body, "client_message_id", CAP_CLIENT_ID, &out->client_message_id, fault);
}

/* The row is there: make what the loop needs of it. */
static enum result prepare_answer(struct exchange *exchange, const struct choice *choice,
                                  struct turn_request *request, struct store_again_begun *begun,
                                  struct chat *chat, struct fault *fault)
{
    text_copy(chat->message_id, sizeof chat->message_id, begun->turn.message_id);
    text_copy(chat->conversation_id, sizeof chat->conversation_id, begun->turn.conversation_id);
    if (begun->turn.duplicate) {
        chat->exists = true;
        return store_answer_get(exchange->app->store, chat->message_id, 0, clock_wall_ms(),
                                &chat->snapshot, fault);
    }
    request->user_id = begun->user_id;
    begun->user_id = NULL;
    chat->exchange = exchange;
    chat->choice = *choice;
    chat->begun = begun->turn;
    begun->turn = (struct store_turn_begun){ 0 };
    chat->question =
        (struct memory_question){ .owner = exchange->owner,
                                  .text =
                                      chat->client.question != NULL ? chat->client.question : "",
                                  .anonymous = chat->client.dialect == &dialect_session,
                                  .spending = &chat->limits.spending };
    return chat_prepare(chat, request, fault);
}

/* The budget is spent: as chat.c's begin_quoted, for the question that is answered anew. */
static enum result begin_quoted(const struct app *app, struct store_again *again,
                                struct turn_request *request, struct chat *chat,
                                struct store_again_begun *begun, struct fault *fault)
{
    struct memory_question question = { .text = begun->question, .anonymous = true };
    struct store_limits limits = chat->limits.in_store;
    struct fault why;
    enum result result;

    if (!app->config->knowledge_fallback || question.text == NULL ||
        strcmp(fault->code, "budget_exhausted") != 0)
        return RESULT_LIMITED;
    memory_ground(app->memory, &question, &request->ground);
    if (request->ground.offline == NULL)
        return RESULT_LIMITED;
    store_again_begun_free(begun);
    limits.spending = NULL;
    again->limits = &limits;
    result = store_turn_regenerate(app->store, again, begun, &why);
    again->limits = NULL;
    chat->quoted = result == RESULT_OK;
    return result == RESULT_OK ? RESULT_OK : RESULT_LIMITED;
}

static enum result begin(struct exchange *exchange, const struct way *way, struct json_object *body,
                         struct turn_request *request, struct chat *chat, struct fault *fault)
{
    const struct config *config = exchange->app->config;
    struct choice choice;
    struct store_again again = {
        .owner = &exchange->owner,
        .conversation_id = way->continues ? NULL : exchange->request.path_arg,
        .message_id = way->continues ? exchange->request.path_arg : NULL,
        .client_message_id = request->client_message_id,
        .writer = exchange->app->writer,
        .history_max = (size_t)config->context_messages,
        .now_ms = clock_wall_ms(),
        .session_ttl_ms = config->session_ttl_s * 1000,
    };
    struct store_again_begun begun = { 0 };
    struct limits_cost cost = { 0 };
    enum result result = choice_make(exchange->app, request, &choice, fault);

    if (result != RESULT_OK)
        return result;
    again.provider = choice.provider->name;
    again.model = choice.model;
    again.lease_until_ms = again.now_ms + chat_lease_ms(config);
    cost.answer_tokens =
        choice.provider->max_tokens + (way->continues ? answer_go_on_estimate() : 0);
    result = limits_admit(exchange->app->limits, &chat->limits, &cost, again.now_ms, fault);
    if (result != RESULT_OK)
        return result;
    again.limits = &chat->limits.in_store;
    result = way->begin(exchange->app->store, &again, &begun, fault);
    if (result == RESULT_LIMITED && !way->continues)
        result = begin_quoted(exchange->app, &again, request, chat, &begun, fault);
    limits_settle(exchange->app->store, &chat->limits, again.now_ms, result, fault);
    if (result != RESULT_OK) {
        store_again_begun_free(&begun);
        return result;
    }
    chat->client.dialect = dialect_find(begun.contract);
    if (chat->client.dialect == NULL)
        chat->client.dialect = &dialect_support;
    chat->client.delivery =
        chat_wants_stream(exchange, body, chat->client.dialect) ? ANSWER_STREAM : ANSWER_JSON;
    chat->client.question = begun.question;
    begun.question = NULL;
    if (way->continues && !begun.turn.duplicate)
        result = answer_go_on(&begun.turn, fault);
    if (result == RESULT_OK)
        result = prepare_answer(exchange, &choice, request, &begun, chat, fault);
    store_again_begun_free(&begun);
    return result;
}

static enum result prepare(struct exchange *exchange, const void *how, struct chat *chat,
                           struct fault *fault)
{
    struct json_object *body = NULL;
    struct turn_request request = { 0 };
    enum result result = read_body(exchange, &body, &request, &chat->poll, fault);

    if (result == RESULT_OK)
        result = chat_read_wish(body, "tool_calls", &chat->client.tool_calls, fault);
    if (result == RESULT_OK)
        result = begin(exchange, how, body, &request, chat, fault);
    turn_request_free(&request);
    json_object_put(body);
    return result;
}

void endpoint_regenerate(struct exchange *exchange)
{
    static const struct way way = { store_turn_regenerate, false };

    chat_ask(exchange, prepare, &way);
}

void endpoint_continue(struct exchange *exchange)
{
    static const struct way way = { store_turn_continue, true };

    chat_ask(exchange, prepare, &way);
}
