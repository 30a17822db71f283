/*
 * parse: see parse.h. Input is what strangers send: every string is measured in code points, cleaned or
 * refused before it is kept.
 */
#include "common/dialects/parse.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/text.h"

#define CAP_CLIENT_ID 128 /* bytes of a client_message_id */

static enum result wrong_type(struct fault *fault, const char *key, const char *what)
{
    return fault_set(fault, RESULT_INVALID, "invalid_field", key, "The field %s must be %s.", key,
                     what);
}

static enum result out_of_memory(struct fault *fault)
{
    return fault_set(fault, RESULT_INTERNAL, "internal_error", NULL, "Out of memory.");
}

/* A cleaned copy of `text`, its length in *out_len; NULL when out of memory. */
static char *clean_copy(const char *text, size_t len, size_t *out_len)
{
    char *copy = malloc(len + 1);

    if (copy == NULL)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *out_len = text_clean(copy, len);
    return copy;
}

static enum result bad_message(const struct dialect_limits *limits, const char *refusal,
                               struct fault *fault)
{
    if (refusal != NULL)
        return fault_set(fault, RESULT_INVALID, "invalid_message", "message", "%s", refusal);
    return fault_set(fault, RESULT_INVALID, "invalid_message", "message",
                     "The message must have 1 to %zu characters.", limits->max_message_length);
}

enum result parse_message(struct json_object *body, const struct dialect_limits *limits,
                          const char *refusal, struct turn_request *out, struct fault *fault)
{
    const char *text = NULL;
    size_t len = 0, count;

    if (json_get_string(body, "message", &text, &len) != JSON_FOUND)
        return bad_message(limits, refusal, fault);
    out->message = clean_copy(text, len, &out->message_len);
    if (out->message == NULL)
        return out_of_memory(fault);
    count = text_utf8_count(out->message, out->message_len);
    if (count == 0 || count > limits->max_message_length)
        return bad_message(limits, refusal, fault);
    return RESULT_OK;
}

enum result parse_string(struct json_object *body, const char *key, size_t max_bytes, char **out,
                         struct fault *fault)
{
    const char *text = NULL;
    size_t len = 0;

    switch (json_get_string(body, key, &text, &len)) {
    case JSON_ABSENT:
        return RESULT_OK;
    case JSON_WRONG_TYPE:
        return wrong_type(fault, key, "a string");
    case JSON_FOUND:
        break;
    }
    if (len == 0)
        return RESULT_OK;
    if (len > max_bytes || text_has_control(text, len))
        return wrong_type(fault, key, "shorter and without control characters");
    *out = strndup(text, len);
    return *out != NULL ? RESULT_OK : out_of_memory(fault);
}

static void lower_ascii(char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text += 'a' - 'A';
}

enum result parse_common(struct json_object *body, bool stream_by_default, struct turn_request *out,
                         struct fault *fault)
{
    enum result result;

    out->stream = stream_by_default;
    if (json_get_bool(body, "stream", &out->stream) == JSON_WRONG_TYPE)
        return wrong_type(fault, "stream", "true or false");
    if ((result = parse_string(body, "provider", CAP_PROVIDER_NAME - 1, &out->provider, fault)) !=
            RESULT_OK ||
        (result = parse_string(body, "model", CAP_MODEL_NAME - 1, &out->model, fault)) != RESULT_OK)
        return result;
    lower_ascii(out->provider);
    return parse_string(body, "client_message_id", CAP_CLIENT_ID, &out->client_message_id, fault);
}

/* One string of user_context; too long is an error, because cutting it would change its meaning. */
static enum result add_context(struct json_object *context, const char *key, const char *field,
                               struct buf *json, struct fault *fault)
{
    const char *text = NULL;
    size_t len = 0, clean_len;
    char *clean;

