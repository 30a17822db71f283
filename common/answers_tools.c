/*
 * answers_tools: the function loop of an ordinary chat turn. A model that was offered the tools of TOOLS may end
 * its answer with a call instead of words; then the tool runs here, the call is stored and shown, and the model is
 * asked again with what came of it, at most TOOL_ROUNDS times. After that it is asked once more, for words only.
 *
 *   answer_settled: a call --timer--> tool --done--> stored (request thread) --> the next round
 *
 * One ANSWER_TIMEOUT_MS covers all of it. The provider stays the same, because what was said and called cannot be taken
 * back. Stopping the answer cancels whatever is under way. Loop thread.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/answers_private.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/chat/window.h"
#include "common/store/store_items.h"

#define ID_SIZE 10 /* nine letters and digits: the strictest of the providers wants just that */

struct tool_loop {
    char *name; /* of the call that the model wants, or that runs; NULL = none */
    char *arguments;
    struct answer_call *call;
    struct tool_run *run;
    int64_t calls;
    int64_t called_ms;
    struct stream_usage spent; /* by the rounds that are over */
};

/* ---- memory ---- */

static void forget_call(struct tool_loop *loop)
{
    free(loop->name);
    free(loop->arguments);
    loop->name = loop->arguments = NULL;
}

void tool_loop_cancel(struct answer *answer)
{
    if (answer->loop == NULL)
        return;
    tool_cancel(answer->loop->run);
    answer->loop->run = NULL;
}

void tool_loop_free(struct answer *answer)
{
    if (answer->loop != NULL)
        forget_call(answer->loop);
    free(answer->loop);
    answer->loop = NULL;
}

static void fail(struct answer *answer, enum result result, const char *code, const char *text)
{
    struct fault fault;

    fault_set(&fault, result, code, NULL, "%s", text);
    answer_end(answer, TURN_FAILED, FINISH_ERROR, &fault);
}

static void fail_memory(struct answer *answer)
{
    fail(answer, RESULT_INTERNAL, "internal_error",
         "Something went wrong on our side. Please try again.");
}

static bool too_late(struct answer *answer)
{
    if (failover_left_ms(answer) > 0)
        return false;
    fail(answer, RESULT_UPSTREAM_SLOW, "provider_timeout", "The answer took too long.");
    return true;
}

/* ---- what the decoder says ---- */

void tool_loop_called(struct answer *answer, const struct stream_event *event)
{
    struct tool_loop *loop = answer->loop;

    if (answer->start == NULL || answer->start->tool_count == 0)
        return;
    if (loop == NULL)
        loop = answer->loop = calloc(1, sizeof *loop);
    if (loop == NULL || loop->name != NULL)
        return;
    loop->name = strdup(event->tool);
    loop->arguments = strndup(event->text, event->text_len);
}

void tool_loop_spent(const struct answer *answer, const struct stream_usage *round,
                     struct stream_usage *out)
{
    struct stream_usage sum = *round;

    if (answer->loop != NULL) {
        const struct stream_usage *spent = &answer->loop->spent;

        sum.prompt_tokens += spent->prompt_tokens;
        sum.completion_tokens += spent->completion_tokens;
        sum.total_tokens += spent->total_tokens;
        sum.cached_tokens += spent->cached_tokens;
        sum.reasoning_tokens += spent->reasoning_tokens;
        sum.estimated = sum.estimated || spent->estimated;
    }
    *out = sum;
}

/* What the model says after a call is a paragraph of its own. */
bool tool_loop_grow(struct answer *answer, const char *text, size_t len)
{
    struct buf *said = &answer->text;

    if (answer->loop != NULL && said->len > 0 && said->len == answer->round_from &&
        said->data[said->len - 1] != '\n') {
        if (!answer_grow(answer, "\n\n", 2))
            return false;
        answer->round_from = said->len;
    }
    return answer_grow(answer, text, len);
}

/* ---- the next round ---- */

