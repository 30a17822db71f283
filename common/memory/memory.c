/*
 * memory: see memory.h. This file is the part before a turn: the store is asked on a request thread; where vectors or
 * Mem0 are wanted, the loop asks for them first, with one deadline for both.
 *
 * Neighbours: ground.c makes JSON, embed.c and mem0.c make requests, learn.c is the part after a turn.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/memory/embed.h"
#include "common/memory/ground.h"
#include "common/memory/memory_private.h"

enum result memory_open(struct uv_loop_s *loop, const struct memory_options *options,
                        struct memory **out)
{
    struct memory *memory = calloc(1, sizeof *memory);

    *out = memory;
    if (memory == NULL)
        return RESULT_INTERNAL;
    memory->loop = loop;
    memory->options = *options;
    memory->embeddings.name = "embeddings";
    memory->mem0.name = "mem0";
    memory->extractor.name = "memory_extract";
    return RESULT_OK;
}

void memory_close(struct memory *memory)
{
    if (memory == NULL)
        return;
    while (memory->tasks != NULL)
        memory->tasks->drop(memory->tasks);
    free(memory);
}

bool memory_idle(const struct memory *memory)
{
    return memory == NULL || memory->busy == 0;
}

void memory_task_add(struct memory *memory, struct memory_task *task)
{
    task->memory = memory;
    task->prev = NULL;
    task->next = memory->tasks;
    if (memory->tasks != NULL)
        memory->tasks->prev = task;
    memory->tasks = task;
    memory->busy++;
}

void memory_task_remove(struct memory_task *task)
{
    if (task->prev != NULL)
        task->prev->next = task->next;
    else
        task->memory->tasks = task->next;
    if (task->next != NULL)
        task->next->prev = task->prev;
    task->memory->busy--;
}

bool memory_is(const struct memory *memory, const char *kind)
{
    const char *configured = memory->options.config->memory;

    return configured != NULL && strcmp(configured, kind) == 0;
}

bool memory_is_elsewhere(const struct memory *memory)
{
    return memory != NULL && memory_is(memory, "mem0");
}

bool memory_peer_replied(struct memory_peer *peer, const struct fetch_reply *reply)
{
    bool good = reply->end == RELAY_COMPLETE && reply->status >= 200 && reply->status < 300;

    if (!good && !peer->troubled)
        log_warn("recall_trouble", LOG_STR("peer", peer->name), LOG_INT("status", reply->status),
                 LOG_STR("end", relay_end_name(reply->end)), LOG_STR("detail", reply->detail));
    if (good && peer->troubled)
        log_info("recall_recovered", LOG_STR("peer", peer->name));
    peer->troubled = !good;
    return good;
}

/* ---- from the store ---- */

/* What others said of the question. */
struct hints {
    struct store_vector vector; /* values NULL = none */
    char *mem0_facts;           /* owned, or NULL */
};

bool memory_knows(const struct memory_question *question)
{
    struct store_subject subject = { &question->owner, question->user_id };

    return !question->anonymous && store_subject_known(&subject);
}

static bool wants_facts(const struct memory *memory, const struct memory_question *question)
{
    return memory->options.config->memory_tokens > 0 && memory_knows(question);
}

static bool wants_passages(const struct memory *memory)
{
    return memory->options.config->knowledge || memory->options.config->knowledge_fallback;
}

static void log_failure(const char *what, const struct fault *fault)
{
    log_warn("recall_failed", LOG_STR("what", what), LOG_STR("code", fault->code));
}

static void ground_in_facts(const struct memory *memory, const struct memory_question *question,
                            const struct hints *hints, struct turn_ground *out)
{
    const struct config *config = memory->options.config;
    struct store_subject subject = { &question->owner, question->user_id };
    struct store_fact_search search = {
        .query = question->text,
        .vector = hints->vector.values != NULL ? &hints->vector : NULL,
        .also = STORE_ALSO_IMPORTANT,
        .now_ms = clock_wall_ms(),
        .limit = MEMORY_FACTS,
    };
    const char *texts[MEMORY_FACTS];
    struct store_fact_list facts;
    struct fault fault = { 0 };

    if (store_fact_search(memory->options.store, &subject, &search, &facts, &fault) != RESULT_OK) {
        log_failure("facts", &fault);
        return;
    }
    for (size_t i = 0; i < facts.count; i++)
        texts[i] = facts.list[i].text;
    out->facts_json = ground_facts(texts, facts.count, config->memory_tokens);
    store_fact_list_free(&facts);
}

static void ground_in_passages(const struct memory *memory, const struct memory_question *question,
                               const struct hints *hints, struct turn_ground *out)
{
    const struct config *config = memory->options.config;
    struct store_passage_search search = {
        .query = question->text,
        .vector = hints->vector.values != NULL ? &hints->vector : NULL,
        .limit = (size_t)config->knowledge_passages,
    };
    struct store_passages passages;
    struct fault fault = { 0 };

    if (store_passage_search(memory->options.store, &search, &passages, &fault) != RESULT_OK) {
        log_failure("passages", &fault);
        return;
    }
    ground_filter(&passages, config->knowledge_threshold);
    ground_passages(&passages, config->knowledge_tokens,
                    config->knowledge_fallback ? config->knowledge_fallback_message : NULL, out);
    store_passages_free(&passages);
    if (!config->knowledge) {
        free(out->passages_json);
        free(out->sources_json);
        out->passages_json = out->sources_json = NULL;
    }
}

