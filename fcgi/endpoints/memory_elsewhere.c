/*
 * memory_elsewhere: see memory_elsewhere.h. The request thread checks and copies; the loop asks Mem0 (consult.h) and
 * replies, or has it forget (memory_forget) without waiting.
 */
#include "fcgi/endpoints/memory_elsewhere.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/memory/consult.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/conversation_view.h"
#include "fcgi/endpoints/outflow.h"
#include "fcgi/http/exchange.h"

#define CAP_SMALL_BODY 1024

/* What the loop needs. */
struct elsewhere {
    struct exchange *exchange;
    struct owner owner;
    char *user_id, *query; /* or NULL */
    char id[CAP_ID];       /* of one fact, "" = all */
    char running[CAP_ID];  /* answer to be stopped, "" = none */
    size_t limit;
    struct store_users users;
    struct outflow *flow;
    struct consult *consult;
};

static void elsewhere_free(struct elsewhere *elsewhere)
{
    if (elsewhere == NULL)
        return;
    free(elsewhere->user_id);
    free(elsewhere->query);
    store_users_free(&elsewhere->users);
    free(elsewhere);
}

static struct elsewhere *elsewhere_new(struct exchange *exchange, const char *user_id,
                                       const char *query, struct fault *fault)
{
    struct elsewhere *elsewhere = calloc(1, sizeof *elsewhere);

    if (elsewhere != NULL) {
        elsewhere->exchange = exchange;
        elsewhere->owner = exchange->owner;
        elsewhere->user_id = user_id != NULL ? strdup(user_id) : NULL;
        elsewhere->query = query != NULL ? strdup(query) : NULL;
        if ((user_id == NULL || elsewhere->user_id != NULL) &&
            (query == NULL || elsewhere->query != NULL))
            return elsewhere;
    }
    elsewhere_free(elsewhere);
    fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
    return NULL;
}

static bool has(const struct store_users *users, const char *user_id)
{
    for (size_t i = 0; i < users->count; i++)
        if (strcmp(users->list[i], user_id) == 0)
            return true;
    return false;
}

enum result elsewhere_check(const struct exchange *exchange, const char *user_id,
                            struct fault *fault)
{
    struct store_subject subject = { &exchange->owner, user_id };
    struct store_users users;
    enum result result;
    bool found;

    if (!store_subject_known(&subject))
        return fault_set(fault, RESULT_INVALID, "invalid_field", "user_id",
                         "The field user_id is needed, because nobody else is known here.");
    if (user_id == NULL || exchange->owner.any)
        return RESULT_OK;
    result = store_owner_users(exchange->app->store, &exchange->owner, &users, fault);
    if (result != RESULT_OK)
        return result;
    found = has(&users, user_id);
    store_users_free(&users);
    return found ? RESULT_OK
                 : fault_set(fault, RESULT_NOT_FOUND, "unknown_user", "user_id",
                             "This user_id is not one of yours.");
}

/* ---- asking ---- */

static void on_gone(void *ctx)
{
    struct elsewhere *elsewhere = ctx;

    consult_cancel(elsewhere->consult);
    elsewhere_free(elsewhere);
}

static const struct outflow_handler flow_handler = { .gone = on_gone };

static void put_reply(const struct elsewhere *elsewhere, const struct consult_reply *reply)
{
    struct response *response = &elsewhere->exchange->response;
    struct buf body;

    if (reply->result != RESULT_OK) {
        response_fault(response, &reply->fault);
        return;
    }
    buf_init(&body, CAP_RESPONSE_BODY);
    if (elsewhere->id[0] != '\0')
        buf_puts(&body, "{\"deleted\":1}");
    else
        memory_put_facts(&body, elsewhere->user_id, &reply->facts, elsewhere->query != NULL);
    response_json(response, 200, &body);
    buf_free(&body);
}

static void finish(struct elsewhere *elsewhere, const struct consult_reply *reply)
{
    put_reply(elsewhere, reply);
    if (elsewhere->flow != NULL)
        outflow_end(elsewhere->flow, reply->result == RESULT_OK ? "ok" : "failed");
    else
        exchange_finish(elsewhere->exchange);
    elsewhere_free(elsewhere);
}

static void on_reply(void *ctx, const struct consult_reply *reply)
{
    finish(ctx, reply);
}