/* Add a message to what the model is told. False when out of memory. */
static bool tell(struct answer_start *start, enum chat_role role, const char *text, size_t len,
                 struct chat_use use)
{
    struct store_turn_begun *begun = &start->begun;
    size_t count = begun->history_len;
    struct chat_message *messages = realloc(begun->history, (count + 1) * sizeof *messages);
    struct chat_use *uses = realloc(start->uses, (count + 1) * sizeof *uses);
    struct chat_images *images = NULL;

    if (messages != NULL)
        begun->history = messages;
    if (uses != NULL && start->uses == NULL)
        memset(uses, 0, (count + 1) * sizeof *uses);
    if (uses != NULL)
        start->uses = uses;
    if (begun->images != NULL) {
        images = realloc(begun->images, (count + 1) * sizeof *images);
        if (images == NULL)
            return false;
        images[count] = (struct chat_images){ .list = NULL };
        begun->images = images;
    }
    if (messages == NULL || uses == NULL)
        return false;
    messages[count] = (struct chat_message){ role, strndup(text, len), len };
    uses[count] = (struct chat_use){ .kind = use.kind };
    if (use.kind != CHAT_USE_NONE) {
        uses[count].id = strdup(use.id);
        uses[count].name = strdup(use.name);
    }
    if (messages[count].content == NULL)
        return false;
    begun->history_len++;
    return use.kind == CHAT_USE_NONE || (uses[count].id != NULL && uses[count].name != NULL);
}

/* What was said, what was called, and what came of it. */
static bool tell_call(struct answer *answer, const struct tool_reply *reply)
{
    const struct tool_loop *loop = answer->loop;
    struct answer_start *start = answer->start;
    char id[ID_SIZE];
    struct chat_use call = { CHAT_USE_CALL, id, loop->name };
    struct chat_use outcome = { CHAT_USE_RESULT, id, loop->name };
    const char *said = buf_str(&answer->text) + answer->round_from;
    size_t said_len = answer->text.len - answer->round_from;

    snprintf(id, sizeof id, "call%05u", (unsigned)(loop->calls % 100000));
    answer->prompt_estimate += window_estimate(said, said_len) +
                               window_estimate(loop->arguments, strlen(loop->arguments)) +
                               window_estimate(reply->json, reply->len);
    answer->round_from = answer->text.len;
    return (said_len == 0 ||
            tell(start, CHAT_ASSISTANT, said, said_len, (struct chat_use){ .id = NULL })) &&
           tell(start, CHAT_ASSISTANT, loop->arguments, strlen(loop->arguments), call) &&
           tell(start, CHAT_USER, reply->json, reply->len, outcome);
}

static void next_round(struct answer *answer)
{
    struct answer_start *start = answer->start;
    const struct provider *provider = answer->provider;
    int64_t left = failover_left_ms(answer);
    struct provider_call call;
    struct fault fault;

    if (too_late(answer))
        return;
    answer->usage = (struct stream_usage){ .known = false };
    answer->finish = FINISH_NONE;
    answer->provider_ended = false;
    answer->http_status = 0;
    buf_clear(&answer->error_body);
    start->no_calls = answer->loop->calls >= answer->answers->options.config->tool_rounds;
    provider_request_free(&start->encoded);
    provider_request_init(&start->encoded);
    answer_start_call(start, provider, answer->model, &call);
    if (provider->ops->encode != NULL &&
        provider->ops->encode(&call, &start->encoded, &fault) != RESULT_OK) {
        answer_end(answer, TURN_FAILED, FINISH_ERROR, &fault);
        return;
    }
    upstream_begin(answer, provider->total_timeout_ms > 0 && provider->total_timeout_ms < left
                               ? provider->total_timeout_ms
                               : left);
}

/* ---- storing a call ---- */

struct call_job {
    uv_work_t work;
    struct answers *answers;
    char message_id[CAP_ID];
    size_t index;
    char *json;
};

static void call_run(uv_work_t *work)
{
    struct call_job *job = work->data;
    struct store_item item = { NULL, job->json, strlen(job->json) };

    store_items_add(job->answers->options.store, job->message_id, false, NULL, &item, 1);
}

