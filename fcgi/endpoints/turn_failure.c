/*
 * turn_failure: how a turn that failed looks (contracts/turn_response.md, section 2, "Errors"): a reply of status 500,
 * or, as the starter app's page shows neither that nor an error frame, a message of the assistant. Any thread.
 */
#include <string.h>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/config.h"
#include "common/responses/envelope.h"
#include "common/responses/synth.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/turn.h"
#include "fcgi/http/exchange.h"

#define CAP_REPLY 65536

bool turn_failure_visible(const struct config *config)
{
    return strcmp(config->turn_errors, "message") == 0;
}

static void on_event(void *ctx, const char *type, const char *json, size_t len)
{
    envelope_put(ctx, type, json, len);
}

void turn_failure_message(struct buf *out, const char *model, const struct fault *fault)
{
    struct synth synth;

    synth_init(&synth, model, on_event, out);
    synth_text(&synth, fault->text, strlen(fault->text));
    synth_finish(&synth, FINISH_STOP, NULL);
    synth_free(&synth);
}

static void put_error(struct buf *body, const struct turn *turn)
{
    buf_putc(body, '{');
    json_put_member(body, "error", turn->fault.text);
    json_put_member(body, "code", turn->fault.code);
    json_put_member(body, "status", "error");
    json_put_member(body, "request_id", turn->request_id);
    buf_putc(body, '}');
}

void turn_failure_reply(struct turn *turn)
{
    struct response *response = &turn->exchange->response;
    struct buf body;

    buf_init(&body, CAP_REPLY);
    text_copy(response->code, sizeof response->code, turn->fault.code);
    if (turn_failure_visible(turn->app->config)) {
        turn_failure_message(&body, turn->model != NULL ? turn->model : "", &turn->fault);
        response_header(response, "Cache-Control", "no-cache, no-transform");
        response_send(response, 200, "text/event-stream", buf_str(&body), body.len);
    } else {
        put_error(&body, turn);
        response_json(response, 500, &body);
    }
    buf_free(&body);
}
