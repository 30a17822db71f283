/*
 * discovery: see discovery.h. Makers list everything they have; what is known by its name to do something
 * other than chatting is left out. Names that could not be used (too long, with spaces) too.
 */
#include "common/providers/discovery.h"

#include <json-c/json.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/providers/wire.h"

#define MAX_MODELS 500

static const char *const other_trades[] = {
    "embed", "whisper", "tts",     "dall-e",  "moderation", "transcribe", "realtime",
    "audio", "image",   "davinci", "babbage", "rerank",     "ocr",        "sora",
};

void discovery_encode(const struct provider *provider, struct provider_request *out)
{
    bool anthropic = provider->ops == &provider_anthropic;
    const char *base = provider->base_url;
    size_t len = strcspn(base, "?");
    bool has_version = len >= 3 && strncmp(base + len - 3, "/v1", 3) == 0;

    wire_put_url(&out->url, base, anthropic && !has_version ? "/v1/models" : "/models");
    buf_puts(&out->headers, "Accept: application/json\n");
    if (anthropic)
        buf_puts(&out->headers, "anthropic-version: 2023-06-01\n");
    wire_put_key(&out->headers, provider, anthropic ? "x-api-key" : "bearer");
}

static bool can_chat(const char *name, size_t len)
{
    if (len == 0 || len >= CAP_MODEL_NAME || strlen(name) != len || strpbrk(name, " ,") != NULL ||
        text_has_control(name, len))
        return false;
    for (size_t i = 0; i < sizeof other_trades / sizeof other_trades[0]; i++)
        if (strstr(name, other_trades[i]) != NULL)
            return false;
    return true;
}

enum result discovery_read(const char *body, size_t len, struct buf *out)
{
    struct json_object *reply = NULL, *list = NULL;
    enum result result = json_parse(body, len, &reply, NULL);

    if (result != RESULT_OK || !json_object_is_type(reply, json_type_object) ||
        json_get_array(reply, "data", &list) != JSON_FOUND)
        result = RESULT_INVALID;
    for (size_t i = 0; result == RESULT_OK && i < json_object_array_length(list) && i < MAX_MODELS;
         i++) {
        struct json_object *entry = json_object_array_get_idx(list, i);
        const char *id = NULL;
        size_t id_len;

        if (json_object_is_type(entry, json_type_object) &&
            json_get_string(entry, "id", &id, &id_len) == JSON_FOUND && can_chat(id, id_len))
            buf_putf(out, "%s\n", id);
    }
    json_object_put(reply);
    return out->failed ? RESULT_INVALID : result;
}
