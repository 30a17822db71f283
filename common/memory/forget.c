/*
 * forget: erasing what Mem0 remembers about somebody, in the background; the store's own facts go with the store's verbs.
 * A service that is away is logged: then it has to be erased there by hand.
 *
 * Loop thread.
 */
#include <stdlib.h>

#include "common/base/log.h"
#include "common/memory/memory_private.h"

struct forgetting {
    struct memory_task task; /* first */
    struct fetch *fetch;
};

static void forgetting_free(struct forgetting *forgetting)
{
    memory_task_remove(&forgetting->task);
    free(forgetting);
}

static void forgetting_drop(struct memory_task *task)
{
    struct forgetting *forgetting = (struct forgetting *)task;

    log_error("not_forgotten", LOG_STR("peer", "mem0"), LOG_STR("end", "given up"));
    fetch_cancel(forgetting->fetch);
    forgetting_free(forgetting);
}

static void on_reply(void *ctx, const struct fetch_reply *reply)
{
    struct forgetting *forgetting = ctx;

    if (!memory_peer_replied(&forgetting->task.memory->mem0, reply))
        log_error("not_forgotten", LOG_STR("peer", "mem0"), LOG_INT("status", reply->status),
                  LOG_STR("end", relay_end_name(reply->end)));
    forgetting_free(forgetting);
}

void memory_forget(struct memory *memory, const struct store_subject *subject)
{
    struct forgetting *forgetting;
    struct mem0_request request;
    char *user;

    if (memory == NULL || !memory_is(memory, "mem0") || !store_subject_known(subject))
        return;
    forgetting = calloc(1, sizeof *forgetting);
    user = mem0_user(subject->owner, subject->user_id);
    if (forgetting == NULL || user == NULL)
        goto fail;
    if (!mem0_encode_forget(memory->options.config, user, &request))
        goto fail;
    request.fetch.timeout_ms = MEMORY_LEARN_MS;
    forgetting->task.drop = forgetting_drop;
    memory_task_add(memory, &forgetting->task);
    forgetting->fetch = fetch_start(memory->options.relay, &request.fetch, on_reply, forgetting);
    mem0_request_free(&request);
    if (forgetting->fetch == NULL)
        forgetting_free(forgetting);
    free(user);
    return;
fail:
    log_error("not_forgotten", LOG_STR("peer", "mem0"), LOG_STR("end", "out of memory"));
    free(forgetting);
    free(user);
}
