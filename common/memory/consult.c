/*
 * consult: see consult.h. Erasing one memory takes two requests: Mem0 knows one key for all people, so whose the memory
 * is must be looked at here first.
 *
 * Neighbours: mem0.c makes the requests, fetch.c sends them; fcgi/endpoints/memory_elsewhere.c asks.
 */
#include "common/memory/consult.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/memory/memory_private.h"

struct consult {
    struct memory_task task; /* first */
    struct owner owner;
    const struct store_users *users;
    char erase[CAP_ID]; /* "" = a list */
    size_t limit;
    struct fetch *fetch;
    void (*done)(void *ctx, const struct consult_reply *reply);
    void *ctx;
};

static void consult_free(struct consult *consult)
{
    memory_task_remove(&consult->task);
    free(consult);
}

void consult_cancel(struct consult *consult)
{
    if (consult->fetch != NULL)
        fetch_cancel(consult->fetch);
    consult_free(consult);
}

static void consult_drop(struct memory_task *task)
{
    consult_cancel((struct consult *)task);
}

static void end(struct consult *consult, struct consult_reply *reply)
{
    consult->done(consult->ctx, reply);
    store_fact_list_free(&reply->facts);
    consult_free(consult);
}

static void end_badly(struct consult *consult, enum result result, const char *code,
                      const char *text)
{
    struct consult_reply reply = { .result = result };

    fault_set(&reply.fault, result, code, NULL, "%s", text);
    end(consult, &reply);
}

static void unavailable(struct consult *consult)
{
    end_badly(consult, RESULT_UPSTREAM_BAD, "memory_unavailable",
              "The Mem0 service, which remembers here, cannot be asked at the moment.");
}

static void unknown(struct consult *consult)
{
    end_badly(consult, RESULT_NOT_FOUND, "unknown_fact", "There is no such fact.");
}

/* Did it answer? If not, the consultation is over. */
static bool answered(struct consult *consult, const struct fetch_reply *reply)
{
    consult->fetch = NULL;
    if (consult->erase[0] != '\0' && (reply->status == 404 || reply->status == 400)) {
        unknown(consult);
        return false;
    }
    if (memory_peer_replied(&consult->task.memory->mem0, reply))
        return true;
    if (reply->end == RELAY_TIMEOUT_TOTAL || reply->end == RELAY_TIMEOUT_CONNECT)
        end_badly(consult, RESULT_UPSTREAM_SLOW, "memory_timeout",
                  "The Mem0 service, which remembers here, did not answer in time.");
    else
        unavailable(consult);
    return false;
}

/* ---- a list ---- */

static void on_list(void *ctx, const struct fetch_reply *got)
{
    struct consult *consult = ctx;
    struct consult_reply reply = { .result = RESULT_OK };

    if (!answered(consult, got))
        return;
    if (mem0_decode_facts(got->body, got->len, consult->limit, &reply.facts))
        end(consult, &reply);
    else
        unavailable(consult);
}

/* ---- erasing one ---- */

static void on_erased(void *ctx, const struct fetch_reply *got)
{
    struct consult *consult = ctx;
    struct consult_reply reply = { .result = RESULT_OK };

    if (answered(consult, got))
        end(consult, &reply);
}

static bool is_ours(const struct consult *consult, const char *user)
{
    struct store_subject self = { &consult->owner, NULL };
    char *own = store_subject_known(&self) ? mem0_user(&consult->owner, NULL) : NULL;
    bool ours = own != NULL && strcmp(own, user) == 0;

    free(own);
    if (ours || !text_starts_with(user, MEM0_USER))
        return ours;
    user += strlen(MEM0_USER);
    ours = consult->owner.any;
    for (size_t i = 0; i < consult->users->count && !ours; i++)
        ours = strcmp(consult->users->list[i], user) == 0;
    return ours;
}

static bool ask(struct consult *consult, struct mem0_request *request,
                void (*done)(void *ctx, const struct fetch_reply *reply))
{
    request->fetch.timeout_ms = CONSULT_MS;
    consult->fetch =
        fetch_start(consult->task.memory->options.relay, &request->fetch, done, consult);
    mem0_request_free(request);
    return consult->fetch != NULL;
}

static void on_looked_at(void *ctx, const struct fetch_reply *got)
{
    struct consult *consult = ctx;
    struct mem0_request request;
    char *user;
    bool ours;

    if (!answered(consult, got))
        return;
    user = mem0_decode_user(got->body, got->len);
    ours = user != NULL && is_ours(consult, user);
    free(user);
    if (!ours)
        unknown(consult);
    else if (!mem0_encode_one(consult->task.memory->options.config, "DELETE", consult->erase,
                              &request) ||
             !ask(consult, &request, on_erased))
        unavailable(consult);
}

/* ---- what others call ---- */

bool consult_id_valid(const char *id)
{
    return mem0_id_valid(id);
}

static bool encode(const struct config *config, const struct consult_order *order,
                   struct mem0_request *request)
{
    char *user;
    bool made;

    if (order->erase != NULL)
        return mem0_encode_one(config, "GET", order->erase, request);
    user = mem0_user(order->subject.owner, order->subject.user_id);
    made =
        user != NULL && (order->query != NULL
                             ? mem0_encode_search(config, user, order->query, order->limit, request)
                             : mem0_encode_list(config, user, order->limit, request));
    free(user);
    return made;
}

struct consult *consult_start(struct memory *memory, const struct consult_order *order,
                              void (*done)(void *ctx, const struct consult_reply *reply), void *ctx)
{
    struct consult *consult = calloc(1, sizeof *consult);
    struct mem0_request request;

    if (consult == NULL)
        return NULL;
    consult->owner = *order->subject.owner;
    consult->users = order->users;
    consult->limit = order->limit;
    consult->done = done;
    consult->ctx = ctx;
    consult->task.drop = consult_drop;
    text_copy(consult->erase, sizeof consult->erase, order->erase != NULL ? order->erase : "");
    memory_task_add(memory, &consult->task);
    if (encode(memory->options.config, order, &request) &&
        ask(consult, &request, order->erase != NULL ? on_looked_at : on_list))
        return consult;
    consult_free(consult);
    return NULL;
}
