/*
 * answers_persist: the store's side of running answers. Every job is short blocking work on libuv's pool
 * and comes back to the loop: one checkpoint of all growing answers each tick, one final commit of
 * the answers that ended meanwhile, one look at all followed answers.
 *
 * The jobs get copies (or, for the final commit, an answer that no longer changes), so no lock is needed.
 */
#include <stdlib.h>
#include <string.h>

#include "common/answers_private.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"

/* ---- checkpoints ---- */

struct checkpoint_job {
    uv_work_t work;
    struct answers *answers;
    struct store_checkpoint *items;
    char (*message_ids)[CAP_ID];
    size_t *lens;
    size_t count;
    enum result result;
};

static void checkpoint_free(struct checkpoint_job *job)
{
    for (size_t i = 0; i < job->count; i++)
        free((char *)job->items[i].text);
    free(job->items);
    free(job->message_ids);
    free(job->lens);
    free(job);
}

static void checkpoint_run(uv_work_t *work)
{
    struct checkpoint_job *job = work->data;
    int64_t now = clock_wall_ms();

    job->result = store_answers_checkpoint(job->answers->options.store, job->items, job->count, now,
                                           now + ANSWERS_LEASE_MS);
}

static void checkpoint_done(uv_work_t *work, int status)
{
    struct checkpoint_job *job = work->data;
    struct answers *answers = job->answers;

    (void)status;
    answers->jobs--;
    answers->checkpoint_busy = false;
    for (size_t i = 0; i < job->count && job->result == RESULT_OK; i++) {
        struct answer *answer = answers_find(answers, job->message_ids[i]);

        if (answer == NULL || answer->phase != ANSWER_RUNNING)
            continue;
        answer->stored_len = job->lens[i];
        if (job->items[i].stop_requested)
            answer_stop(answer, FINISH_STOPPED);
    }
    checkpoint_free(job);
}

static bool renewal_due(const struct answer *answer, int64_t now)
{
    return now - answer->lease_renewed_ms >= ANSWERS_RENEW_MS;
}

static bool due(const struct answer *answer, int64_t now)
{
    return answer->phase == ANSWER_RUNNING &&
           (answer->text.len > answer->stored_len || renewal_due(answer, now));
}

static size_t count_due(const struct answers *answers, int64_t now)
{
    size_t count = 0;

    for (const struct answer *answer = answers->list; answer != NULL; answer = answer->next)
        count += due(answer, now);
    return count;
}

/* One item; a text that cannot be copied only renews its lease and is tried again next time. */
static void checkpoint_add(struct checkpoint_job *job, struct answer *answer, int64_t now)
{
    struct store_checkpoint *item = &job->items[job->count];

    item->message_row = answer->row;
    item->writer = answer->answers->options.writer;
    job->lens[job->count] = answer->stored_len;
    if (answer->text.len > answer->stored_len && (item->text = malloc(answer->text.len)) != NULL) {
        memcpy((char *)item->text, answer->text.data, answer->text.len);
        item->text_len = answer->text.len;
        job->lens[job->count] = answer->text.len;
    }
    memcpy(job->message_ids[job->count], answer->message_id, CAP_ID);
    item->message_id = job->message_ids[job->count];
    if (renewal_due(answer, now))
        answer->lease_renewed_ms = now;
    else
        item->lease_stands = true;
    job->count++;
}

void persist_checkpoint(struct answers *answers)
{
    int64_t now = clock_mono_ms();
    size_t count = answers->checkpoint_busy ? 0 : count_due(answers, now);
    struct checkpoint_job *job;

    if (count == 0 || (job = calloc(1, sizeof *job)) == NULL)
        return;
    job->work.data = job;
    job->answers = answers;
    job->items = calloc(count, sizeof *job->items);
    job->message_ids = calloc(count, CAP_ID);
    job->lens = calloc(count, sizeof *job->lens);
    if (job->items == NULL || job->message_ids == NULL || job->lens == NULL) {
        checkpoint_free(job);
        return;
    }
    for (struct answer *answer = answers->list; answer != NULL; answer = answer->next)
        if (due(answer, now))
            checkpoint_add(job, answer, now);
    answers->checkpoint_busy = true;
    answers->jobs++;
    uv_queue_work(answers->loop, &job->work, checkpoint_run, checkpoint_done);
}

