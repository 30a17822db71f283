/*
 * answers: see answers.h. This file keeps the registry, the readers and the life of an answer:
 *
 *   RUNNING --provider ended, failed, stop--> ENDING --final commit--> ENDED --last reader left--> freed
 *   FOLLOWED --the store says it ended-----------------------------> ENDED
 *
 * Neighbours: answers_upstream.c (provider side), answers_persist.c (store side).
 */
#include <stdlib.h>
#include <string.h>

#include "common/answers_private.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/text.h"

/* ---- registry ---- */

static struct answer **bucket_of(struct answers *answers, const char *message_id)
{
    unsigned hash = 5381;

    for (const char *c = message_id; *c != '\0'; c++)
        hash = hash * 33 + (unsigned char)*c;
    return &answers->buckets[hash % ANSWERS_BUCKETS];
}

static void registry_add(struct answer *answer)
{
    struct answers *answers = answer->answers;
    struct answer **bucket = bucket_of(answers, answer->message_id);

    answer->bucket_next = *bucket;
    *bucket = answer;
    answer->next = answers->list;
    if (answers->list != NULL)
        answers->list->prev = answer;
    answers->list = answer;
}

static void registry_remove(struct answer *answer)
{
    struct answers *answers = answer->answers;
    struct answer **link = bucket_of(answers, answer->message_id);

    while (*link != answer)
        link = &(*link)->bucket_next;
    *link = answer->bucket_next;
    if (answer->prev != NULL)
        answer->prev->next = answer->next;
    else
        answers->list = answer->next;
    if (answer->next != NULL)
        answer->next->prev = answer->prev;
}

struct answer *answers_find(struct answers *answers, const char *message_id)
{
    struct answer *answer = *bucket_of(answers, message_id);

    while (answer != NULL && strcmp(answer->message_id, message_id) != 0)
        answer = answer->bucket_next;
    return answer;
}

size_t answers_count(const struct answers *answers)
{
    return answers->running;
}

bool answers_full(const struct answers *answers)
{
    return answers->running >= (size_t)answers->options.config->max_streams;
}

bool answers_idle(const struct answers *answers)
{
    return answers->running == 0 && answers->unsaved == 0 && answers->jobs == 0;
}

static void answer_free(struct answer *answer)
{
    upstream_close(answer);
    if (answer->start != NULL)
        answer_start_free(answer->start);
    free(answer->start);
    failover_free(answer);
    tool_loop_free(answer);
    calls_free(answer);
    buf_free(&answer->text);
    buf_free(&answer->reasoning);
    buf_free(&answer->error_body);
    free(answer->user_id);
    free(answer->model);
    free(answer->provider_fault);
    free(answer->log_detail);
    free(answer->fault);
    ground_free(answer);
    free(answer);
}

void answer_release(struct answer *answer)
{
    struct answers *answers = answer->answers;

    if (answer->readers != NULL || answer->notifying || answer->unsaved_since_ms != 0)
        return;
    if (answer->phase == ANSWER_FOLLOWED) {
        answers->followed--;
    } else if (answer->phase != ANSWER_ENDED) {
        return;
    }
    registry_remove(answer);
    answer_free(answer);
}

/* ---- time ---- */

static bool retry_due(struct answer *answer, int64_t now)
{
    if (answer->unsaved_since_ms == 0 || answer->retry_at_ms == 0 || now < answer->retry_at_ms)
        return false;
    answer->retry_at_ms = 0; /* a try is under way */
    return true;
}

static void on_tick(uv_timer_t *timer)
{
    struct answers *answers = timer->data;
    struct answer *answer, *next;
    int64_t now = clock_mono_ms();

    for (answer = answers->list; answer != NULL; answer = next) {
        next = answer->next;
        alone_check(answer);
        if (retry_due(answer, now)) {
            persist_end(answer);
        } else {
            tool_loop_tick(answer);
            answer_notify(answer);
        }
    }
    persist_checkpoint(answers);
    persist_stops(answers);
    if (answers->list == NULL)
        uv_timer_stop(timer);
}

static void on_follow(uv_timer_t *timer)
{
    struct answers *answers = timer->data;

    if (answers->followed == 0)
        uv_timer_stop(timer);
    else
        persist_follow(answers);
}

static void on_expire(uv_timer_t *timer)
{
    persist_expire(timer->data);
}

