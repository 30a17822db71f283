/*
 * turn_body: see turn_body.h. Fields are found in the raw text (skim), because what a tree would write again
 * is not what came: numbers, order and unknown members must survive. The tree is only for checking. Pure.
 */
#include "common/responses/turn_body.h"

#include <json-c/json.h>
#include <string.h>

#include "common/base/caps.h"
#include "common/base/json.h"
#include "common/base/text.h"

static enum result wrong(struct fault *fault, const char *field, const char *text)
{
    return fault_set(fault, RESULT_INVALID, "invalid_field", field, "%s", text);
}

static bool is_word(struct skim value, const char *word)
{
    return value.at != NULL && value.len == strlen(word) && memcmp(value.at, word, value.len) == 0;
}

static bool is_true(struct skim value)
{
    return is_word(value, "true");
}

static enum result check_items(struct skim messages, struct fault *fault)
{
    struct skim item;
    size_t count = 0;

    if (!skim_is_array(messages))
        return wrong(fault, "messages", "The field messages must be an array of items.");
    while (skim_next(&messages, &item)) {
        count++;
        if (!skim_is_object(item))
            return wrong(fault, "messages", "Each item of messages must be an object.");
    }
    if (count == 0)
        return wrong(fault, "messages", "The field messages must have at least one item.");
    return RESULT_OK;
}

static enum result read_fields(struct skim text, struct turn_body *out, struct fault *fault)
{
    enum { MESSAGES, STATE, TOOLS, SERVER, COUNT };
    static const struct skim_key keys[COUNT] = { SKIM_KEY("messages"), SKIM_KEY("toolsState"),
                                                 SKIM_KEY("tools"), SKIM_KEY("server_tools") };
    static const struct skim_key google[] = { SKIM_KEY("googleIntegrationEnabled") };
    struct skim values[COUNT], enabled;
    enum result result;

    if (!skim_object(text, keys, COUNT, values))
        return wrong(fault, NULL, "The body must be a JSON object.");
    *out = (struct turn_body){ .messages = values[MESSAGES],
                               .tools_state = values[STATE],
                               .tools = values[TOOLS],
                               .server_tools = is_true(values[SERVER]) };
    if ((result = check_items(out->messages, fault)) != RESULT_OK)
        return result;
    if (out->tools_state.at == NULL && !skim_is_array(out->tools))
        return wrong(fault, "toolsState", "The field toolsState is missing.");
    if (out->tools_state.at != NULL && !skim_is_object(out->tools_state))
        return wrong(fault, "toolsState", "The field toolsState must be an object.");
    if (values[SERVER].at != NULL && !out->server_tools && !is_word(values[SERVER], "false"))
        return wrong(fault, "server_tools", "The field server_tools must be true or false.");
    if (out->tools_state.at != NULL && skim_object(out->tools_state, google, 1, &enabled))
        out->google = is_true(enabled);
    return RESULT_OK;
}

enum result turn_body_read(const char *bytes, size_t len, struct turn_body *out,
                           struct fault *fault)
{
    struct json_object *checked = NULL;
    enum result result = json_parse_deep(bytes, len, CAP_ITEM_DEPTH, &checked, fault);

    json_object_put(checked);
    if (result != RESULT_OK)
        return result;
    return read_fields((struct skim){ bytes, len }, out, fault);
}

/* ---- what the turn begins with ---- */

struct skim turn_body_last(const struct turn_body *body)
{
    struct skim messages = body->messages, item, last = { 0 };

    while (skim_next(&messages, &item))
        last = item;
    return last;
}

static void put_text(struct buf *out, struct json_object *parts)
{
    for (size_t i = 0; i < json_object_array_length(parts); i++) {
        struct json_object *part = json_object_array_get_idx(parts, i);
        const char *text =
            json_object_is_type(part, json_type_object) ? json_string_or_null(part, "text") : NULL;

        if (text != NULL)
            buf_puts(out, text);
    }
}

void turn_body_question(const struct turn_body *body, struct buf *out, const char **role)
{
    struct skim item = turn_body_last(body);
    struct json_object *object = NULL, *parts;
    const char *text, *said;

    *role = "tool";
    if (json_parse_deep(item.at, item.len, CAP_ITEM_DEPTH, &object, NULL) != RESULT_OK ||
        object == NULL)
        return;
    said = json_string_or_null(object, "role");
    if (said != NULL && strcmp(said, "user") == 0)
        *role = "user";
    text = json_string_or_null(object, "content");
    if (text == NULL)
        text = json_string_or_null(object, "output");
    if (text != NULL)
        buf_puts(out, text);
    else if (json_get_array(object, "content", &parts) == JSON_FOUND)
        put_text(out, parts);
    if (out->len == 0 && (text = json_string_or_null(object, "type")) != NULL)
        buf_puts(out, text);
    json_object_put(object);
}

size_t turn_body_ids(const struct turn_body *body, char (*ids)[128], size_t max)
{
    static const struct skim_key keys[] = { SKIM_KEY("id") };
    struct skim rest = body->messages, item, id;
    size_t count = 0;

    while (skim_next(&rest, &item)) {
        if (!skim_object(item, keys, 1, &id) || !skim_is_string(id) || id.len < 3 ||
            id.len - 2 >= sizeof ids[0])
            continue;
        if (count == max)
            count--;
        memmove(ids + 1, ids, count * sizeof ids[0]);
        memcpy(ids[0], id.at + 1, id.len - 2);
        ids[0][id.len - 2] = '\0';
        count++;
    }
    return count;
}

/* ---- instructions ---- */

void turn_instructions_put(struct buf *out, const char *prompt, const struct tm *today)
{
    static const char *const days[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday" };
    static const char *const months[] = { "January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December" };

    buf_puts(out, prompt);
    buf_putf(out, "\n\nToday is %s, %s %d, %d.", days[today->tm_wday % 7],
             months[today->tm_mon % 12], today->tm_mday, today->tm_year + 1900);
}
