/*
 * functions: GET /api/functions/get_weather and get_joke: the tools as the front end of the Responses app calls them
 * (contracts/turn_response.md, section 7).
 *
 * That front end writes the model's words into the address unescaped, so parameters are read leniently: a
 * per cent sign that begins no escape stands for itself, and what is no UTF-8 is repaired. The body is JSON
 * whatever happens: anything else leaves the conversation stuck. Request thread, then loop.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/tools/tools.h"
#include "common/base/text.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/outflow.h"
#include "fcgi/http/exchange.h"

#define VALUE_MAX 2048 /* bytes of a parameter as it stands in the address */

struct function {
    struct exchange *exchange;
    struct outflow *flow;
    const struct tool *tool;
    struct tool_run *run;
    struct json_object *args;
};

/* ---- the address ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put_decoded(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int high = text[i] == '%' && i + 2 < len ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;

        if (low >= 0 && (high | low) != 0) {
            buf_putc(out, (char)(high << 4 | low));
            i += 2;
        } else {
            buf_putc(out, text[i] == '+' ? ' ' : text[i]);
        }
    }
}

/* The first parameter of this name, NULL when there is none. */
static const char *find_parameter(const char *query, const char *name, size_t *len)
{
    size_t name_len = strlen(name);

    for (const char *at = query; *at != '\0'; at += *at == '&') {
        size_t pair_len = strcspn(at, "&");

        if (pair_len > name_len && at[name_len] == '=' && strncmp(at, name, name_len) == 0) {
            *len = pair_len - name_len - 1;
            return at + name_len + 1;
        }
        at += pair_len;
    }
    return NULL;
}

static void add_parameter(struct json_object *args, const char *query, const char *name)
{
    size_t len = 0;
    const char *value = find_parameter(query, name, &len);
    struct buf decoded, repaired;

    if (value == NULL || len > VALUE_MAX)
        return;
    buf_init(&decoded, VALUE_MAX);
    buf_init(&repaired, 3 * VALUE_MAX);
    put_decoded(&decoded, value, len);
    text_utf8_repair(&repaired, buf_str(&decoded), decoded.len);
    if (!decoded.failed && !repaired.failed)
        json_object_object_add(args, name, json_object_new_string(buf_str(&repaired)));
    buf_free(&decoded);
    buf_free(&repaired);
}

/* ---- the loop ---- */

static void function_free(struct function *function)
{
    json_object_put(function->args);
    free(function);
}

static void on_gone(void *ctx)
{
    struct function *function = ctx;

    tool_cancel(function->run);
    function_free(function);
}

static const struct outflow_handler flow_handler = { .gone = on_gone };

static void reply(struct exchange *exchange, const struct tool_reply *reply)
{
    response_send(&exchange->response, reply->status, RESPONSE_TYPE_JSON, reply->json, reply->len);
}

static void on_done(void *ctx, const struct tool_reply *result)
{
    struct function *function = ctx;

    reply(function->exchange, result);
    if (function->flow != NULL)
        outflow_end(function->flow, result->status == 200 ? "ok" : "failed");
    else
        exchange_finish(function->exchange);
    function_free(function);
}

static void function_on_loop(struct exchange *exchange)
{
    struct function *function = exchange->state;
    struct tool_run *run;

    function->flow = outflow_open(exchange, &flow_handler, function);
    /* Where it is over at once, `function` is gone already. */
    run = tool_start(exchange->app->tools, function->tool, function->args, on_done, function);
    if (run != NULL)
        function->run = run;
}

static void call_tool(struct exchange *exchange, const struct tool *tool)
{
    static const char no_memory[] = "{\"error\":\"Out of memory\"}";
    struct function *function = calloc(1, sizeof *function);
    struct json_object *args = json_object_new_object();

    if (function == NULL || args == NULL) {
        free(function);
        json_object_put(args);
        response_send(&exchange->response, 500, RESPONSE_TYPE_JSON, no_memory,
                      sizeof no_memory - 1);
        return;
    }
    add_parameter(args, exchange->request.query, "location");
    add_parameter(args, exchange->request.query, "unit");
    *function = (struct function){ .exchange = exchange, .tool = tool, .args = args };
    exchange->state = function;
    exchange->on_loop = function_on_loop;
}

void endpoint_get_weather(struct exchange *exchange)
{
    call_tool(exchange, &tool_get_weather);
}

void endpoint_get_joke(struct exchange *exchange)
{
    call_tool(exchange, &tool_get_joke);
}
