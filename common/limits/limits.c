/*
 * limits: see limits.h. Turns the settings and a request's sender into charges for the store or for Redis,
 * and what came of it into sentences. No I/O of its own.
 */
#include "common/limits/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/net.h"
#include "common/chat/window.h"
#include "common/config.h"
#include "common/limits/shared.h"

#define MINUTE_MS (60 * INT64_C(1000))
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)

#define BUCKET_ALL "all"

#define GROUND_TOKENS 60 /* of the heading over facts, and of that over passages */

/* When running answers hold the rest of a budget, one of them may end at any moment. */
#define PENDING_RETRY_S 10

static const struct window {
    const char *name;
    int64_t ms;
} windows[LIMITS_WINDOWS] = { { "minute", MINUTE_MS }, { "hour", HOUR_MS }, { "day", DAY_MS } };

struct limits {
    const struct config *config;
    struct shared *shared; /* NULL: the store counts */
    int64_t limit[LIMITS_WINDOWS];
    int64_t system_tokens; /* estimate of SYSTEM_PROMPT */
};

/* A budget in which not even one question has room is a mistake that would otherwise look like success. */
static void warn_small_budget(const struct limits *limits, const char *option, int64_t budget)
{
    int64_t least = limits->system_tokens + limits->config->openai_max_tokens;

    if (budget > 0 && budget < least)
        log_warn("budget_too_small", LOG_STR("option", option), LOG_INT("tokens", budget),
                 LOG_INT("one_message_reserves", least));
}

enum result limits_open(const struct config *config, struct limits **out, struct fault *fault)
{
    struct limits *limits = calloc(1, sizeof *limits);
    enum result result = RESULT_OK;

    *out = NULL;
    if (limits == NULL)
        return fault_set(fault, RESULT_INTERNAL, "internal_error", NULL, "Out of memory.");
    limits->config = config;
    limits->limit[0] = config->ratelimit_minute;
    limits->limit[1] = config->ratelimit_hour;
    limits->limit[2] = config->ratelimit_day;
    limits->system_tokens = window_estimate(config->system_prompt, strlen(config->system_prompt));
    if (config->redis_url != NULL && *config->redis_url != '\0')
        result = shared_open(config, &limits->shared, fault);
    if (result != RESULT_OK) {
        free(limits);
        return result;
    }
    warn_small_budget(limits, "TOKENS_PER_DAY", config->tokens_per_day);
    warn_small_budget(limits, "TOKENS_PER_VISITOR_PER_DAY", config->tokens_per_visitor);
    *out = limits;
    return RESULT_OK;
}

void limits_close(struct limits *limits)
{
    if (limits == NULL)
        return;
    shared_close(limits->shared);
    free(limits);
}

/* ---- who ---- */

static void name_buckets(const struct limits_asker *asker, struct limits_plan *plan)
{
    static const char *const prefixes[] = {
        [OWNER_VISITOR] = "visitor", [OWNER_KEY] = "key", [OWNER_LOGIN] = "login"
    };
    const struct owner *owner = asker->owner;
    bool known = owner->kind != OWNER_NONE && !(owner->kind == OWNER_VISITOR && asker->newcomer);
    const char *address = asker->address;
    char network[NET_TEXT_SIZE];

    net_group(address != NULL && *address != '\0' ? address : "unknown", network);
    snprintf(plan->network, sizeof plan->network, "address:%s", network);
    if (known)
        snprintf(plan->who, sizeof plan->who, "%s:%s", prefixes[owner->kind], owner->id);
    else
        snprintf(plan->who, sizeof plan->who, "stranger:%s", network);
}

static void add_charges(const struct limits *limits, struct limits_plan *plan, const char *bucket,
                        int64_t factor)
{
    for (size_t i = 0; i < LIMITS_WINDOWS; i++)
        if (limits->limit[i] > 0)
            plan->charges[plan->charge_count++] = (struct store_charge){
                .bucket = bucket,
                .window_ms = windows[i].ms,
                .limit = limits->limit[i] * factor,
            };
}

static void add_budget(struct limits_plan *plan, const char *bucket, int64_t limit)
{
    if (limit > 0)
        plan->budgets[plan->budget_count++] =
            (struct store_budget){ .bucket = bucket, .limit = limit };
}

void limits_plan(const struct limits *limits, const struct limits_asker *asker,
                 struct limits_plan *plan)
{
    const struct config *config = limits->config;
    bool key = asker->owner->kind == OWNER_KEY;

    memset(plan, 0, sizeof *plan);
    name_buckets(asker, plan);
    add_charges(limits, plan, plan->who, 1);
    add_budget(plan, BUCKET_ALL, config->tokens_per_day);
    if (key)
        return;
    add_charges(limits, plan, plan->network, config->address_limit_factor);
    add_budget(plan, plan->who, config->tokens_per_visitor);
    add_budget(plan, plan->network, config->tokens_per_visitor * config->address_limit_factor);
}

