/*
 * site_config: GET /api/config, what a page has to know before the first message. The first three fields are
 * contract 000's; the others serve our own page and widget. Nothing secret: anybody may ask.
 *
 * Request thread.
 */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/providers/provider.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/exchange.h"
#include "fcgi/version.h"

#define CAP_CONFIG_BODY (32 * 1024)

/* What this version can do beyond the four contracts, so that a page need not try. */
static const char *const features[] = {
    "conversations", "search", "export", "feedback", "regenerate",
    "continue",      "resume", "stop",   "poll",
};

void endpoint_config(struct exchange *exchange)
{
    const struct config *config = exchange->app->config;
    const struct provider *provider = providers_find(&exchange->app->providers, NULL);
    struct buf body;
    buf_init(&body, CAP_CONFIG_BODY);
    buf_putc(&body, '{');
    json_put_member_int(&body, "max_message_length", config->max_message_length);
    json_put_member_int(&body, "typing_delay", config->typing_delay_ms);
    json_put_member(&body, "brand_name", config->brand_name);
    json_put_member(&body, "app_name", config->app_name);
    json_put_member(&body, "version", PARLEY_VERSION);
    json_put_member(&body, "provider", provider != NULL ? provider->name : NULL);
    json_put_member_bool(&body, "demo",
                         provider != NULL && strcmp(provider->ops->kind, "demo") == 0);
    json_put_member(&body, "model", provider != NULL ? provider->model : NULL);
    json_put_member_int(&body, "max_body_bytes", config->max_body_bytes);
    json_put_member_int(&body, "session_ttl", config->session_ttl_s);
    json_put_member_bool(&body, "allow_remote_images", config->allow_remote_images);
    buf_puts(&body, ",\"features\":{");
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++)
        json_put_member_bool(&body, features[i], true);
    json_put_member_bool(&body, "reasoning", config->reasoning);
    json_put_member_bool(&body, "memory",
                         config->memory != NULL && strcmp(config->memory, "off") != 0);
    json_put_member_bool(&body, "tool_calls", config->tools != NULL && *config->tools != '\0');
    buf_putc(&body, '}');
    json_put_member(&body, "base", exchange->request.base);
    buf_putc(&body, '}');
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
}
