/*
 * forget: erasing what Mem0 remembers about somebody, in the background; the store's own facts go with the store's verbs.
 * A service that is away is logged: then it has to be erased there by hand.
 *
 * Loop thread; a command has a loop of its own for it.
 */
#include <stdlib.h>
#include <string.h>

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

static void not_forgotten(struct memory *memory, int status, const char *end)
{
    memory->not_forgotten = true;
    log_error("not_forgotten", LOG_STR("peer", "mem0"), LOG_INT("status", status),
              LOG_STR("end", end));
}

static void forgetting_drop(struct memory_task *task)
{
    struct forgetting *forgetting = (struct forgetting *)task;

    not_forgotten(task->memory, 0, "given up");
    fetch_cancel(forgetting->fetch);
    forgetting_free(forgetting);
}

static void on_reply(void *ctx, const struct fetch_reply *reply)
{
    struct forgetting *forgetting = ctx;

    if (!memory_peer_replied(&forgetting->task.memory->mem0, reply))
        not_forgotten(forgetting->task.memory, reply->status, relay_end_name(reply->end));
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
    if (forgetting->fetch == NULL) {
        not_forgotten(memory, 0, "not sent");
        forgetting_free(forgetting);
    }
    free(user);
    return;
fail:
    not_forgotten(memory, 0, "out of memory");
    free(forgetting);
    free(user);
}

bool memory_forget_now(const struct config *config, const struct owner *owner,
                       const struct store_users *users)
{
    struct relay_options wire = { .ca_file = config->ca_file,
                                  .max_idle = 1,
                                  .https_proxy = config->https_proxy,
                                  .no_proxy = config->no_proxy };
    struct memory_options options = { .config = config };
    struct store_subject subject = { owner, NULL };
    struct memory *memory = NULL;
    bool forgotten = false;
    uv_loop_t loop;

    if (strcmp(config->memory, "mem0") != 0)
        return true;
    if (uv_loop_init(&loop) != 0)
        return false;
    if (relay_open(&loop, &wire, &options.relay) == RESULT_OK &&
        memory_open(&loop, &options, &memory) == RESULT_OK) {
        memory_forget(memory, &subject);
        for (size_t i = 0; i < users->count; i++) {
            subject.user_id = users->list[i];
            memory_forget(memory, &subject);
        }
        while (!memory_idle(memory))
            uv_run(&loop, UV_RUN_ONCE);
        forgotten = !memory->not_forgotten;
    }
    memory_close(memory);
    relay_close(options.relay);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return forgotten;
}
