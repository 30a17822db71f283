/*
 * turn_tools: the browser's toolsState made into the tools of the Responses API, in the order and with the oddities
 * that contracts/turn_response.md, section 3, tells. Where the original sends what the API refuses (a file
 * search without a store), the tool is left out. Pure.
 */
#include <json-c/json.h>
#include <string.h>

#include "common/base/caps.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/responses/turn_body.h"
#include "common/tools/tools.h"

struct state {
    struct skim raw;
    struct json_object *object;
    const char *google_token;
};

static bool enabled(const struct state *state, const char *key)
{
    bool on = false;

    return json_get_bool(state->object, key, &on) == JSON_FOUND && on;
}

static void begin(struct buf *out, const char *type)
{
    if (out->len > 0 && out->data[out->len - 1] != '[')
        buf_putc(out, ',');
    buf_putc(out, '{');
    json_put_member(out, "type", type);
}

/* ---- one tool each ---- */

/* As it came: the raw text of webSearchConfig.user_location. */
static struct skim raw_location(const struct state *state)
{
    static const struct skim_key config_key[] = { SKIM_KEY("webSearchConfig") };
    static const struct skim_key location_key[] = { SKIM_KEY("user_location") };
    struct skim config, location;

    if (skim_object(state->raw, config_key, 1, &config) &&
        skim_object(config, location_key, 1, &location) && skim_is_object(location))
        return location;
    return (struct skim){ 0 };
}

/* Any of the three that is not "" counts, and so does one that is missing. */
static bool says_where(struct skim location)
{
    static const char *const parts[] = { "country", "region", "city" };
    struct json_object *object = NULL;
    bool says = false;

    if (location.at == NULL ||
        json_parse_deep(location.at, location.len, CAP_ITEM_DEPTH, &object, NULL) != RESULT_OK)
        return false;
    for (size_t i = 0; i < 3; i++) {
        const char *value = json_string_or_null(object, parts[i]);

        says = says || value == NULL || *value != '\0';
    }
    json_object_put(object);
    return says;
}

static void put_web_search(struct buf *out, const struct state *state)
{
    struct skim location = raw_location(state);

    begin(out, "web_search");
    if (says_where(location)) {
        json_put_member_raw(out, "user_location", "");
        buf_put(out, location.at, location.len);
    }
    buf_putc(out, '}');
}

static void put_file_search(struct buf *out, const struct state *state)
{
    struct json_object *store;
    const char *id;

    if (json_get_object(state->object, "vectorStore", &store) != JSON_FOUND ||
        (id = json_string_or_null(store, "id")) == NULL || *id == '\0')
        return;
    begin(out, "file_search");
    json_put_member_raw(out, "vector_store_ids", "[");
    json_put_string(out, id, strlen(id));
    buf_puts(out, "]}");
}

static void put_code(struct buf *out, const struct state *state)
{
    (void)state;
    begin(out, "code_interpreter");
    json_put_member_raw(out, "container", "{\"type\":\"auto\"}");
    buf_putc(out, '}');
}

static void put_functions(struct buf *out, const struct state *state)
{
    size_t count;
    const struct tool *const *tools = tools_list(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        begin(out, "function");
        json_put_member(out, "name", tools[i]->name);
        json_put_member(out, "description", tools[i]->description);
        json_put_member_raw(out, "parameters", tools[i]->parameters);
        json_put_member_bool(out, "strict", true);
        buf_putc(out, '}');
    }
}

static size_t trimmed(const char **text, size_t len)
{
    while (len > 0 && strchr(" \t\r\n", **text) != NULL) {
        (*text)++;
        len--;
    }
    while (len > 0 && strchr(" \t\r\n", (*text)[len - 1]) != NULL)
        len--;
    return len;
}