static void ground(const struct memory *memory, const struct memory_question *question,
                   struct hints *hints, struct turn_ground *out)
{
    if (memory_is(memory, "local") && wants_facts(memory, question)) {
        ground_in_facts(memory, question, hints, out);
    } else if (memory_is(memory, "mem0")) {
        out->facts_json = hints->mem0_facts;
        hints->mem0_facts = NULL;
    }
    if (wants_passages(memory))
        ground_in_passages(memory, question, hints, out);
}

void memory_ground(struct memory *memory, const struct memory_question *question,
                   struct turn_ground *out)
{
    struct hints none = { .mem0_facts = NULL };

    if (memory != NULL)
        ground(memory, question, &none, out);
}

/* ---- from others ---- */

static bool asks_mem0(const struct memory *memory, const struct memory_question *question)
{
    return memory_is(memory, "mem0") && wants_facts(memory, question);
}

static const struct provider *asks_embedding(const struct memory *memory,
                                             const struct memory_question *question)
{
    bool wanted =
        wants_passages(memory) || (memory_is(memory, "local") && wants_facts(memory, question));

    return wanted ? embed_provider(memory->options.config, memory->options.providers) : NULL;
}

bool memory_asks(const struct memory *memory, const struct memory_question *question)
{
    return memory != NULL &&
           (asks_mem0(memory, question) || asks_embedding(memory, question) != NULL);
}

struct ask {
    struct memory_task task; /* first */
    const struct memory_question *question;
    void (*work)(void *ctx, struct turn_ground *ground);
    void (*done)(void *ctx);
    void *ctx;
    struct fetch *embedding, *mem0;
    struct hints hints;
    float *values;
    uv_work_t job;
};

static void ask_free(struct ask *ask)
{
    memory_task_remove(&ask->task);
    free(ask->values);
    free(ask->hints.mem0_facts);
    free(ask);
}

static void ask_drop(struct memory_task *task)
{
    struct ask *ask = (struct ask *)task;

    if (ask->embedding != NULL)
        fetch_cancel(ask->embedding);
    if (ask->mem0 != NULL)
        fetch_cancel(ask->mem0);
    ask_free(ask);
}

static void on_work(uv_work_t *job)
{
    struct ask *ask = job->data;
    struct turn_ground found = { 0 };

    ground(ask->task.memory, ask->question, &ask->hints, &found);
    ask->work(ask->ctx, &found);
    turn_ground_free(&found);
}

static void on_worked(uv_work_t *job, int status)
{
    struct ask *ask = job->data;
    void (*done)(void *ctx) = ask->done;
    void *ctx = ask->ctx;

    (void)status;
    ask_free(ask);
    done(ctx);
}

/* All that was asked has answered, or failed. */
static void ask_settle(struct ask *ask)
{
    if (ask->embedding != NULL || ask->mem0 != NULL)
        return;
    ask->job.data = ask;
    uv_queue_work(ask->task.memory->loop, &ask->job, on_work, on_worked);
}

static void on_embedding(void *ctx, const struct fetch_reply *reply)
{
    struct ask *ask = ctx;
    size_t size = 0;

    ask->embedding = NULL;
    if (memory_peer_replied(&ask->task.memory->embeddings, reply))
        ask->values = embed_decode(reply->body, reply->len, 1, &size);
    if (ask->values != NULL)
        ask->hints.vector =
            (struct store_vector){ ask->task.memory->options.config->embedding_model, ask->values,
                                   size };
    ask_settle(ask);
}

static void on_mem0(void *ctx, const struct fetch_reply *reply)
{
    struct ask *ask = ctx;

    ask->mem0 = NULL;
    if (memory_peer_replied(&ask->task.memory->mem0, reply))
        ask->hints.mem0_facts = mem0_decode_search(reply->body, reply->len,
                                                   ask->task.memory->options.config->memory_tokens);
    ask_settle(ask);
}

static void start_embedding(struct ask *ask, const struct provider *provider)
{
    const struct config *config = ask->task.memory->options.config;
    struct embed_request request;

    if (!embed_encode(provider, config->embedding_model, &ask->question->text, 1, &request))
        return;
    request.fetch.timeout_ms = config->recall_timeout_ms;
    ask->embedding =
        fetch_start(ask->task.memory->options.relay, &request.fetch, on_embedding, ask);
    embed_request_free(&request);
}

static void start_mem0(struct ask *ask)
{
    const struct config *config = ask->task.memory->options.config;
    char *user = mem0_user(&ask->question->owner, ask->question->user_id);
    struct mem0_request request;

    if (user != NULL &&
        mem0_encode_search(config, user, ask->question->text, MEMORY_FACTS, &request)) {
        request.fetch.timeout_ms = config->recall_timeout_ms;
        ask->mem0 = fetch_start(ask->task.memory->options.relay, &request.fetch, on_mem0, ask);
        mem0_request_free(&request);
    }
    free(user);
}

bool memory_ask(struct memory *memory, const struct memory_question *question,
                void (*work)(void *ctx, struct turn_ground *ground), void (*done)(void *ctx),
                void *ctx)
{
    struct ask *ask = calloc(1, sizeof *ask);
    const struct provider *provider = asks_embedding(memory, question);

    if (ask == NULL)
        return false;
    ask->question = question;
    ask->work = work;
    ask->done = done;
    ask->ctx = ctx;
    ask->task.drop = ask_drop;
    memory_task_add(memory, &ask->task);
    if (provider != NULL)
        start_embedding(ask, provider);
    if (asks_mem0(memory, question))
        start_mem0(ask);
    ask_settle(ask);
    return true;
}