    switch (json_get_string(context, key, &text, &len)) {
    case JSON_ABSENT:
        return RESULT_OK;
    case JSON_WRONG_TYPE:
        return wrong_type(fault, field, "a string");
    case JSON_FOUND:
        break;
    }
    if (text_utf8_count(text, len) > CAP_CONTEXT_CHARS)
        return wrong_type(fault, field, "at most 200 characters long");
    if ((clean = clean_copy(text, len, &clean_len)) == NULL)
        return out_of_memory(fault);
    if (clean_len > 0)
        json_put_member_len(json, key, clean, clean_len);
    free(clean);
    return RESULT_OK;
}

enum result parse_context(struct json_object *body, struct turn_request *out, struct fault *fault)
{
    struct json_object *context = NULL;
    struct buf json;
    enum result result;

    switch (json_get_object(body, "user_context", &context)) {
    case JSON_ABSENT:
        return RESULT_OK;
    case JSON_WRONG_TYPE:
        return wrong_type(fault, "user_context", "an object");
    case JSON_FOUND:
        break;
    }
    buf_init(&json, 4 * CAP_CONTEXT_FIELD * 6);
    buf_puts(&json, "{");
    result = add_context(context, "page", "user_context.page", &json, fault);
    if (result == RESULT_OK)
        result =
            add_context(context, "product_interest", "user_context.product_interest", &json, fault);
    buf_puts(&json, "}");
    if (result == RESULT_OK && json.len > 2 && (out->context_json = buf_take(&json)) == NULL)
        result = out_of_memory(fault);
    buf_free(&json);
    return result;
}

static enum result parse_entry(struct json_object *entry, const struct dialect_limits *limits,
                               struct chat_message *out, struct fault *fault)
{
    const char *role = json_string_or_null(entry, "role");
    const char *text = NULL;
    size_t len = 0, count;

    if (role == NULL || (strcmp(role, "user") != 0 && strcmp(role, "assistant") != 0))
        return wrong_type(fault, "history", "a list of {role: user or assistant, content}");
    if (json_get_string(entry, "content", &text, &len) != JSON_FOUND)
        return wrong_type(fault, "history", "a list of {role, content: text}");
    out->role = strcmp(role, "user") == 0 ? CHAT_USER : CHAT_ASSISTANT;
    if ((out->content = clean_copy(text, len, &out->len)) == NULL)
        return out_of_memory(fault);
    count = text_utf8_count(out->content, out->len);
    if (out->role == CHAT_USER && count > limits->max_message_length)
        return wrong_type(fault, "history", "made of messages that are not too long");
    return RESULT_OK;
}

enum result parse_history(struct json_object *body, const struct dialect_limits *limits,
                          struct turn_request *out, struct fault *fault)
{
    struct json_object *list = NULL;
    size_t count;

    switch (json_get_array(body, "history", &list)) {
    case JSON_ABSENT:
        return RESULT_OK;
    case JSON_WRONG_TYPE:
        return wrong_type(fault, "history", "a list");
    case JSON_FOUND:
        break;
    }
    count = json_object_array_length(list);
    if (count > limits->max_history)
        return fault_set(fault, RESULT_INVALID, "invalid_field", "history",
                         "The field history has at most %zu entries.", limits->max_history);
    if (count > 0 && out->conversation_id != NULL)
        return fault_set(fault, RESULT_INVALID, "invalid_field", "history",
                         "The field history is for requests without a conversation_id.");
    if (count == 0)
        return RESULT_OK;
    if ((out->history = calloc(count, sizeof *out->history)) == NULL)
        return out_of_memory(fault);
    for (; out->history_len < count; out->history_len++) {
        struct json_object *entry = json_object_array_get_idx(list, out->history_len);
        enum result result;

        if (!json_object_is_type(entry, json_type_object))
            return wrong_type(fault, "history", "a list of {role, content}");
        result = parse_entry(entry, limits, &out->history[out->history_len], fault);
        if (result != RESULT_OK) {
            free(out->history[out->history_len].content);
            return result;
        }
    }
    return RESULT_OK;
}
