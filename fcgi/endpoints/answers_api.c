/*
 * answers_api: the endpoints that come back to an answer: resume its stream, poll it, stop it. Knowing a
 * message id is the right to it (128 random bits). They work from any worker and process: an answer that
 * runs here is read from memory, any other through the store.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/answers.h"
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/dialects/dialect.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/answer_client.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/exchange.h"

#define POLL_WAIT_MAX_S 25 /* below every web server's idle timeout (WEBSERVERS.md section 6) */

/* What the request thread hands to the loop. */
struct visit {
    char message_id[CAP_ID];
    struct store_answer snapshot;
    struct answer_client_options client;
};

static void visit_free(struct visit *visit)
{
    if (visit != NULL)
        store_answer_free(&visit->snapshot);
    free(visit);
}

static void visit_on_loop(struct exchange *exchange)
{
    struct answers *answers = exchange->app->answers;
    struct visit *visit = exchange->state;
    struct answer *answer = answers_find(answers, visit->message_id);
    struct fault fault;

    if (answer == NULL)
        answer = answers_follow(answers, visit->message_id, &visit->snapshot);
    if (answer != NULL) {
        answer_client_start(exchange, answer, &visit->client);
    } else {
        fault_set(&fault, RESULT_OVERLOADED, "overloaded", NULL, "The server is out of memory.");
        response_fault(&exchange->response, &fault);
        exchange_finish(exchange);
    }
    visit_free(visit);
}

/* A decimal number in a query parameter; `fallback` when absent. False when it is none. */
static bool query_number(const struct exchange *exchange, const char *name, long max, long fallback,
                         long *out)
{
    char text[24], *end;

    *out = fallback;
    if (!request_query(&exchange->request, name, text, sizeof text))
        return true;
    *out = strtol(text, &end, 10);
    return end != text && *end == '\0' && *out >= 0 && *out <= max;
}

static enum result find_answer(struct exchange *exchange, struct visit *visit, struct fault *fault)
{
    long after, wait;
    char asked[8];

    if (!id_plausible(exchange->request.path_arg))
        return fault_set(fault, RESULT_NOT_FOUND, "unknown_message", NULL,
                         "There is no such message.");
    if (!query_number(exchange, "after", CAP_ANSWER, 0, &after))
        return fault_set(fault, RESULT_INVALID, "invalid_field", "after",
                         "The field after is the number of bytes that you have.");
    if (!query_number(exchange, "wait", POLL_WAIT_MAX_S, 0, &wait))
        return fault_set(fault, RESULT_INVALID, "invalid_field", "wait",
                         "The field wait is a number of seconds from 0 to %d.", POLL_WAIT_MAX_S);
    text_copy(visit->message_id, sizeof visit->message_id, exchange->request.path_arg);
    visit->client.after = (size_t)after;
    visit->client.wait_ms = wait * 1000;
    visit->client.resumed = true;
    visit->client.tool_calls =
        request_query(&exchange->request, "tool_calls", asked, sizeof asked) &&
        strcmp(asked, "true") == 0;
    return store_answer_get(exchange->app->store, visit->message_id, 0, clock_wall_ms(),
                            &visit->snapshot, fault);
}

/* Last-Event-ID "<message_id>:<offset>" wins over ?after=, because EventSource repeats the first URL. */
static void apply_last_event_id(const struct exchange *exchange, struct visit *visit)
{
    const char *id = request_header(&exchange->request, "Last-Event-ID");
    size_t len = strlen(visit->message_id);
    char *end;
    long offset;

    if (id == NULL || strncmp(id, visit->message_id, len) != 0 || id[len] != ':')
        return;
    offset = strtol(id + len + 1, &end, 10);
    if (end != id + len + 1 && *end == '\0' && offset >= 0 && offset <= (long)CAP_ANSWER)
        visit->client.after = (size_t)offset;
}

