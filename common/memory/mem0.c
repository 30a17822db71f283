/*
 * mem0: the two APIs of Mem0: the hosted platform (paths with a version and a slash at the end, "Token" keys) and the
 * open source server (X-API-Key). Pure: requests out, replies in.
 *
 * A fact's importance goes along as metadata. With RETENTION_DAYS every memory is sent with the day on which it expires.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
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
#define IMPORTANCE     50 /* of a memory that says nothing of it */
#define DAY_MS         (INT64_C(24) * 3600 * 1000)
#define DATE_LEN       10 /* of "2026-01-02" */

static bool is_server(const struct config *config)
{
    return strcmp(config->mem0_api_style, "server") == 0;
}

char *mem0_user(const struct owner *owner, const char *user_id)
{
    struct buf out;

    buf_init(&out, CAP_USER_ID + CAP_ID + 16);
    if (user_id != NULL)
        buf_putf(&out, MEM0_USER "%s", user_id);
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

/* The day after the last one of RETENTION_DAYS. */
static void put_expiry(struct buf *out, const struct config *config)
{
    char stamp[CLOCK_RFC3339_SIZE];

    if (config->retention_days <= 0)
        return;
    clock_rfc3339(clock_wall_ms() + (config->retention_days + 1) * DAY_MS, stamp);
    json_put_member_len(out, "expiration_date", stamp, DATE_LEN);
}

static void put_importance(struct buf *out, int importance)
{
    buf_putf(out, ",\"metadata\":{\"importance\":%d.%02d}", importance / 100, importance % 100);
}

bool mem0_encode_add(const struct config *config, const char *user, const char *question,
                     const char *answer, int importance, struct mem0_request *out)
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
    if (answer == NULL)
        put_importance(&body, importance);
    put_expiry(&body, config);
    buf_putc(&body, '}');
    return finish(config, "/v3/memories/add/", "/memories", &body, out);
}

/* A path with the user_id as a parameter behind it, and what follows. */
static void put_user_path(struct buf *out, const char *path, const char *user)
{
    buf_puts(out, path);
    text_percent_encode(out, user, strlen(user));
}

bool mem0_encode_forget(const struct config *config, const char *user, struct mem0_request *out)
{
    struct buf platform, server;
    bool made;

    buf_init(&platform, CAP_HEAD);
    buf_init(&server, CAP_HEAD);
    put_user_path(&platform, "/v1/memories/?user_id=", user);
    put_user_path(&server, "/memories?user_id=", user);
    made = finish(config, buf_str(&platform), buf_str(&server), NULL, out);
    out->fetch.method = "DELETE";
    buf_free(&platform);
    buf_free(&server);
    return made;
}

bool mem0_encode_one(const struct config *config, const char *method, const char *id,
                     struct mem0_request *out)
{
    struct buf platform, server;
    bool made;

    buf_init(&platform, CAP_HEAD);
    buf_init(&server, CAP_HEAD);
    buf_putf(&platform, "/v1/memories/%s/", id);
    buf_putf(&server, "/memories/%s", id);
    made = finish(config, buf_str(&platform), buf_str(&server), NULL, out);
    out->fetch.method = method;
    buf_free(&platform);
    buf_free(&server);
    return made;
}

bool mem0_encode_list(const struct config *config, const char *user, size_t limit,
                      struct mem0_request *out)
{
    struct buf platform, server, body;
    bool made;

    buf_init(&platform, CAP_HEAD);
    buf_init(&server, CAP_HEAD);
    buf_init(&body, CAP_HEAD);
    buf_putf(&platform, "/v3/memories/?page=1&page_size=%zu", limit);
    put_user_path(&server, "/memories?user_id=", user);
    buf_putf(&server, "&top_k=%zu", limit);
    buf_puts(&body, "{\"filters\":{");
    json_put_member(&body, "user_id", user);
    buf_puts(&body, "}}");
    made =
        finish(config, buf_str(&platform), buf_str(&server), is_server(config) ? NULL : &body, out);
    if (is_server(config)) {
        out->fetch.method = "GET";
        buf_free(&body);
    }
    buf_free(&platform);
    buf_free(&server);
    return made;
}

