/*
 * answers_failover: who is asked for an answer, and who next when that fails.
 *
 * The ring of an answer is the chosen provider and then those of PROVIDER_FAILOVER. As long as nothing was
 * said to the visitor, a failure that another try may cure moves on to the next one of the ring that its
 * breaker lets through. When all were asked, up to RETRY_MAX further tries go round again, with a jittered
 * pause that grows and that honours what a provider asked for in Retry-After. The clock of
 * ANSWER_TIMEOUT_MS runs over all tries together. What no retry can cure (a refused key, an unknown model,
 * an empty account) ends the answer at once. Loop thread.
 */
#include <stdlib.h>
#include <string.h>

#include "common/answers_private.h"
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/base/text.h"
#include "common/breaker.h"

#define FIRST_PAUSE_MS 200 /* doubled with each retry; half of it to all of it is waited */
#define PAUSE_DOUBLES  10
#define RING_MAX       32

struct failover {
    size_t at;                       /* place in the ring of who is asked now */
    uint32_t asked;                  /* places that were asked */
    int64_t rest_until_ms[RING_MAX]; /* monotonic: who asked to be left alone until when */
    unsigned retries;
    bool probing; /* this attempt is its breaker's probe */
    int64_t deadline_ms;
};

/* ---- the ring ---- */

static size_t ring_len(const struct answer *answer)
{
    size_t len = answer->answers->options.providers->failover_count + 1;

    return len < RING_MAX ? len : RING_MAX;
}

/* NULL where a place is empty: the chosen provider does not come twice, and pictures need eyes. */
static const struct provider *ring_provider(const struct answer *answer, size_t place)
{
    const struct provider *chosen = answer->start->provider;
    const struct provider *other;

    if (place == 0)
        return chosen;
    other = answer->answers->options.providers->failover[place - 1];
    return other != chosen && (other->sees_images || !answer->start->needs_eyes) ? other : NULL;
}

static size_t slot_of(const struct answer *answer)
{
    return (size_t)(answer->provider - answer->answers->options.providers->list);
}

static bool is_offline(const struct provider *provider)
{
    return provider->ops->next != NULL;
}

/* May the provider at `place` be asked at `when`? Takes the probe of an open breaker. */
static bool take_place(struct answer *answer, size_t place, int64_t when)
{
    struct failover *failover = answer->failover;
    const struct provider *provider = ring_provider(answer, place);
    enum breaker_verdict verdict;

    if (provider == NULL || failover->rest_until_ms[place] > when)
        return false;
    verdict = is_offline(provider)
                  ? BREAKER_ASK
                  : breaker_ask(answer->answers->options.breakers,
                                (size_t)(provider - answer->answers->options.providers->list));
    if (verdict == BREAKER_REFUSE)
        return false;
    failover->probing = verdict == BREAKER_PROBE;
    failover->at = place;
    answer->provider = provider;
    return true;
}

/* Take the first place from `from` on, once round; only ones not asked yet when `fresh`. */
static bool take_next(struct answer *answer, size_t from, bool fresh, int64_t when)
{
    size_t len = ring_len(answer);

    for (size_t i = 0; i < len; i++) {
        size_t place = (from + i) % len;

        if (fresh && (answer->failover->asked >> place & 1) != 0)
            continue;
        if (take_place(answer, place, when))
            return true;
    }
    return false;
}

/* ---- an attempt ---- */

/* Nothing of the attempt before may show in the next one. False when out of memory. */
static bool reset_attempt(struct answer *answer)
{
    const struct answer_start *start = answer->start;
    const struct provider *provider = answer->provider;
    bool same = provider == start->provider || provider_has_model(provider, start->model);
    char *model = strdup(same ? start->model : provider->model);

    free(answer->model);
    answer->model = model;
    free(answer->provider_fault);
    answer->provider_fault = NULL;
    answer->provider_ended = false;
    answer->http_status = 0;
    answer->usage = (struct stream_usage){ 0 };
    answer->finish = FINISH_NONE;
    buf_clear(&answer->error_body);
    return model != NULL;
}