/* ---- sentences ---- */

static int seconds_until(int64_t when_ms, int64_t now_ms)
{
    int64_t seconds = (when_ms - now_ms + 999) / 1000;

    return seconds > 1 ? (int)seconds : 1;
}

/* "42 seconds", "5 minutes", "3 hours": rounded up, so that whoever waits as long is not early. */
static void put_wait(char *out, size_t size, int seconds)
{
    static const struct {
        int up_to, unit;
        const char *name;
    } units[] = { { 120, 1, "second" }, { 2 * 3600, 60, "minute" }, { 1 << 30, 3600, "hour" } };
    size_t i = 0;
    int count;

    while (seconds > units[i].up_to)
        i++;
    count = (seconds + units[i].unit - 1) / units[i].unit;
    snprintf(out, size, "%d %s%s", count, units[i].name, count == 1 ? "" : "s");
}

static const char *window_name(int64_t window_ms)
{
    for (size_t i = 0; i < LIMITS_WINDOWS; i++)
        if (windows[i].ms == window_ms)
            return windows[i].name;
    return "window";
}

/* Of the charges that are full the one that lasts longest says when to come again. */
static void explain_rate(const struct limits_plan *plan, int64_t now_ms, struct fault *fault)
{
    const struct store_charge *worst = NULL;
    char wait[32], until[CLOCK_RFC3339_SIZE];
    int seconds;

    for (size_t i = 0; i < plan->charge_count; i++) {
        const struct store_charge *charge = &plan->charges[i];

        if (limits_remaining(charge) == 0 && (worst == NULL || charge->ends_ms > worst->ends_ms))
            worst = charge;
    }
    if (worst == NULL)
        return;
    seconds = seconds_until(worst->ends_ms, now_ms);
    put_wait(wait, sizeof wait, seconds);
    fault_set(fault, RESULT_LIMITED, "rate_limited", NULL,
              "%s the limit of %" PRId64 " message%s per %s. Please try again in %s (%s).",
              worst->bucket == plan->network ? "All visitors of your network have together reached"
                                             : "You have reached",
              worst->limit, worst->limit == 1 ? "" : "s", window_name(worst->window_ms), wait,
              clock_rfc3339(worst->ends_ms, until));
    fault->retry_after_s = seconds;
}

static bool lacks_room(const struct store_budget *budget, int64_t tokens, int64_t given_back)
{
    return budget->used - given_back + tokens > budget->limit;
}

/* The budget without room; before others one that also has none when all running answers have ended. */
static const struct store_budget *worst_budget(const struct limits_plan *plan)
{
    const struct store_budget *worst = NULL;

    for (size_t i = 0; i < plan->budget_count; i++) {
        const struct store_budget *budget = &plan->budgets[i];

        if (lacks_room(budget, plan->spending.reserved, budget->pending))
            return budget;
        if (lacks_room(budget, plan->spending.reserved, 0))
            worst = budget;
    }
    return worst;
}

/* What running answers have reserved may come back soon; what is spent, tomorrow. */
static void explain_budget(const struct limits_plan *plan, int64_t now_ms, struct fault *fault)
{
    const struct store_budget *worst = worst_budget(plan);
    int64_t tokens = plan->spending.reserved;
    bool spent = worst != NULL && lacks_room(worst, tokens, worst->pending);
    const char *whose =
        worst == NULL || strcmp(worst->bucket, BUCKET_ALL) == 0 ? "The budget" : "Your budget";
    int seconds = spent ? seconds_until(limits_day_end(now_ms), now_ms) : PENDING_RETRY_S;
    char wait[32];

    put_wait(wait, sizeof wait, seconds);
    if (spent && tokens > worst->limit)
        fault_set(fault, RESULT_LIMITED, "budget_exhausted", NULL,
                  "%s of a day has %" PRId64 " tokens, and this message may need %" PRId64 ".",
                  whose, worst->limit, tokens);
    else
        fault_set(fault, RESULT_LIMITED, "budget_exhausted", NULL,
                  "%s of tokens for today is %s. Please try again in %s.", whose,
                  spent ? "used up; the next day begins at midnight UTC"
                        : "taken by answers that are being written",
                  wait);
    fault->retry_after_s = seconds;
}

/* ---- asking ---- */

static enum result charge_shared(struct limits *limits, struct limits_plan *plan, int64_t now_ms,
                                 struct fault *fault)
{
    switch (shared_charge(limits->shared, plan->charges, plan->charge_count, now_ms)) {
    case SHARED_PASSED:
        plan->known = true;
        return RESULT_OK;
    case SHARED_OVER:
        plan->known = true;
        explain_rate(plan, now_ms, fault);
        return RESULT_LIMITED;
    case SHARED_AWAY:
        break;
    }
    if (strcmp(limits->config->redis_down, "refuse") != 0)
        return RESULT_OK;
    fault_set(fault, RESULT_OVERLOADED, "limits_unavailable", NULL,
              "Messages cannot be counted at the moment, so none are taken. Please try again in a "
              "few seconds.");
    fault->retry_after_s = 5;
    return RESULT_OVERLOADED;
}

