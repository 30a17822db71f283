/*
 * turn_account: what a turn of /api/turn_response came to: tokens, cost, metrics, its line in the log. What
 * answers_account.c is for chat turns. Loop thread, but for what the store's job asks for.
 */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/providers/provider.h"
#include "fcgi/endpoints/turn.h"

bool turn_unspent(const struct turn *turn)
{
    return turn->status == TURN_FAILED && turn->has_fault && turn->text.len == 0 &&
           !turn->usage.known && turn->fault.result != RESULT_UPSTREAM_SLOW;
}

int64_t turn_cost(const struct turn *turn)
{
    if (turn->payer == NULL || !turn->usage.known)
        return 0;
    return provider_cost_nano(turn->payer, &turn->usage);
}

static void count(const struct turn *turn)
{
    const char *provider = turn->provider_name;
    int64_t cost = turn_cost(turn);

    METRICS_COUNT(METRICS_TURNS, 1, { "provider", provider }, { "model", turn->model },
                  { "status", turn_status_name(turn->status) });
    METRICS_COUNT(METRICS_TOKENS, (uint64_t)turn->usage.prompt_tokens, { "provider", provider },
                  { "model", turn->model }, { "kind", "prompt" });
    METRICS_COUNT(METRICS_TOKENS, (uint64_t)turn->usage.completion_tokens, { "provider", provider },
                  { "model", turn->model }, { "kind", "completion" });
    if (cost > 0)
        METRICS_COUNT(METRICS_COST, (uint64_t)cost, { "provider", provider },
                      { "model", turn->model });
    if (turn->has_fault)
        METRICS_COUNT(METRICS_PROVIDER_FAILS, 1, { "provider", provider },
                      { "code", turn->fault.code });
    metrics_time(METRICS_REPLY, (clock_mono_ms() - turn->started_ms) * 1000);
}

void turn_account(const struct turn *turn)
{
    count(turn);
    log_write(turn->has_fault ? LOG_WARN : LOG_INFO, "turn",
              (struct log_field[]){
                  LOG_STR("request_id", turn->request_id),
                  LOG_STR("message_id", turn->message_id),
                  LOG_STR("provider", turn->provider_name),
                  LOG_STR("model", turn->model),
                  LOG_STR("status", turn_status_name(turn->status)),
                  LOG_STR("finish", finish_reason_name(turn->finish)),
                  LOG_INT("bytes", (int64_t)turn->text.len),
                  LOG_INT("prompt_tokens", turn->usage.prompt_tokens),
                  LOG_INT("completion_tokens", turn->usage.completion_tokens),
                  LOG_INT("cost_nano", turn_cost(turn)),
                  LOG_INT("rounds", turn->rounds),
                  LOG_INT("total_ms", clock_mono_ms() - turn->started_ms),
                  LOG_STR("code", turn->has_fault ? turn->fault.code : ""),
                  LOG_STR("detail", turn->detail),
                  { 0 },
              });
}
