/*
 * models: GET /api/models, the models that clients may pick. Request thread.
 */
#include "common/base/buf.h"
#include "fcgi/endpoints/choice.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/exchange.h"

#define CAP_MODELS_BODY (1024 * 1024)

void endpoint_models(struct exchange *exchange)
{
    struct buf body;

    buf_init(&body, CAP_MODELS_BODY);
    choice_put_models(exchange->app, &body);
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
}
