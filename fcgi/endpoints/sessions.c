/*
 * sessions: POST /api/create-session (contract 003): an empty conversation under an id that the client then
 * sends with each message. Knowing the id is the right to it.
 *
 * Request thread. chat.c does the rest of the contract.
 */
#include <json-c/json.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/json.h"
#include "common/store/store.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/exchange.h"

#define CAP_SESSION_BODY 256

/* Nothing at all, or an object whose fields are all unknown to us. */
static enum result check_body(const struct buf *body, struct fault *fault)
{
    if (body->len == 0)
        return RESULT_OK;
    struct json_object *json = NULL;
    enum result result = json_parse(body->data, body->len, &json, fault);
    if (result == RESULT_OK && !json_object_is_type(json, json_type_object))
        result = fault_set(fault, RESULT_INVALID, "invalid_json", NULL,
                           "The body must be a JSON object, or empty.");
    json_object_put(json);
    return result;
}

void endpoint_create_session(struct exchange *exchange)
{
    struct fault fault;
    char session_id[CAP_ID];
    enum result result = check_body(&exchange->request.body, &fault);
    if (result == RESULT_OK) {
        id_make_session(session_id);
        result = store_session_create(exchange->app->store, session_id, &exchange->owner,
                                      clock_wall_ms(), &fault);
    }
    if (result != RESULT_OK) {
        response_fault(&exchange->response, &fault);
        return;
    }

    struct buf body;
    buf_init(&body, CAP_SESSION_BODY);
    buf_putc(&body, '{');
    json_put_member(&body, "sessionId", session_id);
    json_put_member(&body, "message", "Session created successfully");
    buf_putc(&body, '}');
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
}
