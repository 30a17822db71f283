/*
 * models: GET /api/models: which models a client may name, by provider, the default first.
 *
 * Request thread.
 */
#include "common/base/buf.h"
#include "common/base/json.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/exchange.h"

#define CAP_MODELS_BODY (1024 * 1024)

static void put_model(struct buf *body, const struct provider *provider, const char *model,
                      bool is_first)
{
    buf_puts(body, is_first ? "{" : ",{");
    json_put_member(body, "id", model);
    json_put_member(body, "name", model);
    json_put_member(body, "provider", provider->name);
    json_put_member_bool(body, "default", is_first);
    buf_putc(body, '}');
}

void endpoint_models(struct exchange *exchange)
{
    const struct providers *providers = &exchange->app->providers;
    struct buf body;

    buf_init(&body, CAP_MODELS_BODY);
    buf_puts(&body, "{\"models\":[");
    for (size_t i = 0; i < providers->count; i++)
        put_model(&body, &providers->list[i], providers->list[i].model, i == 0);
    buf_puts(&body, "],\"default\":{");
    json_put_member(&body, "provider", providers->list[0].name);
    json_put_member(&body, "model", providers->list[0].model);
    buf_puts(&body, "}}");
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
}