/* The request for the provider that is asked now. The first one was encoded on a request thread. */
static enum result encode_again(struct answer *answer, struct fault *fault)
{
    struct answer_start *start = answer->start;
    struct provider_call call;

    if (is_offline(answer->provider) ||
        (answer->attempts == 0 && answer->provider == start->provider))
        return RESULT_OK;
    provider_request_free(&start->encoded);
    provider_request_init(&start->encoded);
    answer_start_call(start, answer->provider, answer->model, &call);
    return answer->provider->ops->encode(&call, &start->encoded, fault);
}

static void begin_attempt(struct answer *answer)
{
    struct failover *failover = answer->failover;
    int64_t left = failover->deadline_ms - clock_mono_ms();
    int64_t total = answer->provider->total_timeout_ms;
    struct fault fault;

    if (!reset_attempt(answer)) {
        fault_set(&fault, RESULT_INTERNAL, "internal_error", NULL, "Out of memory.");
        answer_end(answer, TURN_FAILED, FINISH_ERROR, &fault);
        return;
    }
    if (encode_again(answer, &fault) != RESULT_OK) {
        failover_give_up(answer, &fault);
        return;
    }
    answer->attempts++;
    METRICS_COUNT(METRICS_ATTEMPTS, 1, { "provider", answer->provider->name });
    failover->asked |= UINT32_C(1) << failover->at;
    if (failover->at != 0)
        answer->cache_key[0] = '\0'; /* it was made for the chosen provider */
    upstream_begin(answer, total < left ? total : left > 0 ? left : 1);
}

/* ---- pauses ---- */

/* Half of the pause is jitter, so that the visitors of a provider that recovers do not all come back at once. */
static int64_t pause_ms(unsigned retries, int64_t most)
{
    int64_t whole = (int64_t)FIRST_PAUSE_MS << (retries < PAUSE_DOUBLES ? retries : PAUSE_DOUBLES);
    uint32_t random;

    if (whole > most)
        whole = most;
    id_random(&random, sizeof random);
    return whole / 2 + (int64_t)(random % (uint32_t)(whole / 2 + 1));
}

/* ---- what follows from a failure ---- */

static void report(struct answer *answer, const struct attempt_failure *failure)
{
    struct breakers *breakers = answer->answers->options.breakers;
    const char *code = failure->failure.fault.code;
    bool opened = false;

    answer->failed_attempts++;
    METRICS_COUNT(METRICS_ATTEMPT_FAILS, 1, { "provider", answer->provider->name },
                  { "code", code });
    text_copy(answer->failed_code, sizeof answer->failed_code, code);
    if (failure->ill)
        opened = breaker_failure(breakers, slot_of(answer), code);
    else
        breaker_note(breakers, slot_of(answer), code);
    if (failure->ill && answer->failover != NULL)
        answer->failover->probing = false;
    log_info("attempt_failed", LOG_STR("request_id", answer->request_id),
             LOG_STR("message_id", answer->message_id), LOG_STR("provider", answer->provider->name),
             LOG_INT("attempt", answer->attempts), LOG_STR("code", code),
             LOG_INT("status", answer->http_status),
             LOG_STR("detail", answer->log_detail != NULL ? answer->log_detail : ""));
    if (opened)
        log_warn("breaker_opened", LOG_STR("provider", answer->provider->name),
                 LOG_STR("code", code));
}

/* Choose who is asked after a pause, and how long that is; -1 when there is no sense in it. */
static int64_t choose_retry(struct answer *answer, const struct attempt_failure *failure)
{
    const struct config *config = answer->answers->options.config;
    struct failover *failover = answer->failover;
    int64_t now = clock_mono_ms(), wait, rest;
    size_t place = failover->at;

    if (failover->retries >= (unsigned)config->retry_max ||
        !take_next(answer, place + 1, false, now + config->retry_wait_ms) ||
        (failover->at == place && failure->not_here))
        return -1;
    wait = pause_ms(failover->retries++, config->retry_wait_ms);
    rest = failover->rest_until_ms[failover->at] - now;
    if (wait < rest)
        wait = rest;
    return now + wait < failover->deadline_ms ? wait : -1;
}

