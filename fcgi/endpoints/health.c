/*
 * health: is it running, and can it do its work? GET /api/health (000, 002) asks the store; GET /health (003)
 * only says that the process answers. Both are cheap and tell nothing about the installation.
 *
 * Request thread.
 */
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/store/store.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/exchange.h"

#define CAP_HEALTH_BODY 4096

void endpoint_api_health(struct exchange *exchange)
{
    bool healthy = store_ping(exchange->app->store, NULL) == RESULT_OK;
    char now[CLOCK_RFC3339_SIZE];
    struct buf body;
    buf_init(&body, CAP_HEALTH_BODY);
    buf_putc(&body, '{');
    json_put_member(&body, "status", healthy ? "healthy" : "unhealthy");
    json_put_member(&body, "timestamp", clock_rfc3339(clock_wall_ms(), now));
    buf_putc(&body, '}');
    if (!healthy)
        response_header(&exchange->response, "Retry-After", "5");
    response_json(&exchange->response, healthy ? 200 : 503, &body);
    buf_free(&body);
}

void endpoint_health(struct exchange *exchange)
{
    const struct app *app = exchange->app;
    int64_t now_ms = clock_wall_ms();
    char now[CLOCK_RFC3339_SIZE];
    struct buf sentence, body;
    buf_init(&sentence, CAP_HEALTH_BODY);
    buf_init(&body, 2 * CAP_HEALTH_BODY);
    buf_putf(&sentence, "%s is running", app->config->app_name);

    buf_putc(&body, '{');
    json_put_member(&body, "status", "OK");
    json_put_member(&body, "message", buf_str(&sentence));
    json_put_member(&body, "timestamp", clock_rfc3339(now_ms, now));
    /* The wall clock may have been set back since the start. */
    int64_t uptime_s = (now_ms - app->started_ms) / 1000;
    json_put_member_int(&body, "uptime", uptime_s > 0 ? uptime_s : 0);
    buf_putc(&body, '}');
    response_json(&exchange->response, 200, &body);
    buf_free(&sentence);
    buf_free(&body);
}
