/*
 * provider_health: see provider_health.h. Read from the breakers' shared memory; no provider is asked.
 */
#include "fcgi/endpoints/provider_health.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/breaker.h"
#include "fcgi/app.h"

static void put_time(struct buf *out, const char *key, int64_t wall_ms)
{
    char stamp[CLOCK_RFC3339_SIZE];

    json_put_member(out, key, wall_ms != 0 ? clock_rfc3339(wall_ms, stamp) : NULL);
}

static void put_provider(struct buf *out, const struct provider *provider,
                         const struct breaker_facts *facts, bool is_default)
{
    buf_putc(out, '{');
    json_put_member(out, "name", provider->name);
    json_put_member(out, "kind", provider->ops->kind);
    json_put_member(out, "model", provider->model);
    json_put_member_bool(out, "default", is_default);
    json_put_member(out, "breaker", breaker_state_name(facts->state));
    json_put_member_int(out, "failures", facts->failures);
    json_put_member_int(out, "retry_in_ms", facts->open_ms);
    put_time(out, "last_success", facts->last_success_ms);
    put_time(out, "last_error", facts->last_error_ms);
    json_put_member(out, "last_error_code", facts->last_error_ms != 0 ? facts->last_error : NULL);
    buf_putc(out, '}');
}

void provider_health_put(const struct app *app, struct buf *out)
{
    buf_putc(out, '[');
    for (size_t i = 0; i < app->providers.count; i++) {
        struct breaker_facts facts;

        breaker_facts(app->breakers, i, &facts);
        if (i > 0)
            buf_putc(out, ',');
        put_provider(out, &app->providers.list[i], &facts, i == 0);
    }
    buf_putc(out, ']');
}
