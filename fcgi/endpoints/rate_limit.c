/*
 * rate_limit: GET /api/rate-limit, and the headers of chat replies (contract 001). What is counted, and for
 * whom, is common/limits/limits.c's.
 *
 * Request thread.
 */
#include "fcgi/endpoints/rate_limit.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/limits/limits.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/exchange.h"

#define CAP_LIMITS_BODY 4096

void rate_limit_plan(const struct exchange *exchange, struct limits_plan *plan)
{
    struct limits_asker asker = { .owner = &exchange->owner,
                                  .address = exchange->request.address,
                                  .newcomer = exchange->newcomer };

    limits_plan(exchange->app->limits, &asker, plan);
}

static void number_header(struct exchange *exchange, const char *name, int64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, value);
    response_header(&exchange->response, name, text);
}

void rate_limit_headers(struct exchange *exchange, struct limits_plan *plan)
{
    const struct app *app = exchange->app;
    int64_t now_ms = clock_wall_ms();
    const struct store_charge *charge;
    int64_t left_ms;

    if (!plan->known && plan->charge_count > 0)
        limits_look(app->limits, app->store, plan, now_ms);
    charge = limits_tightest(plan);
    if (charge == NULL)
        return;
    left_ms = charge->ends_ms - now_ms;
    number_header(exchange, "RateLimit-Limit", charge->limit);
    number_header(exchange, "RateLimit-Remaining", limits_remaining(charge));
    number_header(exchange, "RateLimit-Reset", left_ms > 0 ? (left_ms + 999) / 1000 : 0);
}

/* ---- GET /api/rate-limit ---- */

static void put_amounts(struct buf *out, int64_t limit, int64_t used, int64_t resets_ms)
{
    char reset[CLOCK_RFC3339_SIZE];

    json_put_member_int(out, "limit", limit);
    json_put_member_int(out, "used", used < limit ? used : limit);
    json_put_member_int(out, "remaining", used < limit ? limit - used : 0);
    json_put_member(out, "reset", clock_rfc3339(resets_ms, reset));
    buf_putc(out, '}');
}

static void put_windows(struct buf *out, const struct limits_plan *plan)
{
    json_put_member_raw(out, "limits", "[");
    for (size_t i = 0; i < LIMITS_WINDOWS; i++) {
        const struct store_charge *charge = limits_tightest_of(plan, i);

        if (charge == NULL)
            continue;
        buf_puts(out, out->data[out->len - 1] == '[' ? "{" : ",{");
        json_put_member(out, "window", limits_window_name(i));
        put_amounts(out, charge->limit, charge->used, charge->ends_ms);
    }
    buf_putc(out, ']');
}

/* The budget of all is nobody's business but the operator's; a visitor sees the visitor's. */
static void put_budget(struct buf *out, const struct limits_plan *plan, int64_t now_ms)
{
    for (size_t i = 0; i < plan->budget_count; i++) {
        const struct store_budget *budget = &plan->budgets[i];

        if (budget->bucket != plan->who)
            continue;
        json_put_member_raw(out, "tokens", "{");
        json_put_member(out, "window", "day");
        put_amounts(out, budget->limit, budget->used, limits_day_end(now_ms));
    }
}

bool rate_limit_put(const struct exchange *exchange, struct buf *out)
{
    const struct app *app = exchange->app;
    int64_t now_ms = clock_wall_ms();
    struct limits_plan plan;

    rate_limit_plan(exchange, &plan);
    if (!limits_look(app->limits, app->store, &plan, now_ms))
        return false;
    put_windows(out, &plan);
    put_budget(out, &plan, now_ms);
    return true;
}

void endpoint_rate_limit(struct exchange *exchange)
{
    struct fault fault;
    struct buf body;

    buf_init(&body, CAP_LIMITS_BODY);
    buf_putc(&body, '{');
    if (rate_limit_put(exchange, &body)) {
        buf_putc(&body, '}');
        response_json(&exchange->response, 200, &body);
    } else {
        fault_set(&fault, RESULT_OVERLOADED, "limits_unavailable", NULL,
                  "How much is used cannot be told at the moment.");
        fault.retry_after_s = 5;
        response_fault(&exchange->response, &fault);
    }
    buf_free(&body);
}
