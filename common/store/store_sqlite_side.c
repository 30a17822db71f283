/*
 * store_sqlite_side: calls to a model beside the turns: charged to the same budgets and listed with the same usage, with no
 * message to hang on.
 *
 * Request threads.
 */
#include "common/base/clock.h"
#include "common/store/store_sqlite.h"
#include "common/store/store_usage.h"

#define DAY_MS  (INT64_C(24) * 3600 * 1000)
#define DAY_LEN 10 /* of an RFC 3339 timestamp */

struct side {
    const struct store_side_call *call;
    const struct stream_usage *usage; /* NULL: it begins */
    int64_t cost_nano;
    struct fault *fault;
};

static bool add_tokens(struct db *db, const struct side *side, const struct store_budget *budget,
                       int64_t tokens)
{
    struct db_stmt *stmt = db_prepare(
        db, "INSERT INTO token_days (day, bucket, tokens) VALUES (:day, :bucket, max(:tokens, 0))"
            " ON CONFLICT (day, bucket) DO UPDATE SET tokens = max(tokens + :tokens, 0)"
            " RETURNING tokens");
    bool room;

    db_bind_int(stmt, ":day", side->call->now_ms / DAY_MS);
    db_bind_text(stmt, ":bucket", budget->bucket);
    db_bind_int(stmt, ":tokens", tokens);
    room = db_step(stmt) && db_int(stmt, 0) <= budget->limit;
    db_reset(stmt);
    return room;
}

static enum result begin(struct db *db, void *arg)
{
    const struct side *side = arg;
    bool room = true;

    for (size_t i = 0; i < side->call->budget_count; i++)
        room = add_tokens(db, side, &side->call->budgets[i], side->call->reserved) && room;
    return room ? RESULT_OK
                : fault_set(side->fault, RESULT_LIMITED, "budget_exhausted", NULL,
                            "The budget of tokens for today is used up.");
}

static void add_to_day(struct db *db, const struct side *side)
{
    struct db_stmt *stmt = db_prepare(
        db, "INSERT INTO usage_by_day (day, provider, model, answers, cached_answers,"
            " estimated_answers, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens,"
            " cost_nano) VALUES (:day, :provider, :model, 0, 0, 0, :prompt, :completion, :cached,"
            " :reasoning, :cost) ON CONFLICT (day, provider, model) DO UPDATE SET"
            " prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
            " completion_tokens = completion_tokens + excluded.completion_tokens,"
            " cached_tokens = cached_tokens + excluded.cached_tokens,"
            " reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,"
            " cost_nano = cost_nano + excluded.cost_nano");
    char stamp[CLOCK_RFC3339_SIZE];

    clock_rfc3339(side->call->now_ms, stamp);
    db_bind_text_len(stmt, ":day", stamp, DAY_LEN);
    db_bind_text(stmt, ":provider", side->call->provider);
    db_bind_text(stmt, ":model", side->call->model);
    db_bind_int(stmt, ":prompt", side->usage->prompt_tokens);
    db_bind_int(stmt, ":completion", side->usage->completion_tokens);
    db_bind_int(stmt, ":cached", side->usage->cached_tokens);
    db_bind_int(stmt, ":reasoning", side->usage->reasoning_tokens);
    db_bind_int(stmt, ":cost", side->cost_nano);
    db_run(stmt);
}

static enum result end(struct db *db, void *arg)
{
    const struct side *side = arg;
    int64_t spent = side->usage->prompt_tokens + side->usage->completion_tokens;

    if (side->usage->total_tokens > spent)
        spent = side->usage->total_tokens;
    for (size_t i = 0; i < side->call->budget_count; i++)
        add_tokens(db, side, &side->call->budgets[i], spent - side->call->reserved);
    if (spent > 0)
        add_to_day(db, side);
    return RESULT_OK;
}

enum result store_side_begin(struct store *store, const struct store_side_call *call,
                             struct fault *fault)
{
    struct side side = { .call = call, .fault = fault };

    return call->budget_count > 0 ? store_sqlite_write(store, begin, &side, fault) : RESULT_OK;
}

enum result store_side_end(struct store *store, const struct store_side_call *call,
                           const struct stream_usage *usage, int64_t cost_nano)
{
    struct side side = { .call = call, .usage = usage, .cost_nano = cost_nano };

    return store_sqlite_write(store, end, &side, NULL);
}