static void ensure_ticking(struct answers *answers)
{
    if (!uv_is_active((uv_handle_t *)&answers->tick))
        uv_timer_start(&answers->tick, on_tick, ANSWERS_TICK_MS, ANSWERS_TICK_MS);
    if (answers->followed > 0 && !uv_is_active((uv_handle_t *)&answers->follow))
        uv_timer_start(&answers->follow, on_follow, ANSWERS_FOLLOW_MS, ANSWERS_FOLLOW_MS);
}

enum result answers_open(uv_loop_t *loop, const struct answers_options *options,
                         struct answers **out)
{
    struct answers *answers = calloc(1, sizeof *answers);

    if (answers == NULL)
        return RESULT_INTERNAL;
    answers->loop = loop;
    answers->options = *options;
    uv_timer_init(loop, &answers->tick);
    uv_timer_init(loop, &answers->follow);
    uv_timer_init(loop, &answers->expire);
    answers->tick.data = answers->follow.data = answers->expire.data = answers;
    uv_timer_start(&answers->expire, on_expire, 0, ANSWERS_EXPIRE_MS);
    *out = answers;
    return RESULT_OK;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct answers *answers = handle->data;

    if (--answers->open_timers == 0)
        free(answers);
}

void answers_abandon(struct answers *answers)
{
    int64_t now = clock_mono_ms();

    for (struct answer *answer = answers->list; answer != NULL; answer = answer->next)
        if (answer->unsaved_since_ms != 0)
            account_unsaved(answer, false, now - answer->unsaved_since_ms);
        else if (answer->phase == ANSWER_ENDING)
            account_unsaved(answer, false, 0);
}

void answers_close(struct answers *answers)
{
    if (answers == NULL)
        return;
    answers_abandon(answers);
    while (answers->list != NULL) {
        struct answer *answer = answers->list;

        registry_remove(answer);
        answer_free(answer);
    }
    answers->open_timers = 3;
    uv_close((uv_handle_t *)&answers->tick, on_timer_closed);
    uv_close((uv_handle_t *)&answers->follow, on_timer_closed);
    uv_close((uv_handle_t *)&answers->expire, on_timer_closed);
}

/* ---- starting ---- */

static struct answer *answer_new(struct answers *answers, const char *message_id,
                                 const char *conversation_id)
{
    struct answer *answer = calloc(1, sizeof *answer);

    if (answer == NULL)
        return NULL;
    answer->answers = answers;
    text_copy(answer->message_id, sizeof answer->message_id, message_id);
    text_copy(answer->conversation_id, sizeof answer->conversation_id, conversation_id);
    buf_init(&answer->text, CAP_ANSWER);
    buf_init(&answer->reasoning, ANSWERS_THOUGHTS);
    buf_init(&answer->error_body, CAP_UPSTREAM_ERROR);
    answer->started_ms = answer->lease_renewed_ms = clock_mono_ms();
    return answer;
}

/* A repeated send may have come to the loop before the first: then it follows through the store what is
 * only now going to be written here. The last reader that moves takes that answer with it. */
static void take_readers(struct answer *answer)
{
    struct answer *followed = answers_find(answer->answers, answer->message_id);
    struct answer_reader *reader = followed != NULL ? followed->readers : NULL;

    while (reader != NULL) {
        struct answer_reader *next = reader->next;

        answer_detach(reader);
        answer_attach(answer, reader);
        reader = next;
    }
}

/* The answer was given before: it costs no tokens and no waiting. */
static void give_cached(struct answer *answer, const struct store_cached *cached)
{
    char *model = strdup(cached->model);

    if (model != NULL) {
        free(answer->model);
        answer->model = model;
    }
    answer->cached = true;
    answer->cache_key[0] = '\0';
    answer->usage = (struct stream_usage){ .known = true };
    answer_grow(answer, cached->text, cached->text_len);
    answer_end(answer, TURN_COMPLETE, FINISH_STOP, NULL);
}

struct answer *answers_start(struct answers *answers, struct answer_start *start)
{
    struct answer *answer =
        answer_new(answers, start->begun.message_id, start->begun.conversation_id);
    struct answer_start *kept = malloc(sizeof *kept);
    char *model = strdup(start->model);