static void put_allowed_tools(struct buf *out, const char *list)
{
    const char *blank = list;

    if (list == NULL || trimmed(&blank, strlen(blank)) == 0)
        return;
    json_put_member_raw(out, "allowed_tools", "[");
    for (const char *at = list; *at != '\0';) {
        size_t piece_len = strcspn(at, ",");
        const char *name = at;
        size_t len = trimmed(&name, piece_len);

        if (len > 0 && out->data[out->len - 1] != '[')
            buf_putc(out, ',');
        if (len > 0)
            json_put_string(out, name, len);
        at += piece_len + (at[piece_len] == ',');
    }
    buf_putc(out, ']');
}

static void put_mcp(struct buf *out, const struct state *state)
{
    struct json_object *config;
    const char *url, *label;
    bool skip = false;

    if (json_get_object(state->object, "mcpConfig", &config) != JSON_FOUND)
        return;
    url = json_string_or_null(config, "server_url");
    label = json_string_or_null(config, "server_label");
    if (url == NULL || *url == '\0' || label == NULL || *label == '\0')
        return;
    begin(out, "mcp");
    json_put_member(out, "server_label", label);
    json_put_member(out, "server_url", url);
    if (json_get_bool(config, "skip_approval", &skip) == JSON_FOUND && skip)
        json_put_member(out, "require_approval", "never");
    put_allowed_tools(out, json_string_or_null(config, "allowed_tools"));
    buf_putc(out, '}');
}

static void put_connector(struct buf *out, const char *token, const char *label,
                          const char *connector, const char *description)
{
    begin(out, "mcp");
    json_put_member(out, "server_label", label);
    json_put_member(out, "server_description", description);
    json_put_member(out, "connector_id", connector);
    json_put_member(out, "authorization", token);
    json_put_member(out, "require_approval", "never");
    buf_putc(out, '}');
}

static void put_google(struct buf *out, const struct state *state)
{
    const char *token = state->google_token;

    if (token == NULL || *token == '\0')
        return;
    put_connector(out, token, "GoogleCalendar", "connector_googlecalendar",
                  "Search and read the user's calendar events");
    put_connector(out, token, "GoogleMail", "connector_gmail", "Search and read the user's e-mail");
}

static const struct {
    const char *key;
    void (*put)(struct buf *out, const struct state *state);
} rows[] = {
    { "webSearchEnabled", put_web_search },
    { "fileSearchEnabled", put_file_search },
    { "codeInterpreterEnabled", put_code },
    { "functionsEnabled", put_functions },
    { "mcpEnabled", put_mcp },
    { "googleIntegrationEnabled", put_google },
};

/* ---- together ---- */

void turn_tools_put(struct buf *out, const struct turn_body *body, const char *google_token)
{
    struct state state = { .raw = body->tools_state, .google_token = google_token };

    if (state.raw.at == NULL) {
        buf_put(out, body->tools.at, body->tools.len);
        return;
    }
    buf_putc(out, '[');
    if (json_parse_deep(state.raw.at, state.raw.len, CAP_ITEM_DEPTH, &state.object, NULL) ==
        RESULT_OK) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
            if (enabled(&state, rows[i].key))
                rows[i].put(out, &state);
    }
    buf_putc(out, ']');
    json_object_put(state.object);
}

static bool has_function(struct skim tools)
{
    static const struct skim_key keys[] = { SKIM_KEY("type") };
    static const char function[] = "\"function\"";
    struct skim tool, type;

    while (skim_next(&tools, &tool))
        if (skim_object(tool, keys, 1, &type) && type.len == sizeof function - 1 &&
            memcmp(type.at, function, type.len) == 0)
            return true;
    return false;
}

bool turn_tools_functions(const struct turn_body *body)
{
    static const struct skim_key keys[] = { SKIM_KEY("functionsEnabled") };
    struct skim on;

    if (body->tools_state.at == NULL)
        return has_function(body->tools);
    return skim_object(body->tools_state, keys, 1, &on) && on.at != NULL && on.len == 4 &&
           memcmp(on.at, "true", 4) == 0;
}
