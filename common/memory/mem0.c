/*
 * mem0: the two APIs of Mem0: the hosted platform (paths with a version and a slash at the end, "Token" keys) and the
 * open source server (X-API-Key). Pure: requests out, replies in.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/memory/ground.h"
#include "common/memory/memory_private.h"

#define CAP_HEAD       (2 * CAP_OPTION_VALUE)
#define CAP_REQUEST    (16u << 20)
#define CAP_REPLY      (1 << 20)
#define ANSWER_MOST    4000 /* bytes of an answer that are sent along */
#define THRESHOLD      0.1
#define MEM0_FACT_MOST 2000

static bool is_server(const struct config *config)
{
    return strcmp(config->mem0_api_style, "server") == 0;
}

char *mem0_user(const struct owner *owner, const char *user_id)
{
    struct buf out;

    buf_init(&out, CAP_USER_ID + CAP_ID + 16);
    if (user_id != NULL)
        buf_putf(&out, "user:%s", user_id);
    else
        buf_putf(&out, "%s:%s", owner->kind == OWNER_LOGIN ? "login" : "visitor", owner->id);
    return buf_take(&out);
}

void mem0_request_free(struct mem0_request *request)
{
    free(request->url);
    free(request->headers);
    *request = (struct mem0_request){ 0 };
}

/* Address and key; takes over `body`, NULL = none. */
static bool finish(const struct config *config, const char *platform, const char *server,
                   struct buf *body, struct mem0_request *out)
{
    size_t base = strlen(config->mem0_api_base), len = body != NULL ? body->len : 0;
    struct buf url, headers;

    *out = (struct mem0_request){ 0 };
    buf_init(&url, CAP_HEAD);
    buf_init(&headers, CAP_HEAD);
    while (base > 0 && config->mem0_api_base[base - 1] == '/')
        base--;
    buf_put(&url, config->mem0_api_base, base);
    buf_puts(&url, is_server(config) ? server : platform);
    buf_puts(&headers, "Content-Type: application/json\nAccept: application/json\n");
    if (*config->mem0_api_key != '\0')
        buf_putf(&headers, "%s%s\n", is_server(config) ? "X-API-Key: " : "Authorization: Token ",
                 config->mem0_api_key);
    if (url.failed || headers.failed || (body != NULL && body->failed)) {
        buf_free(&url);
        buf_free(&headers);
        if (body != NULL)
            buf_free(body);
        return false;
    }
    out->url = buf_take(&url);
    out->headers = buf_take(&headers);
    out->fetch = (struct fetch_request){ .method = "POST",
                                         .url = out->url,
                                         .headers = out->headers,
                                         .body = body != NULL ? buf_take(body) : NULL,
                                         .body_len = len,
                                         .most = CAP_REPLY };
    return true;
}

static void put_message(struct buf *out, const char *role, const char *text, size_t most)
{
    buf_puts(out, out->data[out->len - 1] == '[' ? "{" : ",{");
    json_put_member(out, "role", role);
    json_put_member_len(out, "content", text, text_utf8_prefix(text, strlen(text), most));
    buf_putc(out, '}');
}

bool mem0_encode_add(const struct config *config, const char *user, const char *question,
                     const char *answer, struct mem0_request *out)
{
    struct buf body;

    buf_init(&body, CAP_REQUEST);
    buf_puts(&body, "{\"messages\":[");
    put_message(&body, "user", question, CAP_REQUEST);
    if (answer != NULL)
        put_message(&body, "assistant", answer, ANSWER_MOST);
    buf_putc(&body, ']');
    json_put_member(&body, "user_id", user);
    json_put_member_bool(&body, "infer", answer != NULL);
    buf_putc(&body, '}');
    return finish(config, "/v3/memories/add/", "/memories", &body, out);
}

bool mem0_encode_forget(const struct config *config, const char *user, struct mem0_request *out)
{
    struct buf platform, server;
    bool made;

    buf_init(&platform, CAP_HEAD);
    buf_init(&server, CAP_HEAD);
    buf_puts(&platform, "/v1/memories/?user_id=");
    buf_puts(&server, "/memories?user_id=");
    text_percent_encode(&platform, user, strlen(user));
    text_percent_encode(&server, user, strlen(user));
    made = finish(config, buf_str(&platform), buf_str(&server), NULL, out);
    out->fetch.method = "DELETE";
    buf_free(&platform);
    buf_free(&server);
    return made;
}

bool mem0_encode_search(const struct config *config, const char *user, const char *query,
                        struct mem0_request *out)
{
    struct buf body;

    buf_init(&body, CAP_REQUEST);
    buf_putc(&body, '{');
    json_put_member(&body, "query", query);
    buf_puts(&body, ",\"filters\":{");
    json_put_member(&body, "user_id", user);
    buf_putf(&body, "},\"top_k\":%d,\"threshold\":%g}", MEMORY_FACTS, THRESHOLD);
    return finish(config, "/v3/memories/search/", "/search", &body, out);
}

/* One fact of a reply, cleaned; NULL when it is none. */
static char *read_fact(struct json_object *item)
{
    const char *text = json_string_or_null(item, "memory");
    char *copy;

    if (text == NULL || *text == '\0')
        return NULL;
    copy = strndup(text, text_utf8_prefix(text, strlen(text), MEM0_FACT_MOST));
    if (copy != NULL)
        text_clean(copy, strlen(copy));
    return copy;
}

char *mem0_decode_search(const char *body, size_t len, int64_t tokens)
{
    struct json_object *json = NULL, *results = NULL;
    char *texts[MEMORY_FACTS] = { NULL };
    struct fault fault;
    size_t count = 0;
    char *out = NULL;

    if (json_parse(body, len, &json, &fault) == RESULT_OK &&
        (json_object_is_type(json, json_type_array) ||
         json_get_array(json, "results", &results) == JSON_FOUND)) {
        if (results == NULL)
            results = json;
        for (size_t i = 0; i < json_object_array_length(results) && count < MEMORY_FACTS; i++)
            if ((texts[count] = read_fact(json_object_array_get_idx(results, i))) != NULL)
                count++;
        out = ground_facts((const char *const *)texts, count, tokens);
    }
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    json_object_put(json);
    return out;
}