static void consult_on_loop(struct exchange *exchange)
{
    struct elsewhere *elsewhere = exchange->state;
    struct consult_order order = {
        .subject = { &elsewhere->owner, elsewhere->user_id },
        .query = elsewhere->query,
        .limit = elsewhere->limit,
        .erase = elsewhere->id[0] != '\0' ? elsewhere->id : NULL,
        .users = &elsewhere->users,
    };
    struct consult_reply failed = { .result = RESULT_OVERLOADED };

    elsewhere->consult = consult_start(exchange->app->memory, &order, on_reply, elsewhere);
    if (elsewhere->consult != NULL) {
        elsewhere->flow = outflow_open(exchange, &flow_handler, elsewhere);
        return;
    }
    fault_set(&failed.fault, RESULT_OVERLOADED, "overloaded", NULL, "The server is out of memory.");
    finish(elsewhere, &failed);
}

void elsewhere_list(struct exchange *exchange, const char *user_id, const char *query, size_t limit)
{
    struct fault fault = { 0 };
    struct elsewhere *elsewhere = NULL;

    if (elsewhere_check(exchange, user_id, &fault) == RESULT_OK)
        elsewhere = elsewhere_new(exchange, user_id, query, &fault);
    if (elsewhere == NULL) {
        response_fault(&exchange->response, &fault);
        return;
    }
    elsewhere->limit = limit;
    exchange->state = elsewhere;
    exchange->on_loop = consult_on_loop;
}

void elsewhere_erase_one(struct exchange *exchange, const char *id)
{
    struct fault fault = { 0 };
    struct elsewhere *elsewhere = NULL;
    enum result result = RESULT_OK;

    if (!consult_id_valid(id))
        result =
            fault_set(&fault, RESULT_NOT_FOUND, "unknown_fact", NULL, "There is no such fact.");
    if (result == RESULT_OK)
        elsewhere = elsewhere_new(exchange, NULL, NULL, &fault);
    if (elsewhere != NULL)
        result =
            store_owner_users(exchange->app->store, &exchange->owner, &elsewhere->users, &fault);
    if (elsewhere == NULL || result != RESULT_OK) {
        response_fault(&exchange->response, &fault);
        elsewhere_free(elsewhere);
        return;
    }
    text_copy(elsewhere->id, sizeof elsewhere->id, id);
    exchange->state = elsewhere;
    exchange->on_loop = consult_on_loop;
}

/* ---- forgetting ---- */

static void forget_on_loop(struct exchange *exchange)
{
    struct elsewhere *elsewhere = exchange->state;
    struct store_subject subject = { &elsewhere->owner, elsewhere->user_id };

    if (elsewhere->running[0] != '\0')
        conversations_stop_answer(exchange->app, elsewhere->running);
    memory_forget(exchange->app->memory, &subject);
    elsewhere_free(elsewhere);
    exchange_finish(exchange);
}

void elsewhere_erase_all(struct exchange *exchange, const char *user_id)
{
    struct store_subject subject = { &exchange->owner, user_id };
    struct fault fault = { 0 };
    struct elsewhere *elsewhere = NULL;
    struct buf body;
    int64_t count;

    /* Facts of our own may be left from before MEMORY was mem0. */
    if (elsewhere_check(exchange, user_id, &fault) == RESULT_OK &&
        store_fact_delete(exchange->app->store, &subject, NULL, &count, &fault) == RESULT_OK)
        elsewhere = elsewhere_new(exchange, user_id, NULL, &fault);
    if (elsewhere == NULL) {
        response_fault(&exchange->response, &fault);
        return;
    }
    memory_note_erased(exchange);
    buf_init(&body, CAP_SMALL_BODY);
    buf_puts(&body, "{\"deleted\":null}");
    response_json(&exchange->response, 202, &body);
    buf_free(&body);
    exchange->state = elsewhere;
    exchange->on_loop = forget_on_loop;
}

bool elsewhere_forget(struct exchange *exchange, const char *user_id, const char *running)
{
    struct fault fault;
    struct elsewhere *elsewhere = elsewhere_new(exchange, user_id, NULL, &fault);

    if (elsewhere == NULL)
        return false;
    text_copy(elsewhere->running, sizeof elsewhere->running, running);
    exchange->state = elsewhere;
    exchange->on_loop = forget_on_loop;
    return true;
}