/* A store that is out of order is no reason to fail: it has logged that, and the history will lack the call. */
static void call_done(uv_work_t *work, int status)
{
    struct call_job *job = work->data;
    struct answer *answer = answers_find(job->answers, job->message_id);
    struct answer_call *call = answer != NULL ? answer->calls : NULL;

    (void)status;
    job->answers->jobs--;
    while (call != NULL && call->index != job->index)
        call = call->next;
    if (call != NULL && !call->done) {
        free(call->json);
        call->json = job->json;
        call->done = true;
        job->json = NULL;
        if (answer->phase == ANSWER_RUNNING)
            next_round(answer);
        answer_notify(answer);
    }
    free(job->json);
    free(job);
}

static void store_call(struct answer *answer, char *json)
{
    struct call_job *job = json != NULL ? calloc(1, sizeof *job) : NULL;

    if (job == NULL) {
        free(json);
        fail_memory(answer);
        return;
    }
    job->work.data = job;
    job->answers = answer->answers;
    job->json = json;
    job->index = answer->loop->call->index;
    memcpy(job->message_id, answer->message_id, CAP_ID);
    job->answers->jobs++;
    uv_queue_work(job->answers->loop, &job->work, call_run, call_done);
}

/* ---- a call ---- */

static char *call_json(const struct answer *answer, size_t index, size_t at,
                       const struct tool_reply *reply)
{
    struct answer_call_facts facts = {
        .index = index, .at = at, .name = answer->loop->name, .arguments = answer->loop->arguments
    };

    return calls_json(&facts, reply);
}

static void on_tool(void *ctx, const struct tool_reply *reply)
{
    struct answer *answer = ctx;
    struct tool_loop *loop = answer->loop;
    char *json = call_json(answer, loop->call->index, loop->call->at, reply);

    loop->run = NULL;
    log_info("tool_call", LOG_STR("request_id", answer->request_id),
             LOG_STR("message_id", answer->message_id), LOG_STR("tool", loop->name),
             LOG_INT("status", reply->status),
             LOG_INT("total_ms", clock_mono_ms() - loop->called_ms));
    if (tell_call(answer, reply)) {
        forget_call(loop);
        store_call(answer, json);
    } else {
        free(json);
        fail_memory(answer);
    }
}

/* A name that the model made up is answered, so that it can do better. */
static void run_tool(struct answer *answer)
{
    static const char none[] = "{\"error\":\"There is no such tool.\"}";
    static const struct tool_reply unknown = { 404, none, sizeof none - 1 };
    const struct answers_options *options = &answer->answers->options;
    struct tool_loop *loop = answer->loop;
    const struct tool *tool = offer_find(options->config, loop->name);
    struct json_object *args = NULL;
    struct tool_run *run;

    if (tool == NULL) {
        on_tool(answer, &unknown);
        return;
    }
    json_parse(loop->arguments, strlen(loop->arguments), &args, NULL);
    run = tool_start(options->tools, tool, args, on_tool, answer);
    if (run != NULL)
        loop->run = run;
    json_object_put(args);
}

static void begin_call(struct answer *answer)
{
    struct tool_loop *loop = answer->loop;
    size_t index = (size_t)loop->calls++;

    loop->called_ms = clock_mono_ms();
    loop->call =
        calls_add(answer, call_json(answer, index, answer->text.len, NULL), answer->text.len);
    if (loop->call == NULL)
        fail_memory(answer);
    else
        run_tool(answer);
    answer_notify(answer);
}

bool tool_loop_goes_on(struct answer *answer)
{
    struct tool_loop *loop = answer->loop;

    if (loop == NULL || loop->name == NULL || loop->arguments == NULL ||
        (answer->finish != FINISH_TOOL_CALLS && answer->finish != FINISH_STOP))
        return false;
    if (answer->start->no_calls) { /* it was told not to */
        forget_call(loop);
        return false;
    }
    account_usage(answer);
    loop->spent = answer->usage;
    answer->committed = true;
    answer->cache_key[0] = '\0'; /* what a tool says is of today */
    upstream_close(answer);
    /* Not at once: a call of the relay is on the stack. */
    if (!upstream_later(answer, 0, begin_call))
        fail_memory(answer);
    return true;
}

void tool_loop_tick(struct answer *answer)
{
    if (answer->loop != NULL && answer->loop->run != NULL)
        too_late(answer);
}
