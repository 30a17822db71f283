/*
 * wire: see wire.h. Neighbours: openai.c, anthropic.c and openai_responses.c encode with it. What each
 * format has of its own stays in its file. Pure; any thread.
 */
#include "common/providers/wire.h"

#include <stdio.h>
#include <string.h>

#include "common/base/json.h"

#define MAX_TOKENS 1e12 /* more is nonsense; bounded, so that sums cannot overflow */

void wire_put_url(struct buf *out, const char *base, const char *path)
{
    size_t path_len = strcspn(base, "?");
    const char *query = base + path_len;
    while (path_len > 0 && base[path_len - 1] == '/')
        path_len--;
    buf_put(out, base, path_len);
    buf_puts(out, path);
    buf_puts(out, query);
}

void wire_put_headers(struct buf *out)
{
    buf_puts(out, "Content-Type: application/json\nAccept: text/event-stream\n");
}

void wire_put_key(struct buf *out, const struct provider *provider, const char *usual)
{
    const char *auth = provider->auth != NULL ? provider->auth : usual;
    if (*provider->api_key == '\0' || strcmp(auth, "none") == 0)
        return;
    if (strcmp(auth, "bearer") == 0)
        buf_putf(out, "Authorization: Bearer %s\n", provider->api_key);
    else
        buf_putf(out, "%s: %s\n", auth, provider->api_key);
}

void wire_put_comma(struct buf *out)
{
    if (out->len > 0 && out->data[out->len - 1] != '[')
        buf_putc(out, ',');
}

struct chat_images wire_images(const struct provider_call *call, size_t index)
{
    if (!call->images || call->messages[index].role != CHAT_USER)
        return (struct chat_images){ 0 };
    return call->images[index];
}

struct chat_use wire_use(const struct provider_call *call, size_t index)
{
    return call->uses ? call->uses[index] : (struct chat_use){ 0 };
}

void wire_put_data_url(struct buf *out, const char *key, const struct chat_image *image)
{
    struct buf url;
    buf_init(&url, out->cap);
    buf_putf(&url, "data:%s;base64,", image->mime);
    buf_put(&url, image->base64, image->base64_len);
    json_put_member_len(out, key, buf_str(&url), url.len);
    out->failed = out->failed || url.failed;
    buf_free(&url);
}

void wire_put_temperature(struct buf *out, const struct provider *provider, double most)
{
    char number[32];
    double value = provider->temperature < most ? provider->temperature : most;
    if (value < 0)
        return;
    snprintf(number, sizeof number, "%.6g", value);
    json_put_member_raw(out, "temperature", number);
}

void wire_put_tools(struct buf *out, const struct provider_call *call, const char *open,
                    const char *parameters, const char *close)
{
    if (call->tool_count == 0)
        return;
    json_put_member_raw(out, "tools", "[");
    for (size_t i = 0; i < call->tool_count; i++) {
        wire_put_comma(out);
        buf_puts(out, open);
        json_put_member(out, "name", call->tools[i].name);
        json_put_member(out, "description", call->tools[i].description);
        json_put_member_raw(out, parameters, call->tools[i].parameters);
        buf_puts(out, close);
    }
    buf_putc(out, ']');
}

void wire_put_tool_choice(struct buf *out, const struct provider_call *call)
{
    if (call->tool_count == 0)
        return;
    if (call->no_calls)
        json_put_member(out, "tool_choice", "none");
    json_put_member_bool(out, "parallel_tool_calls", false);
}

enum result wire_check(const struct provider_request *request, struct fault *fault)
{
    if (request->url.failed || request->headers.failed || request->body.failed)
        return fault_set(fault, RESULT_TOO_LARGE, "request_too_large", NULL,
                         "The conversation is too large to be sent to the model provider.");
    return RESULT_OK;
}

/* Through double, because some servers write 12.0. */
int64_t wire_tokens(struct json_object *usage, const char *key)
{
    double value;
    if (json_get_double(usage, key, &value) != JSON_FOUND || !(value > 0))
        return 0;
    return (int64_t)(value < MAX_TOKENS ? value : MAX_TOKENS);
}