    if (answer == NULL || kept == NULL || model == NULL) {
        free(answer);
        free(kept);
        free(model);
        answer_start_free(start);
        return NULL;
    }
    *kept = *start;
    memset(start, 0, sizeof *start);
    answer->start = kept;
    answer->provider = kept->provider;
    answer->row = kept->begun.message_row;
    answer->prompt_estimate = kept->prompt_estimate;
    answer->model = model; /* start keeps its own: a failover asks for it again */
    answer->user_id = kept->user_id;
    kept->user_id = NULL;
    ground_take(answer, kept);
    text_copy(answer->request_id, sizeof answer->request_id, kept->request_id);
    answer->alone_since_ms = answer->started_ms;
    answer->unattended = kept->unattended;
    answer->wants_reasoning = kept->wants_reasoning;
    answers->running++;
    take_readers(answer);
    registry_add(answer);
    ensure_ticking(answers);
    text_copy(answer->cache_key, sizeof answer->cache_key, kept->cache_key);
    answer->notifying = true; /* it may end right here, but the caller must still get it */
    if (kept->cached.text != NULL)
        give_cached(answer, &kept->cached);
    else if (kept->quoted)
        ground_instead(answer);
    else
        failover_begin(answer);
    answer->notifying = false;
    return answer;
}

static bool take_snapshot(struct answer *answer, struct store_answer *snapshot)
{
    answer->model = strdup(snapshot->model);
    answer->user_id = snapshot->user_id;
    answer->sources_json = snapshot->sources;
    snapshot->user_id = snapshot->sources = NULL;
    answer->from_knowledge = strcmp(snapshot->provider, ANSWERS_KNOWLEDGE) == 0;
    answer->provider = providers_find(answer->answers->options.providers, snapshot->provider);
    answer->status = snapshot->status;
    answer->finish = snapshot->finish;
    answer->usage = snapshot->usage;
    answer->finished_ms = snapshot->updated_ms;
    calls_take(answer, snapshot->calls);
    return answer->model != NULL &&
           buf_put(&answer->text, snapshot->text != NULL ? snapshot->text : "", snapshot->text_len);
}

struct answer *answers_follow(struct answers *answers, const char *message_id,
                              struct store_answer *snapshot)
{
    struct answer *answer = answer_new(answers, message_id, snapshot->conversation_id);

    if (answer == NULL || !take_snapshot(answer, snapshot)) {
        if (answer != NULL)
            answer_free(answer);
        store_answer_free(snapshot);
        return NULL;
    }
    answer->phase = snapshot->status == TURN_STREAMING ? ANSWER_FOLLOWED : ANSWER_ENDED;
    if (answer->phase == ANSWER_FOLLOWED)
        answers->followed++;
    else
        answer_followed_end(answer, snapshot->error_code);
    store_answer_free(snapshot);
    registry_add(answer);
    if (answer->phase == ANSWER_FOLLOWED) {
        answers->sign_due_ms = 0; /* at once: a poll may be over before the next look at it */
        alone_sign(answers);
    }
    ensure_ticking(answers);
    return answer;
}

/* ---- growing and ending ---- */

void answer_notify(struct answer *answer)
{
    struct answer_reader *reader, *next;

    answer->notifying = true; /* readers that leave meanwhile must not free it under our feet */
    for (reader = answer->readers; reader != NULL; reader = next) {
        next = reader->next;
        reader->changed(reader);
    }
    answer->notifying = false;
    answer_release(answer);
}

bool answer_grow(struct answer *answer, const char *text, size_t len)
{
    if (!buf_put(&answer->text, text, len))
        return false;
    if (answer->first_delta_ms == 0)
        answer->first_delta_ms = clock_mono_ms();
    return true;
}

void answer_end(struct answer *answer, enum turn_status status, enum finish_reason finish,
                const struct fault *fault)
{
    if (answer->phase != ANSWER_RUNNING)
        return;
    answer->phase = ANSWER_ENDING;
    answer->status = status;
    answer->finish = finish;
    answer->finished_ms = clock_wall_ms();
    if (fault != NULL && (answer->fault = malloc(sizeof *fault)) != NULL)
        *answer->fault = *fault;
    account_usage(answer);
    upstream_close(answer);
    persist_end(answer);
}

/* The first failure to store an end: the readers get what there is, and are told. */
static void end_unsaved(struct answer *answer, int64_t now)
{
    answer->unsaved_since_ms = now;
    answer->retry_at_ms = now + ANSWERS_RETRY_MS;
    answer->answers->unsaved++;
    if (answer->fault == NULL && (answer->fault = malloc(sizeof *answer->fault)) != NULL)
        fault_set(answer->fault, RESULT_STORE_DOWN, "not_stored", NULL,
                  "The answer is complete, but it could not be saved yet.");
}

