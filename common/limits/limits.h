/*
 * limits: how much somebody may still ask (contracts/chat_api.md, 001): questions per minute, hour and day,
 * tokens per day. Decides who is counted under which name and what is told about it; the counting is the
 * store's (one transaction with the turn), or Redis's when several machines count together (shared.h).
 *
 * Whom a question is charged to:
 *   an API key           the key
 *   a known visitor      the visitor, and the network address with ADDRESS_LIMIT_FACTOR times the limit
 *   anybody else         all strangers of the address together, and the address as above; so leaving the
 *                        cookie away makes nobody a new visitor
 *
 * A window begins with its first question and lasts a minute, an hour or a day; budgets of tokens are for
 * the day in UTC. Request threads, any number at once.
 */
#ifndef PARLEY_LIMITS_LIMITS_H
#define PARLEY_LIMITS_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/caps.h"
#include "common/base/result.h"
#include "common/store/store.h"

struct config;
struct limits;

/* RESULT_INVALID with the operator's sentence when REDIS_URL cannot be used. `config` must stay. */
enum result limits_open(const struct config *config, struct limits **out, struct fault *fault);
void limits_close(struct limits *limits); /* NULL is fine */

/* ---- who ---- */

struct limits_asker {
    const struct owner *owner;
    const char *address; /* of the client, as request.address */
    bool newcomer;       /* the visitor was made for this very request: no cookie was shown */
};

#define LIMITS_WINDOWS 3 /* minute, hour, day */
#define LIMITS_CHARGES (2 * LIMITS_WINDOWS)
#define LIMITS_BUDGETS 3
#define CAP_BUCKET     (CAP_ID + 64)

/* What one question is charged to. Points into itself: stays where it is. */
struct limits_plan {
    char who[CAP_BUCKET];
    char network[CAP_BUCKET];
    struct store_charge charges[LIMITS_CHARGES];
    size_t charge_count;
    struct store_budget budgets[LIMITS_BUDGETS];
    size_t budget_count;
    struct store_spending spending;
    struct store_limits in_store; /* what the store counts: for store_turn.limits */
    bool known;                   /* `used` and `ends_ms` of the charges are filled */
};

void limits_plan(const struct limits *limits, const struct limits_asker *asker,
                 struct limits_plan *plan);

/* ---- asking ---- */

/* What the turn may cost, for the budgets. */
struct limits_cost {
    int64_t answer_tokens; /* the longest answer */
    size_t max_messages;   /* of the history that goes to the model; 0 = CONTEXT_MESSAGES */
};

/*
 * Before store_turn_begin: charge what Redis counts, if it does; what the store counts is then in
 * plan->in_store, which goes with the turn. RESULT_LIMITED rate_limited; RESULT_OVERLOADED limits_unavailable
 * (REDIS_DOWN=refuse).
 */
enum result limits_admit(struct limits *limits, struct limits_plan *plan,
                         const struct limits_cost *cost, int64_t now_ms, struct fault *fault);

/* After store_turn_begin, which ended with `result`: a RESULT_LIMITED gets its whole sentence. */
void limits_settle(struct store *store, struct limits_plan *plan, int64_t now_ms,
                   enum result result, struct fault *fault);

/* Look without counting, budgets too; fills `used` and `ends_ms`. False when it cannot be known now. */
bool limits_look(struct limits *limits, struct store *store, struct limits_plan *plan,
                 int64_t now_ms);

/* ---- telling ---- */

/* The charge with the fewest questions left; NULL when there is no limit, or nothing is known. */
const struct store_charge *limits_tightest(const struct limits_plan *plan);

/* The same among those of one window (0 to LIMITS_WINDOWS - 1). */
const struct store_charge *limits_tightest_of(const struct limits_plan *plan, size_t window);

/* Questions left, not below 0. */
int64_t limits_remaining(const struct store_charge *charge);

/* "minute", "hour", "day". */
const char *limits_window_name(size_t window);

/* When the day of the budgets ends, wall clock. */
int64_t limits_day_end(int64_t now_ms);

#endif
