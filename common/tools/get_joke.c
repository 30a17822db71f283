/*
 * get_joke: a programming joke from JokeAPI. Not remembered: the same joke twice is none. Loop thread.
 */
#include <json-c/json.h>
#include <string.h>

#include "common/base/json.h"
#include "common/tools/tool.h"

#define JOKE_MAX  8192
#define NO_JOKE   "Could not fetch joke"
#define JOKE_PATH "/joke/Programming"

/* {"type":"twopart","setup","delivery"} or {"joke"}; its own failures have "error":true and neither. */
static bool put_joke(struct buf *out, struct json_object *reply)
{
    const char *type = json_string_or_null(reply, "type");
    const char *setup = json_string_or_null(reply, "setup");
    const char *delivery = json_string_or_null(reply, "delivery");
    const char *joke = json_string_or_null(reply, "joke");

    if (type == NULL || strcmp(type, "twopart") != 0)
        return joke != NULL && buf_puts(out, joke);
    return setup != NULL && delivery != NULL && buf_putf(out, "%s - %s", setup, delivery);
}

static void on_reply(void *ctx, const struct relay_fetch_reply *reply)
{
    struct tool_run *run = ctx;
    struct json_object *object = NULL;
    struct buf joke, json;

    run->fetch = NULL;
    buf_init(&joke, JOKE_MAX);
    buf_init(&json, 6 * JOKE_MAX + 64);
    if (relay_fetch_good(reply) &&
        json_parse(reply->body, reply->len, &object, NULL) == RESULT_OK &&
        json_object_is_type(object, json_type_object) && put_joke(&joke, object)) {
        buf_putc(&json, '{');
        json_put_member_len(&json, "joke", buf_str(&joke), joke.len);
        buf_putc(&json, '}');
    }
    if (json.len > 0 && !json.failed)
        tool_finish(run, 200, buf_str(&json));
    else
        tool_fail(run, 500, NO_JOKE);
    json_object_put(object);
    buf_free(&joke);
    buf_free(&json);
}

static void start(struct tool_run *run, struct json_object *args)
{
    struct buf url;

    (void)args;
    buf_init(&url, CAP_OPTION_VALUE + sizeof JOKE_PATH);
    buf_puts(&url, run->config->joke_base);
    buf_puts(&url, JOKE_PATH);
    if (url.failed || !tool_get(run, buf_str(&url), on_reply))
        tool_fail(run, 500, NO_JOKE);
    buf_free(&url);
}

const struct tool tool_get_joke = {
    .name = "get_joke",
    .description = "Get a programming joke",
    .parameters = "{\"type\":\"object\",\"properties\":{},\"required\":[],"
                  "\"additionalProperties\":false}",
    .start = start,
};