/* A later try: done, tried again, or given up. Frees the answer when nobody needs it any more. */
static void retried(struct answer *answer, bool stored, int64_t now)
{
    int64_t unsaved_ms = now - answer->unsaved_since_ms;

    if (!stored && unsaved_ms < ANSWERS_GIVE_UP_MS) {
        answer->retry_at_ms = now + ANSWERS_RETRY_MS;
        return;
    }
    account_unsaved(answer, stored, unsaved_ms);
    answer->unsaved_since_ms = 0;
    answer->answers->unsaved--;
    answer_release(answer);
}

void answer_committed(struct answer *answer, bool stored)
{
    int64_t now = clock_mono_ms();

    if (answer->phase == ANSWER_ENDED) {
        retried(answer, stored, now);
        return;
    }
    if (!stored)
        end_unsaved(answer, now);
    answer->phase = ANSWER_ENDED;
    answer->answers->running--;
    account_count(answer);
    account_log(answer, stored);
    ground_learn(answer);
    answer_notify(answer);
}

bool answer_stop(struct answer *answer, enum finish_reason why)
{
    bool ours = answer->phase != ANSWER_FOLLOWED;
    struct fault fault;

    if (why == FINISH_STOPPED) {
        answer_end(answer, TURN_STOPPED, FINISH_STOPPED, NULL);
        return ours;
    }
    fault_set(&fault, RESULT_OVERLOADED, "interrupted", NULL,
              "The server is restarting; the text so far is kept. Please ask again in a moment.");
    fault.retry_after_s = 1;
    answer_end(answer, TURN_INTERRUPTED, FINISH_INTERRUPTED, &fault);
    return ours;
}

void answers_interrupt_all(struct answers *answers)
{
    struct answer *answer, *next;

    for (answer = answers->list; answer != NULL; answer = next) {
        next = answer->next;
        if (answer->phase == ANSWER_RUNNING) {
            answer_stop(answer, FINISH_INTERRUPTED);
        } else if (answer->phase == ANSWER_FOLLOWED) {
            answer->let_go = true;
            answer_notify(answer);
        }
    }
}

void answer_followed_end(struct answer *answer, const char *error_code)
{
    if (answer->status == TURN_COMPLETE || answer->status == TURN_STOPPED)
        return;
    if ((answer->fault = malloc(sizeof *answer->fault)) == NULL)
        return;
    if (answer->status == TURN_INTERRUPTED)
        fault_set(answer->fault, RESULT_OVERLOADED, "interrupted", NULL,
                  "The answer was interrupted; the text so far is kept.");
    else
        fault_set(answer->fault, RESULT_UPSTREAM_BAD,
                  error_code[0] != '\0' ? error_code : "provider_error", NULL,
                  "The answer could not be finished.");
}

/* ---- readers ---- */

void answer_attach(struct answer *answer, struct answer_reader *reader)
{
    reader->answer = answer;
    reader->prev = NULL;
    reader->next = answer->readers;
    if (answer->readers != NULL)
        answer->readers->prev = reader;
    answer->readers = reader;
    answer->alone_since_ms = 0;
}

void answer_detach(struct answer_reader *reader)
{
    struct answer *answer = reader->answer;

    if (answer == NULL)
        return;
    if (reader->prev != NULL)
        reader->prev->next = reader->next;
    else
        answer->readers = reader->next;
    if (reader->next != NULL)
        reader->next->prev = reader->prev;
    reader->answer = NULL;
    if (answer->readers != NULL)
        return;
    answer->alone_since_ms = clock_mono_ms();
    alone_check(answer);
    answer_release(answer);
}

const struct buf *answer_text(const struct answer *answer)
{
    return &answer->text;
}

const struct buf *answer_reasoning(const struct answer *answer)
{
    return &answer->reasoning;
}

bool answer_more(const struct answer *answer)
{
    return answer->more;
}

bool answer_ended(const struct answer *answer)
{
    return answer->phase == ANSWER_ENDED;
}

bool answer_let_go(const struct answer *answer)
{
    return answer->let_go;
}

const struct fault *answer_fault(const struct answer *answer)
{
    return answer->phase == ANSWER_ENDED ? answer->fault : NULL;
}

void answer_reply(const struct answer *answer, struct turn_reply *reply)
{
    *reply = (struct turn_reply){
        .conversation_id = answer->conversation_id,
        .user_id = answer->user_id,
        .message_id = answer->message_id,
        .text = buf_str(&answer->text),
        .text_len = answer->text.len,
        .provider = answer_provider_name(answer),
        .model = answer->model,
        .finish = answer->finish,
        .usage = &answer->usage,
        .fault = answer_fault(answer),
        .finished_ms = answer->finished_ms,
        .cached = answer->cached,
        .sources_json = answer->sources_json,
    };
}
