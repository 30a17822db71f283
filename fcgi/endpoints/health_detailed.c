/*
 * health_detailed: GET /api/health/detailed (contract 002): what an operator wants to see at a glance: the store,
 * each provider, this process and its answers, the disk. Never a path, a key, or anything that somebody said.
 *
 * Request thread. What is said of a provider is what all workers saw of it.
 */
#include <string.h>
#include <unistd.h>

#include "common/answers.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/breaker.h"
#include "common/store/conversations.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/exchange.h"
#include "fcgi/version.h"

#define CAP_DETAILED_BODY (256 * 1024)

/* Providers that this program knows by name; listed as not configured when they are not. */
static const char *const known[] = { "openai", "anthropic", "demo" };

static void put_time(struct buf *out, const char *key, int64_t ms)
{
    char stamp[CLOCK_RFC3339_SIZE];

    json_put_member(out, key, ms > 0 ? clock_rfc3339(ms, stamp) : NULL);
}

/* A number that may be unknown. */
static void put_known(struct buf *out, const char *key, int64_t value)
{
    if (value < 0)
        json_put_member(out, key, NULL);
    else
        json_put_member_int(out, key, value);
}

/* What the breaker knows; nothing but nulls for a provider that is not configured. */
static void put_breaker(struct buf *out, const struct breaker_facts *facts)
{
    put_time(out, "last_success", facts->last_success_ms);
    if (facts->last_error_ms > 0) {
        buf_puts(out, ",\"last_error\":{");
        json_put_member(out, "code", facts->last_error);
        put_time(out, "timestamp", facts->last_error_ms);
        buf_putc(out, '}');
    } else {
        json_put_member(out, "last_error", NULL);
    }
    json_put_member(out, "breaker", breaker_state_name(facts->state));
    json_put_member_int(out, "failures", facts->failures);
    json_put_member_int(out, "retry_in_ms", facts->open_ms);
}

static void put_provider(struct buf *out, const char *name, const struct provider *provider,
                         const struct breaker_facts *facts, bool is_default)
{
    if (out->len > 0 && out->data[out->len - 1] == '}')
        buf_putc(out, ',');
    buf_putc(out, '{');
    json_put_member(out, "name", name);
    json_put_member_bool(out, "configured", provider != NULL);
    json_put_member_bool(out, "default", is_default);
    json_put_member(out, "model", provider != NULL ? provider->model : NULL);
    put_breaker(out, facts);
    buf_putc(out, '}');
}

static bool is_configured(const struct providers *providers, const char *name)
{
    for (size_t i = 0; i < providers->count; i++)
        if (strcmp(providers->list[i].name, name) == 0)
            return true;
    return false;
}

static void put_providers(struct buf *out, const struct app *app)
{
    static const struct breaker_facts nothing = { .last_error = "" };
    const struct providers *providers = &app->providers;
    struct breaker_facts facts;

    buf_puts(out, ",\"providers\":[");
    for (size_t i = 0; i < providers->count; i++) {
        breaker_facts(app->breakers, i, &facts);
        put_provider(out, providers->list[i].name, &providers->list[i], &facts, i == 0);
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!is_configured(providers, known[i]))
            put_provider(out, known[i], NULL, &nothing, false);
    buf_putc(out, ']');
}

static void put_store(struct buf *out, bool writable, int64_t latency_us,
                      const struct store_facts *facts)
{
    buf_puts(out, ",\"store\":{");
    json_put_member_bool(out, "writable", writable);
    buf_putf(out, ",\"latency_ms\":%.3f", (double)latency_us / 1000.0);
    json_put_member_int(out, "size_bytes", facts->size_bytes);
    json_put_member_int(out, "schema", facts->schema);
    json_put_member(out, "journal", facts->wal ? "wal" : "delete");
    buf_puts(out, "},\"disk\":{");
    put_known(out, "free_bytes", facts->disk_free_bytes);
    put_known(out, "total_bytes", facts->disk_total_bytes);
    buf_putc(out, '}');
}

static void put_worker(struct buf *out, const struct app *app)
{
    buf_puts(out, ",\"worker\":{");
    json_put_member_int(out, "pid", getpid());
    json_put_member_int(out, "streams", (int64_t)answers_count(app->answers));
    json_put_member_int(out, "max_streams", app->config->max_streams);
    json_put_member_int(out, "request_threads", app->config->request_threads);
    json_put_member_int(out, "workers_configured", app->config->workers);
    buf_putc(out, '}');
}

void endpoint_health_detailed(struct exchange *exchange)
{
    const struct app *app = exchange->app;
    int64_t now_ms = clock_wall_ms(), latency_us = 0, uptime_s = (now_ms - app->started_ms) / 1000;
    bool writable = store_ping(app->store, &latency_us) == RESULT_OK;
    bool described;
    struct store_facts facts;
    struct buf body;

    described = store_describe(app->store, &facts) == RESULT_OK;
    buf_init(&body, CAP_DETAILED_BODY);
    buf_putc(&body, '{');
    json_put_member(&body, "status", writable && described ? "healthy" : "unhealthy");
    put_time(&body, "timestamp", now_ms);
    json_put_member(&body, "app_name", app->config->app_name);
    json_put_member(&body, "version", PARLEY_VERSION);
    json_put_member_int(&body, "uptime", uptime_s > 0 ? uptime_s : 0);
    put_store(&body, writable, latency_us, &facts);
    put_providers(&body, app);
    put_worker(&body, app);
    buf_putc(&body, '}');
    if (!writable)
        response_header(&exchange->response, "Retry-After", "5");
    response_json(&exchange->response, writable && described ? 200 : 503, &body);
    buf_free(&body);
}
