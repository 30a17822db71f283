/*
 * embed: see embed.h.
 */
#include "common/memory/embed.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/config.h"
#include "common/providers/provider.h"
#include "common/providers/wire.h"
#include "common/store/store_memory.h"

#define CAP_HEAD       (2 * CAP_OPTION_VALUE)
#define CAP_REQUEST    (4 << 20)
#define TEXT_MOST      8000 /* bytes of one text; models refuse more than they can read */
#define DIMENSIONS_MAX 8192

const struct provider *embed_provider(const struct config *config,
                                      const struct providers *providers)
{
    const struct provider *provider;

    if (config->embedding_model == NULL || *config->embedding_model == '\0')
        return NULL;
    provider = providers_find(providers, "openai");
    return provider != NULL && *provider->base_url != '\0' ? provider : NULL;
}

static void put_body(const char *model, const char *const *texts, size_t count, struct buf *out)
{
    buf_putc(out, '{');
    json_put_member(out, "model", model);
    buf_puts(out, ",\"encoding_format\":\"float\",\"input\":[");
    for (size_t i = 0; i < count; i++) {
        size_t len = strnlen(texts[i], TEXT_MOST);

        while (len > 0 && len == TEXT_MOST && ((unsigned char)texts[i][len] & 0xc0) == 0x80)
            len--;
        wire_put_comma(out);
        json_put_string(out, texts[i], len);
    }
    buf_puts(out, "]}");
}

bool embed_encode(const struct provider *provider, const char *model, const char *const *texts,
                  size_t count, struct embed_request *out)
{
    struct buf url, headers, body;
    bool whole;

    *out = (struct embed_request){ 0 };
    buf_init(&url, CAP_HEAD);
    buf_init(&headers, CAP_HEAD);
    buf_init(&body, CAP_REQUEST);
    wire_put_url(&url, provider->base_url, "/embeddings");
    buf_puts(&headers, "Content-Type: application/json\n");
    if (*provider->api_key != '\0')
        buf_putf(&headers, "Authorization: Bearer %s\n", provider->api_key);
    put_body(model, texts, count, &body);
    whole = !url.failed && !headers.failed && !body.failed;
    if (whole) {
        size_t len = body.len;

        out->url = buf_take(&url);
        out->headers = buf_take(&headers);
        out->fetch = (struct fetch_request){ .method = "POST",
                                             .url = out->url,
                                             .headers = out->headers,
                                             .body = buf_take(&body),
                                             .body_len = len,
                                             .most = EMBED_REPLY };
    }
    buf_free(&url);
    buf_free(&headers);
    buf_free(&body);
    return whole;
}

void embed_request_free(struct embed_request *request)
{
    free(request->url);
    free(request->headers);
    *request = (struct embed_request){ 0 };
}

static bool read_vector(struct json_object *item, float *target, size_t size)
{
    struct json_object *values = NULL;

    if (json_get_array(item, "embedding", &values) != JSON_FOUND ||
        json_object_array_length(values) != size)
        return false;
    for (size_t i = 0; i < size; i++)
        target[i] = (float)json_object_get_double(json_object_array_get_idx(values, i));
    return store_vector_normalise(target, size);
}

static size_t first_size(struct json_object *data)
{
    struct json_object *values = NULL;

    if (json_get_array(json_object_array_get_idx(data, 0), "embedding", &values) != JSON_FOUND)
        return 0;
    return json_object_array_length(values);
}

float *embed_decode(const char *body, size_t len, size_t count, size_t *size)
{
    struct json_object *json = NULL, *data = NULL;
    struct fault fault;
    float *out = NULL;
    size_t read = 0;

    if (json_parse(body, len, &json, &fault) != RESULT_OK ||
        json_get_array(json, "data", &data) != JSON_FOUND ||
        json_object_array_length(data) != count || (*size = first_size(data)) == 0 ||
        *size > DIMENSIONS_MAX || (out = calloc(count * *size, sizeof *out)) == NULL)
        goto out;
    for (; read < count; read++) {
        struct json_object *item = json_object_array_get_idx(data, read);
        int64_t at = (int64_t)read;

        json_get_int(item, "index", &at);
        if (at < 0 || (size_t)at >= count || !read_vector(item, out + (size_t)at * *size, *size))
            break;
    }
out:
    json_object_put(json);
    if (read == count && out != NULL)
        return out;
    free(out);
    return NULL;
}