/* ---- the final commit ---- */

static struct store_answer_end end_of(const struct answer *answer)
{
    return (struct store_answer_end){
        .message_row = answer->row,
        .message_id = answer->message_id,
        .writer = answer->answers->options.writer,
        .status = answer->status,
        .text = buf_str(&answer->text),
        .text_len = answer->text.len,
        .provider = answer_provider_name(answer),
        .model = answer->model,
        .finish = answer->finish,
        .usage = &answer->usage,
        .unspent = account_unspent(answer),
        .error_code =
            answer->fault != NULL && answer->status != TURN_COMPLETE ? answer->fault->code : "",
        .cost_nano = account_cost(answer),
        .from_cache = answer->cached,
        .sources = answer->sources_json,
        .cache_key = answer->status == TURN_COMPLETE && answer->finish == FINISH_STOP
                         ? answer->cache_key
                         : NULL,
        .cache_until_ms =
            answer->finished_ms + answer->answers->options.config->response_cache_s * 1000,
        .now_ms = answer->finished_ms,
    };
}

static void end_run(uv_work_t *work)
{
    struct answers *answers = work->data;
    struct end_job *job = &answers->end_job;
    struct store_answer_end ends[STORE_ENDS_MAX];

    for (size_t i = 0; i < job->count; i++)
        ends[i] = end_of(job->ended[i]);
    store_answers_end(answers->options.store, ends, job->count, job->results);
}

static struct answer *take_ending(struct answers *answers)
{
    struct answer *answer = answers->ending;

    answers->ending = answer->ending_next;
    if (answers->ending == NULL)
        answers->ending_last = NULL;
    answer->ending_next = NULL;
    return answer;
}

static void end_done(uv_work_t *work, int status);

static void end_next(struct answers *answers)
{
    struct end_job *job = &answers->end_job;

    if (job->busy || answers->ending == NULL)
        return;
    job->busy = true;
    job->work.data = answers;
    for (job->count = 0; answers->ending != NULL && job->count < STORE_ENDS_MAX; job->count++)
        job->ended[job->count] = take_ending(answers);
    answers->jobs++;
    uv_queue_work(answers->loop, &job->work, end_run, end_done);
}

static void end_done(uv_work_t *work, int status)
{
    struct answers *answers = work->data;
    const struct end_job done = answers->end_job;

    (void)status;
    answers->jobs--;
    answers->end_job.busy = false;
    end_next(answers);
    for (size_t i = 0; i < done.count; i++) {
        /* A row that is gone was erased meanwhile: there is nothing left to save. */
        bool gone = done.results[i] == RESULT_NOT_FOUND;
        bool stored = done.results[i] == RESULT_OK || gone;

        if (gone)
            ground_unlearn(done.ended[i]);
        answer_committed(done.ended[i], stored);
    }
}

void persist_end(struct answer *answer)
{
    struct answers *answers = answer->answers;

    *(answers->ending_last != NULL ? answers->ending_last : &answers->ending) = answer;
    answers->ending_last = &answer->ending_next;
    end_next(answers);
}

/* ---- marks of others ---- */

struct stops_job {
    uv_work_t work;
    struct answers *answers;
    int64_t rows[ANSWERS_STOPS_MAX];
    size_t count;
};

static void stops_run(uv_work_t *work)
{
    struct stops_job *job = work->data;
    const struct answers_options *options = &job->answers->options;

    store_stops_pending(options->store, options->writer, job->rows, ANSWERS_STOPS_MAX, &job->count);
}

static void stop_row(struct answers *answers, int64_t row)
{
    for (struct answer *answer = answers->list; answer != NULL; answer = answer->next)
        if (answer->phase == ANSWER_RUNNING && answer->row == row) {
            answer_stop(answer, FINISH_STOPPED);
            return;
        }
}

static void stops_done(uv_work_t *work, int status)
{
    struct stops_job *job = work->data;

    (void)status;
    job->answers->jobs--;
    job->answers->stops_busy = false;
    for (size_t i = 0; i < job->count; i++)
        stop_row(job->answers, job->rows[i]);
    free(job);
}

