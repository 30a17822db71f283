/*
 * answers_account: what an answer came to, when it has ended: its tokens, its cost, its share of the metrics, and its
 * line in the log. Loop thread, but for account_cost and account_unspent.
 */
#include "common/answers_private.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/chat/window.h"

/* The provider's own figures, else our estimate, marked as such. */
void account_usage(struct answer *answer)
{
    struct stream_usage round = { .prompt_tokens = answer->prompt_estimate,
                                  .known = true,
                                  .estimated = true };
    const char *said = buf_str(&answer->text) + answer->round_from;

    if (answer->usage.known)
        return;
    round.completion_tokens = window_estimate(said, answer->text.len - answer->round_from) *
                              window_family_percent(answer->model) / 100;
    round.total_tokens = round.prompt_tokens + round.completion_tokens;
    tool_loop_spent(answer, &round, &answer->usage);
}

bool account_unspent(const struct answer *answer)
{
    if (answer->calls != NULL) /* a model has asked for them */
        return false;
    if (answer->cached || answer->finish == FINISH_FALLBACK)
        return true;
    return answer->fault != NULL && answer->text.len == 0 &&
           (!answer->usage.known || answer->usage.estimated) && answer->status == TURN_FAILED &&
           answer->fault->result != RESULT_UPSTREAM_SLOW;
}

int64_t account_cost(const struct answer *answer)
{
    return account_unspent(answer) ? 0 : provider_cost_nano(answer->provider, &answer->usage);
}

void account_count(const struct answer *answer)
{
    const char *provider = answer->provider->name;
    int64_t cost = account_cost(answer);

    METRICS_COUNT(METRICS_TURNS, 1, { "provider", provider }, { "model", answer->model },
                  { "status", turn_status_name(answer->status) });
    METRICS_COUNT(METRICS_TOKENS, (uint64_t)answer->usage.prompt_tokens, { "provider", provider },
                  { "model", answer->model }, { "kind", "prompt" });
    METRICS_COUNT(METRICS_TOKENS, (uint64_t)answer->usage.completion_tokens,
                  { "provider", provider }, { "model", answer->model }, { "kind", "completion" });
    if (cost > 0)
        METRICS_COUNT(METRICS_COST, (uint64_t)cost, { "provider", provider },
                      { "model", answer->model });
    if (answer->status == TURN_FAILED && answer->fault != NULL)
        METRICS_COUNT(METRICS_PROVIDER_FAILS, 1, { "provider", provider },
                      { "code", answer->fault->code });
    if (answer->first_delta_ms != 0)
        metrics_time(METRICS_FIRST_DELTA, (answer->first_delta_ms - answer->started_ms) * 1000);
    metrics_time(METRICS_REPLY, (clock_mono_ms() - answer->started_ms) * 1000);
}

void account_unsaved(const struct answer *answer, bool stored, int64_t unsaved_ms)
{
    answer->answers->lost += !stored;
    METRICS_COUNT(METRICS_UNSAVED, 1, { "provider", answer->provider->name },
                  { "outcome", stored ? "late" : "lost" });
    log_write(stored ? LOG_WARN : LOG_ERROR, stored ? "answer_saved_late" : "answer_lost",
              (struct log_field[]){ LOG_STR("message_id", answer->message_id),
                                    LOG_STR("request_id", answer->request_id),
                                    LOG_INT("bytes", (int64_t)answer->text.len),
                                    LOG_INT("unsaved_ms", unsaved_ms),
                                    LOG_INT("lost_so_far", (int64_t)answer->answers->lost),
                                    { 0 } });
}

void account_log(const struct answer *answer, bool stored)
{
    int64_t now = clock_mono_ms();

    log_write(
        answer->fault != NULL || answer->finish == FINISH_FALLBACK ? LOG_WARN : LOG_INFO, "turn",
        (struct log_field[]){
            LOG_STR("request_id", answer->request_id),
            LOG_STR("message_id", answer->message_id),
            LOG_STR("provider", answer_provider_name(answer)),
            LOG_STR("model", answer->model),
            LOG_STR("status", turn_status_name(answer->status)),
            LOG_STR("finish", finish_reason_name(answer->finish)),
            LOG_INT("bytes", (int64_t)answer->text.len),
            LOG_INT("prompt_tokens", answer->usage.prompt_tokens),
            LOG_INT("completion_tokens", answer->usage.completion_tokens),
            LOG_INT("first_delta_ms",
                    answer->first_delta_ms == 0 ? -1 : answer->first_delta_ms - answer->started_ms),
            LOG_INT("total_ms", now - answer->started_ms),
            LOG_BOOL("stored", stored),
            LOG_INT("attempts", answer->attempts),
            LOG_INT("failed_attempts", answer->failed_attempts),
            LOG_INT("cost_nano", account_cost(answer)),
            LOG_BOOL("cached", answer->cached),
            LOG_STR("code", answer->fault != NULL ? answer->fault->code : answer->failed_code),
            LOG_STR("detail", answer->log_detail != NULL ? answer->log_detail : ""),
            { 0 },
        });
}