/* Go on after a failure that another try may cure. False: the answer stays with who failed last. */
static bool go_on(struct answer *answer, const struct attempt_failure *failure)
{
    struct failover *failover = answer->failover;
    const struct provider *failed = answer->provider;
    size_t place = failover->at;
    int64_t wait = 0;

    if (!take_next(answer, place + 1, true, clock_mono_ms()))
        wait = choose_retry(answer, failure);
    /* Also without a pause: a call cannot be started from inside another one's callbacks. */
    if (wait >= 0 && upstream_later(answer, wait, begin_attempt))
        return true;
    failover_release(answer);
    answer->provider = failed;
    failover->at = place;
    return false;
}

void failover_failed(struct answer *answer, const struct attempt_failure *failure)
{
    struct failover *failover = answer->failover;
    struct fault fault = failure->failure.fault;
    int64_t now = clock_mono_ms();

    report(answer, failure);
    upstream_close(answer);
    /* Thoughts that a visitor has seen are a beginning, too. */
    if (answer->committed || answer->reasoning.len > 0 || !failure->failure.retryable ||
        now >= failover->deadline_ms) {
        failover_give_up(answer, &fault);
        return;
    }
    if (failure->failure.retry_after_ms > 0)
        failover->rest_until_ms[failover->at] = now + failure->failure.retry_after_ms;
    if (!go_on(answer, failure))
        failover_give_up(answer, &fault);
}

void failover_give_up(struct answer *answer, const struct fault *fault)
{
    const char *message = answer->answers->options.config->fallback_message;

    failover_release(answer);
    if (answer->failed_code[0] == '\0')
        text_copy(answer->failed_code, sizeof answer->failed_code, fault->code);
    if (!ground_quote(answer) && (*message == '\0' || answer->text.len > 0 ||
                                  !answer_grow(answer, message, strlen(message)))) {
        answer_end(answer, TURN_FAILED, FINISH_ERROR, fault);
        return;
    }
    tool_loop_spent(answer, &(struct stream_usage){ .known = true }, &answer->usage);
    answer_end(answer, TURN_COMPLETE, FINISH_FALLBACK, NULL);
}

void failover_succeeded(struct answer *answer)
{
    if (breaker_success(answer->answers->options.breakers, slot_of(answer)))
        log_info("breaker_closed", LOG_STR("provider", answer->provider->name));
    answer->failover->probing = false;
}

void failover_release(struct answer *answer)
{
    if (answer->failover == NULL || !answer->failover->probing)
        return;
    answer->failover->probing = false;
    breaker_cancel(answer->answers->options.breakers, slot_of(answer));
}

int64_t failover_left_ms(const struct answer *answer)
{
    return answer->failover->deadline_ms - clock_mono_ms();
}

void failover_free(struct answer *answer)
{
    free(answer->failover);
    answer->failover = NULL;
}

/* ---- the beginning ---- */

/* Everybody who could answer is being left alone for now. */
static void refuse(struct answer *answer)
{
    struct breaker_facts facts;
    struct fault fault;

    breaker_facts(answer->answers->options.breakers, slot_of(answer), &facts);
    fault_set(&fault, RESULT_UPSTREAM_DOWN, "provider_unavailable", NULL,
              "The model provider is out of order at the moment. Please try again soon.");
    fault.retry_after_s = (int)(facts.open_ms / 1000) + 1;
    failover_give_up(answer, &fault);
}

void failover_begin(struct answer *answer)
{
    struct failover *failover = calloc(1, sizeof *failover);
    struct fault fault;

    if (failover == NULL) {
        fault_set(&fault, RESULT_INTERNAL, "internal_error", NULL, "Out of memory.");
        answer_end(answer, TURN_FAILED, FINISH_ERROR, &fault);
        return;
    }
    answer->failover = failover;
    failover->deadline_ms =
        answer->started_ms + (is_offline(answer->provider)
                                  ? answer->answers->options.config->answer_timeout_ms
                                  : answer->provider->total_timeout_ms);
    if (take_next(answer, 0, true, answer->started_ms))
        begin_attempt(answer);
    else
        refuse(answer);
}
