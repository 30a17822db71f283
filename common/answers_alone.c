/*
 * answers_alone: does anybody still read a running answer? The worker that writes it knows its own readers.
 * Those of other workers and processes follow it through the store and leave a sign in its row, again and again;
 * the writer looks for one before it ends an answer that all its own readers have left. Neighbours: answers.c,
 * whose readers come and go, and answers_persist.c, which does the following.
 *
 * Loop thread; the store's part is short jobs on libuv's pool.
 */
#include <stdlib.h>
#include <string.h>

#include "common/answers_private.h"
#include "common/base/clock.h"
#include "common/base/text.h"

#define SIGN_MS      1000          /* a follower leaves a sign this often */
#define SIGN_LATE_MS (2 * SIGN_MS) /* how old the newest may be while he is still there */

/* ---- the follower ---- */

struct sign_job {
    uv_work_t work;
    struct answers *answers;
    size_t count;
    char message_ids[][CAP_ID];
};

static void sign_run(uv_work_t *work)
{
    struct sign_job *job = work->data;

    store_answers_watch(job->answers->options.store, job->message_ids, job->count, clock_wall_ms());
}

static void sign_done(uv_work_t *work, int status)
{
    struct sign_job *job = work->data;

    (void)status;
    job->answers->jobs--;
    job->answers->signing = false;
    free(job);
}

void alone_sign(struct answers *answers)
{
    int64_t now = clock_mono_ms();
    size_t count = answers->followed;
    struct sign_job *job;

    if (answers->signing || count == 0 || now < answers->sign_due_ms ||
        answers->options.config->disconnect_grace_s < 0 ||
        (job = calloc(1, sizeof *job + count * sizeof job->message_ids[0])) == NULL)
        return;
    job->work.data = job;
    job->answers = answers;
    for (struct answer *answer = answers->list; answer != NULL; answer = answer->next) {
        if (answer->phase == ANSWER_FOLLOWED && job->count < count)
            memcpy(job->message_ids[job->count++], answer->message_id, CAP_ID);
    }
    answers->sign_due_ms = now + SIGN_MS;
    answers->signing = true;
    answers->jobs++;
    uv_queue_work(answers->loop, &job->work, sign_run, sign_done);
}

/* ---- the writer ---- */

struct look_job {
    uv_work_t work;
    struct answers *answers;
    char message_id[CAP_ID];
    int64_t watched_ms; /* wall clock, 0 = never */
};

static int64_t grace_ms(const struct answer *answer)
{
    return answer->answers->options.config->disconnect_grace_s * 1000;
}

static bool grace_over(const struct answer *answer)
{
    return answer->phase == ANSWER_RUNNING && answer->alone_since_ms != 0 && !answer->unattended &&
           grace_ms(answer) >= 0 && clock_mono_ms() - answer->alone_since_ms >= grace_ms(answer);
}

static void look_run(uv_work_t *work)
{
    struct look_job *job = work->data;

    store_answer_watched(job->answers->options.store, job->message_id, &job->watched_ms);
}

/* The grace period begins anew where the last follower was seen. A sign from the future is of a clock that was set
 * back. */
static void judge(struct answer *answer, int64_t age_ms)
{
    if (!grace_over(answer)) /* somebody came, or it ended */
        return;
    if (age_ms >= 0 && age_ms < grace_ms(answer) + SIGN_LATE_MS)
        answer->alone_since_ms = clock_mono_ms() + SIGN_LATE_MS - age_ms;
    else
        answer_stop(answer, FINISH_STOPPED);
}

static void look_done(uv_work_t *work, int status)
{
    struct look_job *job = work->data;
    struct answer *answer = answers_find(job->answers, job->message_id);

    (void)status;
    job->answers->jobs--;
    if (answer != NULL) {
        answer->looking = false;
        judge(answer, clock_wall_ms() - job->watched_ms);
    }
    free(job);
}

static bool look(struct answer *answer)
{
    struct look_job *job = calloc(1, sizeof *job);

    if (job == NULL)
        return false;
    job->work.data = job;
    job->answers = answer->answers;
    text_copy(job->message_id, sizeof job->message_id, answer->message_id);
    job->answers->jobs++;
    uv_queue_work(job->answers->loop, &job->work, look_run, look_done);
    return true;
}

void alone_check(struct answer *answer)
{
    if (answer->looking || !grace_over(answer))
        return;
    answer->looking = look(answer);
    if (!answer->looking)
        answer_stop(answer, FINISH_STOPPED);
}
