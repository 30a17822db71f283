/*
 * item_history: see item_history.h. Pure.
 */
#include "common/responses/item_history.h"

#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/caps.h"
#include "common/base/json.h"

#define SIZE_FIRST 32

static bool is(const char *text, const char *word)
{
    return text != NULL && strcmp(text, word) == 0;
}

static bool grow(struct item_history *history)
{
    size_t size = history->size > 0 ? 2 * history->size : SIZE_FIRST;
    struct chat_message *messages = realloc(history->messages, size * sizeof *messages);
    struct chat_use *uses;

    if (messages == NULL)
        return false;
    history->messages = messages;
    if ((uses = realloc(history->uses, size * sizeof *uses)) == NULL)
        return false;
    history->uses = uses;
    history->size = size;
    return true;
}

/* Copies everything. False when out of memory. */
static bool add(struct item_history *history, enum chat_role role, const char *content, size_t len,
                const struct chat_use *use)
{
    struct chat_message *message;
    struct chat_use *kept;

    if (history->count == history->size && !grow(history))
        return false;
    message = &history->messages[history->count];
    kept = &history->uses[history->count];
    *message = (struct chat_message){ .role = role, .content = malloc(len + 1), .len = len };
    *kept = (struct chat_use){ .kind = use->kind };
    if (message->content == NULL)
        return false;
    memcpy(message->content, content, len);
    message->content[len] = '\0';
    history->count++;
    kept->id = use->id != NULL ? strdup(use->id) : NULL;
    kept->name = use->name != NULL ? strdup(use->name) : NULL;
    return (use->id == NULL || kept->id != NULL) && (use->name == NULL || kept->name != NULL);
}

/* ---- one item each ---- */

static void put_parts(struct buf *out, struct json_object *parts)
{
    for (size_t i = 0; i < json_object_array_length(parts); i++) {
        struct json_object *part = json_object_array_get_idx(parts, i);
        const char *text;
        size_t len;

        if (json_object_is_type(part, json_type_object) &&
            (json_get_string(part, "text", &text, &len) == JSON_FOUND ||
             json_get_string(part, "refusal", &text, &len) == JSON_FOUND))
            buf_put(out, text, len);
    }
}

static bool add_message(struct item_history *history, enum chat_role role, struct json_object *item)
{
    static const struct chat_use none = { CHAT_USE_NONE, NULL, NULL };
    struct json_object *parts;
    const char *text;
    struct buf content;
    size_t len;
    bool added;

    buf_init(&content, CAP_UPSTREAM_REQUEST);
    if (json_get_string(item, "content", &text, &len) == JSON_FOUND)
        buf_put(&content, text, len);
    else if (json_get_array(item, "content", &parts) == JSON_FOUND)
        put_parts(&content, parts);
    added = content.len == 0 || add(history, role, buf_str(&content), content.len, &none);
    buf_free(&content);
    return added;
}

static bool add_call(struct item_history *history, struct json_object *item)
{
    struct chat_use use = { CHAT_USE_CALL, json_string_or_null(item, "call_id"),
                            json_string_or_null(item, "name") };
    const char *arguments = json_string_or_null(item, "arguments");
    struct json_object *checked = NULL;
    bool sound = arguments != NULL &&
                 json_parse_deep(arguments, strlen(arguments), CAP_ITEM_DEPTH, &checked, NULL) ==
                     RESULT_OK &&
                 json_object_is_type(checked, json_type_object);

    json_object_put(checked);
    if (use.id == NULL || use.name == NULL)
        return true;
    if (!sound)
        arguments = "{}";
    return add(history, CHAT_ASSISTANT, arguments, strlen(arguments), &use);
}

static bool add_result(struct item_history *history, struct json_object *item)
{
    struct chat_use use = { CHAT_USE_RESULT, json_string_or_null(item, "call_id"), NULL };
    struct json_object *output;
    const char *text = "";

    if (json_object_object_get_ex(item, "output", &output) && output != NULL)
        text = json_object_is_type(output, json_type_string) ? json_object_get_string(output)
                                                             : json_object_to_json_string(output);
    return use.id == NULL || add(history, CHAT_USER, text, strlen(text), &use);
}