/* Facts and passages are found after the reservation, so it has room for the most of them. */
static void plan_ground(const struct config *config, struct store_spending *spending)
{
    bool facts = config->memory != NULL && config->memory_tokens > 0;

    if (facts && strcmp(config->memory, "local") == 0)
        spending->facts_tokens = GROUND_TOKENS + config->memory_tokens;
    else if (facts && strcmp(config->memory, "mem0") == 0)
        spending->window.system_tokens += GROUND_TOKENS + config->memory_tokens;
    if (config->knowledge)
        spending->passages_tokens = GROUND_TOKENS + config->knowledge_tokens;
}

static void plan_spending(const struct limits *limits, struct limits_plan *plan,
                          const struct limits_cost *cost)
{
    plan->spending = (struct store_spending){
        .budgets = plan->budgets,
        .count = plan->budget_count,
        .answer_tokens = cost->answer_tokens,
        .window = { .max_messages = cost->max_messages > 0
                                        ? cost->max_messages
                                        : (size_t)limits->config->context_messages,
                    .max_tokens = limits->config->context_tokens,
                    .system_tokens = limits->system_tokens },
    };
    plan_ground(limits->config, &plan->spending);
    plan->in_store.spending = &plan->spending;
}

enum result limits_admit(struct limits *limits, struct limits_plan *plan,
                         const struct limits_cost *cost, int64_t now_ms, struct fault *fault)
{
    if (plan->budget_count > 0)
        plan_spending(limits, plan, cost);
    if (limits->shared != NULL && plan->charge_count > 0)
        return charge_shared(limits, plan, now_ms, fault);
    plan->in_store.charges = plan->charges;
    plan->in_store.charge_count = plan->charge_count;
    return RESULT_OK;
}

void limits_settle(struct store *store, struct limits_plan *plan, int64_t now_ms,
                   enum result result, struct fault *fault)
{
    size_t counted = plan->in_store.charge_count;

    /* A duplicate, or a turn that was refused before, was not counted. */
    if (counted > 0)
        plan->known = plan->charges[0].ends_ms != 0;
    if (result != RESULT_LIMITED)
        return;
    if (strcmp(fault->code, "rate_limited") == 0) {
        explain_rate(plan, now_ms, fault);
        return;
    }
    store_limits_get(store, NULL, 0, plan->budgets, plan->budget_count, now_ms);
    explain_budget(plan, now_ms, fault);
    /* The refused turn was taken back, and its place in the windows with it. */
    for (size_t i = 0; i < counted; i++)
        plan->charges[i].used--;
}

bool limits_look(struct limits *limits, struct store *store, struct limits_plan *plan,
                 int64_t now_ms)
{
    size_t in_store = limits->shared != NULL ? 0 : plan->charge_count;

    plan->known = true;
    if (in_store < plan->charge_count)
        plan->known =
            shared_look(limits->shared, plan->charges, plan->charge_count, now_ms) == SHARED_PASSED;
    if (in_store > 0 || plan->budget_count > 0)
        plan->known = store_limits_get(store, plan->charges, in_store, plan->budgets,
                                       plan->budget_count, now_ms) == RESULT_OK &&
                      plan->known;
    return plan->known;
}

/* ---- telling ---- */

int64_t limits_remaining(const struct store_charge *charge)
{
    return charge->used < charge->limit ? charge->limit - charge->used : 0;
}

/* Fewer questions left; as many, but for longer. */
static bool is_tighter(const struct store_charge *a, const struct store_charge *b)
{
    int64_t left_a = limits_remaining(a), left_b = limits_remaining(b);

    return left_a != left_b ? left_a < left_b : a->ends_ms > b->ends_ms;
}

/* `window_ms` 0: any window. */
static const struct store_charge *tightest(const struct limits_plan *plan, int64_t window_ms)
{
    const struct store_charge *best = NULL;

    for (size_t i = 0; plan->known && i < plan->charge_count; i++) {
        const struct store_charge *charge = &plan->charges[i];

        if ((window_ms == 0 || charge->window_ms == window_ms) &&
            (best == NULL || is_tighter(charge, best)))
            best = charge;
    }
    return best;
}

const struct store_charge *limits_tightest(const struct limits_plan *plan)
{
    return tightest(plan, 0);
}

const struct store_charge *limits_tightest_of(const struct limits_plan *plan, size_t window)
{
    return tightest(plan, windows[window].ms);
}

const char *limits_window_name(size_t window)
{
    return windows[window].name;
}

int64_t limits_day_end(int64_t now_ms)
{
    return (now_ms / DAY_MS + 1) * DAY_MS;
}