bool mem0_encode_search(const struct config *config, const char *user, const char *query,
                        size_t limit, struct mem0_request *out)
{
    struct buf body;

    buf_init(&body, CAP_REQUEST);
    buf_putc(&body, '{');
    json_put_member(&body, "query", query);
    buf_puts(&body, ",\"filters\":{");
    json_put_member(&body, "user_id", user);
    buf_putf(&body, "},\"top_k\":%zu,\"threshold\":%g}", limit, THRESHOLD);
    return finish(config, "/v3/memories/search/", "/search", &body, out);
}

/* The array of memories of a reply, which may be the whole of it. NULL: it is no such reply. */
static struct json_object *read_results(const char *body, size_t len, struct json_object **json)
{
    struct json_object *results = NULL;
    struct fault fault;

    if (json_parse(body, len, json, &fault) != RESULT_OK)
        return NULL;
    if (json_object_is_type(*json, json_type_array))
        return *json;
    return json_get_array(*json, "results", &results) == JSON_FOUND ? results : NULL;
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
    struct json_object *json = NULL, *results = read_results(body, len, &json);
    char *texts[MEMORY_FACTS] = { NULL };
    size_t count = 0;
    char *out = NULL;

    if (results != NULL) {
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

static int64_t read_time(struct json_object *item, const char *key, int64_t otherwise)
{
    const char *text = json_string_or_null(item, key);
    int64_t ms;

    return text != NULL && clock_parse_rfc3339(text, &ms) ? ms : otherwise;
}

static int read_importance(struct json_object *item)
{
    struct json_object *metadata = NULL;
    double value;

    if (json_get_object(item, "metadata", &metadata) != JSON_FOUND ||
        json_get_double(metadata, "importance", &value) != JSON_FOUND ||
        !(value >= 0 && value <= 1))
        return IMPORTANCE;
    return (int)(value * 100 + 0.5);
}

/* False for what has no text, or no id that could be named to erase it. */
static bool read_stored(struct json_object *item, struct store_fact *out)
{
    const char *id = json_string_or_null(item, "id");
    double score = 0;

    *out = (struct store_fact){ .importance = read_importance(item) };
    if (id == NULL || !mem0_id_valid(id) || (out->text = read_fact(item)) == NULL)
        return false;
    text_copy(out->id, sizeof out->id, id);
    out->created_ms = read_time(item, "created_at", 0);
    out->updated_ms = read_time(item, "updated_at", out->created_ms);
    if (json_get_double(item, "score", &score) == JSON_FOUND && score > 0 && score <= 1)
        out->score = score;
    return true;
}

bool mem0_decode_facts(const char *body, size_t len, size_t limit, struct store_fact_list *out)
{
    struct json_object *json = NULL, *results = read_results(body, len, &json);
    size_t count = results != NULL ? json_object_array_length(results) : 0;

    *out = (struct store_fact_list){ 0 };
    count = count < limit ? count : limit;
    if (count > 0 && (out->list = calloc(count, sizeof *out->list)) == NULL)
        results = NULL;
    for (size_t i = 0; results != NULL && i < count; i++)
        if (read_stored(json_object_array_get_idx(results, i), &out->list[out->count]))
            out->count++;
    json_object_put(json);
    return results != NULL;
}

bool mem0_id_valid(const char *id)
{
    size_t len = strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_");

    return len > 0 && len < CAP_ID && id[len] == '\0';
}

char *mem0_decode_user(const char *body, size_t len)
{
    struct json_object *json = NULL;
    struct fault fault;
    const char *user = json_parse(body, len, &json, &fault) == RESULT_OK
                           ? json_string_or_null(json, "user_id")
                           : NULL;
    char *copy = user != NULL ? strdup(user) : NULL;

    json_object_put(json);
    return copy;
}