void persist_stops(struct answers *answers)
{
    struct stops_job *job;

    if (answers->stops_busy || answers->running == 0 || (job = calloc(1, sizeof *job)) == NULL)
        return;
    job->work.data = job;
    job->answers = answers;
    answers->stops_busy = true;
    answers->jobs++;
    uv_queue_work(answers->loop, &job->work, stops_run, stops_done);
}

struct expire_job {
    uv_work_t work;
    struct answers *answers;
    int64_t count;
};

static void expire_run(uv_work_t *work)
{
    struct expire_job *job = work->data;

    store_leases_expire(job->answers->options.store, clock_wall_ms(), &job->count);
}

static void expire_done(uv_work_t *work, int status)
{
    struct expire_job *job = work->data;

    (void)status;
    job->answers->jobs--;
    job->answers->expire_busy = false;
    if (job->count > 0)
        log_warn("answers_interrupted", LOG_INT("count", job->count));
    free(job);
}

void persist_expire(struct answers *answers)
{
    struct expire_job *job;

    if (answers->expire_busy || (job = calloc(1, sizeof *job)) == NULL)
        return;
    job->work.data = job;
    job->answers = answers;
    answers->expire_busy = true;
    answers->jobs++;
    uv_queue_work(answers->loop, &job->work, expire_run, expire_done);
}

/* ---- followed answers ---- */

struct follow_item {
    char message_id[CAP_ID];
    size_t after;
    enum result result;
    struct store_answer found;
};

struct follow_job {
    uv_work_t work;
    struct answers *answers;
    size_t count;
    struct follow_item items[];
};

static void follow_run(uv_work_t *work)
{
    struct follow_job *job = work->data;
    int64_t now = clock_wall_ms();

    for (size_t i = 0; i < job->count; i++) {
        struct follow_item *item = &job->items[i];

        item->result = store_answer_get(job->answers->options.store, item->message_id, item->after,
                                        now, &item->found, NULL);
    }
}

static void follow_take(struct answer *answer, struct follow_item *item)
{
    struct store_answer *found = &item->found;

    if (item->result == RESULT_NOT_FOUND) { /* erased meanwhile */
        found->status = TURN_FAILED;
        text_copy(found->error_code, sizeof found->error_code, "erased");
    } else if (item->result != RESULT_OK) {
        return; /* the store is away for the moment: look again next time */
    }
    if (found->text_len > 0)
        answer_grow(answer, found->text, found->text_len);
    calls_take(answer, found->calls);
    if (found->status != TURN_STREAMING) {
        answer->status = found->status;
        answer->finish = found->finish;
        answer->usage = found->usage;
        answer->finished_ms = found->updated_ms;
        answer->phase = ANSWER_ENDED;
        answer->answers->followed--;
        answer_followed_end(answer, found->error_code);
    }
    answer_notify(answer);
}

static void follow_done(uv_work_t *work, int status)
{
    struct follow_job *job = work->data;
    struct answers *answers = job->answers;

    (void)status;
    answers->jobs--;
    answers->follow_busy = false;
    for (size_t i = 0; i < job->count; i++) {
        struct follow_item *item = &job->items[i];
        struct answer *answer = answers_find(answers, item->message_id);

        /* It may have been let go and followed anew meanwhile: then this piece is not its next one. */
        if (answer != NULL && answer->phase == ANSWER_FOLLOWED && answer->text.len == item->after)
            follow_take(answer, item);
        if (item->result == RESULT_OK)
            store_answer_free(&item->found);
    }
    free(job);
}

void persist_follow(struct answers *answers)
{
    size_t count = answers->follow_busy ? 0 : answers->followed;
    struct follow_job *job;

    alone_sign(answers);
    if (count == 0 || (job = calloc(1, sizeof *job + count * sizeof job->items[0])) == NULL)
        return;
    job->work.data = job;
    job->answers = answers;
    for (struct answer *answer = answers->list; answer != NULL; answer = answer->next) {
        if (answer->phase != ANSWER_FOLLOWED || job->count == count)
            continue;
        memcpy(job->items[job->count].message_id, answer->message_id, CAP_ID);
        job->items[job->count++].after = answer->text.len;
    }
    answers->follow_busy = true;
    answers->jobs++;
    uv_queue_work(answers->loop, &job->work, follow_run, follow_done);
}