static bool add_item(struct item_history *history, struct json_object *item)
{
    const char *type, *role;

    if (!json_object_is_type(item, json_type_object))
        return true;
    type = json_string_or_null(item, "type");
    role = json_string_or_null(item, "role");
    if (is(type, "function_call"))
        return add_call(history, item);
    if (is(type, "function_call_output"))
        return add_result(history, item);
    if (type != NULL && !is(type, "message"))
        return true;
    if (is(role, "user"))
        return add_message(history, CHAT_USER, item);
    return !is(role, "assistant") || add_message(history, CHAT_ASSISTANT, item);
}

/* ---- calls need their results, and results their calls: the APIs refuse one without the other ---- */

static void drop(struct item_history *history, size_t at)
{
    size_t rest = history->count - at - 1;

    free(history->messages[at].content);
    free((char *)(uintptr_t)history->uses[at].id);
    free((char *)(uintptr_t)history->uses[at].name);
    memmove(&history->messages[at], &history->messages[at + 1], rest * sizeof history->messages[0]);
    memmove(&history->uses[at], &history->uses[at + 1], rest * sizeof history->uses[0]);
    history->count--;
}

/* The next message after `at` that is not a call is the result of this one. */
static bool answered(const struct item_history *history, size_t at)
{
    return at + 1 < history->count && history->uses[at + 1].kind == CHAT_USE_RESULT &&
           strcmp(history->uses[at + 1].id, history->uses[at].id) == 0;
}

/* Move each call directly before its result: a front end may have said something in between. */
static void join_pairs(struct item_history *history)
{
    for (size_t at = 1; at < history->count; at++) {
        if (history->uses[at].kind != CHAT_USE_RESULT)
            continue;
        for (size_t i = at - 1; i-- > 0;) {
            struct chat_message message = history->messages[i];
            struct chat_use use = history->uses[i];

            if (use.kind != CHAT_USE_CALL || strcmp(use.id, history->uses[at].id) != 0)
                continue;
            memmove(&history->messages[i], &history->messages[i + 1],
                    (at - i - 1) * sizeof message);
            memmove(&history->uses[i], &history->uses[i + 1], (at - i - 1) * sizeof use);
            history->messages[at - 1] = message;
            history->uses[at - 1] = use;
            break;
        }
    }
}

static void drop_lonely(struct item_history *history)
{
    join_pairs(history);
    for (size_t at = 0; at < history->count;) {
        enum chat_use_kind kind = history->uses[at].kind;

        if (kind == CHAT_USE_CALL && answered(history, at))
            at += 2;
        else if (kind == CHAT_USE_NONE)
            at++;
        else
            drop(history, at);
    }
}

/* ---- together ---- */

enum result item_history_read(const char *items, size_t len, struct item_history *out,
                              struct fault *fault)
{
    struct json_object *array = NULL;
    enum result result = json_parse_deep(items, len, CAP_ITEM_DEPTH, &array, fault);
    bool good = true;

    *out = (struct item_history){ 0 };
    if (result != RESULT_OK)
        return result;
    for (size_t i = 0;
         good && json_object_is_type(array, json_type_array) && i < json_object_array_length(array);
         i++)
        good = add_item(out, json_object_array_get_idx(array, i));
    json_object_put(array);
    if (!good)
        result = fault_set(fault, RESULT_INTERNAL, "internal_error", NULL, "Out of memory.");
    drop_lonely(out);
    if (good && (out->count == 0 || out->messages[out->count - 1].role != CHAT_USER))
        result = fault_set(fault, RESULT_INVALID, "no_question", "messages",
                           "There is nothing in messages that could be answered.");
    if (result != RESULT_OK)
        item_history_free(out);
    return result;
}

void item_history_free(struct item_history *history)
{
    for (size_t i = 0; i < history->count; i++) {
        free((char *)(uintptr_t)history->uses[i].id);
        free((char *)(uintptr_t)history->uses[i].name);
    }
    chat_messages_free(history->messages, history->count);
    free(history->uses);
    *history = (struct item_history){ 0 };
}