static void come_back(struct exchange *exchange, enum answer_delivery delivery)
{
    struct visit *visit = calloc(1, sizeof *visit);
    struct fault fault = { 0 };
    enum result result;

    if (visit == NULL)
        result = fault_set(&fault, RESULT_OVERLOADED, "overloaded", NULL,
                           "The server is out of memory.");
    else
        result = find_answer(exchange, visit, &fault);
    if (result != RESULT_OK) {
        response_fault(&exchange->response, &fault);
        visit_free(visit);
        return;
    }
    visit->client.delivery = delivery;
    visit->client.dialect = dialect_find(visit->snapshot.contract);
    if (visit->client.dialect == NULL)
        visit->client.dialect = &dialect_support;
    if (delivery == ANSWER_STREAM)
        apply_last_event_id(exchange, visit);
    exchange->state = visit;
    exchange->on_loop = visit_on_loop;
}

void endpoint_answer_stream(struct exchange *exchange)
{
    come_back(exchange, ANSWER_STREAM);
}

void endpoint_answer_poll(struct exchange *exchange)
{
    come_back(exchange, ANSWER_POLL);
}

/* ---- stop ---- */

static enum result read_stop(struct exchange *exchange, char *message_id, struct fault *fault)
{
    struct json_object *body = NULL;
    const char *id = NULL;
    enum result result =
        json_parse(exchange->request.body.data, exchange->request.body.len, &body, fault);

    if (result == RESULT_OK &&
        (json_get_string(body, "message_id", &id, NULL) != JSON_FOUND || !id_plausible(id)))
        result = fault_set(fault, RESULT_INVALID, "invalid_field", "message_id",
                           "The field message_id says which answer to stop.");
    if (result == RESULT_OK)
        text_copy(message_id, CAP_ID, id);
    json_object_put(body);
    return result;
}

/* What the request thread hands to the loop. */
struct stop {
    char message_id[CAP_ID];
    struct fault fault; /* of a store that could not take the mark */
};

static void reply_stop(struct exchange *exchange, const struct store_stop *stop)
{
    struct buf body;

    buf_init(&body, 1024);
    buf_puts(&body, "{");
    json_put_member(&body, "status", turn_status_name(stop->status));
    json_put_member_int(&body, "content_length", (int64_t)stop->content_length);
    buf_puts(&body, "}");
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
}

/* An answer of this worker stops at once, whatever the store says; the mark in the store is for all others. */
static void stop_on_loop(struct exchange *exchange)
{
    struct stop *stop = exchange->state;
    struct answer *answer = answers_find(exchange->app->answers, stop->message_id);
    bool stops = answer != NULL && answer_stop(answer, FINISH_STOPPED);

    if (stop->fault.result != RESULT_OK && stops)
        reply_stop(exchange, &(struct store_stop){ .status = TURN_STREAMING,
                                                   .content_length = answer_text(answer)->len });
    else if (stop->fault.result != RESULT_OK)
        response_fault(&exchange->response, &stop->fault);
    free(stop);
    exchange_finish(exchange);
}

void endpoint_answer_stop(struct exchange *exchange)
{
    struct store_stop found = { 0 };
    struct fault fault = { 0 };
    struct stop *stop = calloc(1, sizeof *stop);
    enum result result = stop != NULL ? read_stop(exchange, stop->message_id, &fault)
                                      : fault_set(&fault, RESULT_OVERLOADED, "overloaded", NULL,
                                                  "The server is out of memory.");

    if (result == RESULT_OK)
        result = store_answer_stop(exchange->app->store, stop->message_id, clock_wall_ms(), &found,
                                   &fault);
    if (result != RESULT_OK && result != RESULT_STORE_DOWN) {
        response_fault(&exchange->response, &fault);
        free(stop);
        return;
    }
    if (result == RESULT_OK)
        reply_stop(exchange, &found);
    stop->fault = fault;
    exchange->state = stop;
    exchange->on_loop = stop_on_loop;
}
