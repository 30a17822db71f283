/*
 * openai_api: see openai_api.h. Request thread first, then the loop.
 */
#include "fcgi/endpoints/openai_api.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/config.h"
#include "common/providers/wire.h"
#include "common/relay_fetch.h"
#include "common/responses/tries.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/outflow.h"
#include "fcgi/http/exchange.h"

#define CAP_URL      (CAP_OPTION_VALUE + 1024)
#define CAP_HEADERS  (4 * CAP_OPTION_VALUE)
#define CAP_REPLY    (8u * 1024 * 1024) /* a long list of files */
#define PAUSE_MAX_MS 8000 /* web servers wait for a minute, and hear nothing meanwhile */

bool openai_id_sound(const char *id)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t len = strlen(id);

    return len > 0 && len < OPENAI_ID_SIZE && strspn(id, allowed) == len;
}

/* As chats ask it: NULL without a key for the usual address. */
static const struct provider *find_openai(const struct app *app)
{
    return providers_find(&app->providers, "openai");
}

void openai_put_headers(struct buf *out, const struct app *app, bool beta)
{
    const struct config *config = app->config;
    const struct provider *openai = find_openai(app);

    if (openai != NULL)
        wire_put_key(out, openai, "bearer");
    if (*config->openai_org_id != '\0')
        buf_putf(out, "OpenAI-Organization: %s\n", config->openai_org_id);
    if (*config->openai_project_id != '\0')
        buf_putf(out, "OpenAI-Project: %s\n", config->openai_project_id);
    if (beta)
        buf_puts(out, "OpenAI-Beta: assistants=v2\n");
}

void openai_put_url(struct buf *out, const struct app *app, const char *path)
{
    const struct provider *openai = find_openai(app);

    wire_put_url(out, openai != NULL ? openai->base_url : app->config->openai_api_base, path);
}

void openai_set_deadlines(struct relay_request *request, const struct config *config)
{
    request->connect_timeout_ms = config->connect_timeout_ms;
    request->first_byte_timeout_ms = config->first_byte_timeout_ms;
    request->idle_timeout_ms = config->idle_timeout_ms;
    request->total_timeout_ms = config->answer_timeout_ms;
}

bool openai_try_again(struct openai_tries *tries, const struct exchange *exchange,
                      const struct relay_fetch_reply *reply)
{
    int64_t pause_ms = tries_after_reply(tries->made, reply, PAUSE_MAX_MS);

    log_warn("openai_refused", LOG_STR("request_id", exchange->request.id),
             LOG_INT("status", reply->status), LOG_STR("end", relay_end_name(reply->end)),
             LOG_BOOL("again", pause_ms >= 0));
    if (pause_ms >= 0)
        tries->again_ms = clock_mono_ms() + pause_ms;
    return pause_ms >= 0;
}

bool openai_again_due(struct openai_tries *tries)
{
    bool due = tries->again_ms != 0 && clock_mono_ms() >= tries->again_ms;

    if (due)
        tries->again_ms = 0;
    return due;
}

void openai_reply_error(struct exchange *exchange, int status, const char *text)
{
    struct buf body;

    buf_init(&body, 1024);
    buf_putc(&body, '{');
    json_put_member(&body, "error", text);
    buf_putc(&body, '}');
    response_json(&exchange->response, status, &body);
    buf_free(&body);
}

/* ---- one request ---- */

struct question {
    struct exchange *exchange;
    struct outflow *flow;
    struct relay_fetch *fetch;
    struct openai_tries tries;
    const char *method;
    char *path;
    char *body;
    const char *failure; /* static */
};

static void question_free(struct question *question)
{
    free(question->path);
    free(question->body);
    free(question);
}

static void on_gone(void *ctx)
{
    struct question *question = ctx;

    relay_fetch_cancel(question->fetch);
    question_free(question);
}

static void on_tick(void *ctx);

static const struct outflow_handler flow_handler = { .gone = on_gone, .tick = on_tick };

static void finish(struct question *question, bool good)
{
    if (question->flow != NULL)
        outflow_end(question->flow, good ? "ok" : "failed");
    else
        exchange_finish(question->exchange);
    question_free(question);
}

static void on_reply(void *ctx, const struct relay_fetch_reply *reply)
{
    struct question *question = ctx;
    bool good = relay_fetch_good(reply);

    question->fetch = NULL;
    if (!good && question->flow != NULL &&
        openai_try_again(&question->tries, question->exchange, reply))
        return;
    if (good)
        response_send(&question->exchange->response, 200, RESPONSE_TYPE_JSON, reply->body,
                      reply->len);
    else
        openai_reply_error(question->exchange, 500, question->failure);
    finish(question, good);
}

static struct relay_fetch *start(struct question *question)
{
    const struct app *app = question->exchange->app;
    struct relay_request request = { .method = question->method };
    struct relay_fetch *fetch = NULL;
    struct buf url, headers;

    question->tries.made++;
    if (question->body != NULL) {
        request.body_len = strlen(question->body);
        if ((request.body = strdup(question->body)) == NULL)
            return NULL;
    }
    openai_set_deadlines(&request, app->config);
    buf_init(&url, CAP_URL);
    buf_init(&headers, CAP_HEADERS);
    openai_put_url(&url, app, question->path);
    openai_put_headers(&headers, app, true);
    if (request.body != NULL)
        buf_puts(&headers, "Content-Type: application/json\n");
    request.url = buf_str(&url);
    request.headers = buf_str(&headers);
    if (url.failed || headers.failed)
        free(request.body);
    else
        fetch = relay_fetch_start(app->relay, &request, CAP_REPLY, on_reply, question);
    buf_free(&url);
    buf_free(&headers);
    return fetch;
}

static void ask(struct question *question)
{
    question->fetch = start(question);
    if (question->fetch != NULL)
        return;
    openai_reply_error(question->exchange, 500, question->failure);
    finish(question, false);
}

static void on_tick(void *ctx)
{
    struct question *question = ctx;

    if (openai_again_due(&question->tries))
        ask(question);
}

static void ask_on_loop(struct exchange *exchange)
{
    struct question *question = exchange->state;

    question->flow = outflow_open(exchange, &flow_handler, question);
    ask(question);
}

void openai_ask(struct exchange *exchange, const char *method, const char *path, char *body,
                const char *failure)
{
    struct question *question = calloc(1, sizeof *question);

    if (question == NULL || (question->path = strdup(path)) == NULL) {
        free(question);
        free(body);
        openai_reply_error(exchange, 500, failure);
        return;
    }
    question->exchange = exchange;
    question->method = method;
    question->body = body;
    question->failure = failure;
    exchange->state = question;
    exchange->on_loop = ask_on_loop;
}
