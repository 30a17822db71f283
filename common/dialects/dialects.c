/*
 * dialects: the table of client-side formats, and which one a request speaks. To add a format: one file
 * with its struct dialect, one row in `dialects`, and one in `by_field` when it shares POST /api/chat.
 * Neighbours: parse.c (fields they share), frames.c (frames they share). Pure; request threads.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/dialects/dialect.h"

static const struct dialect *const dialects[] = {
    &dialect_support,
    &dialect_user,
    &dialect_session,
};

/* A body with this field speaks this dialect. */
static const struct {
    const char *field;
    const struct dialect *dialect;
} by_field[] = {
    { "sessionId", &dialect_session },
    { "user_id", &dialect_user },
};

const struct dialect *dialect_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof dialects / sizeof dialects[0]; i++)
        if (strcmp(dialects[i]->name, name) == 0)
            return dialects[i];
    return NULL;
}

enum result dialect_choose(struct json_object *body, const struct dialect **out,
                           struct fault *fault)
{
    const struct dialect *found = NULL;

    if (!json_object_is_type(body, json_type_object))
        return fault_set(fault, RESULT_INVALID, "invalid_json", NULL,
                         "The body must be a JSON object.");
    for (size_t i = 0; i < sizeof by_field / sizeof by_field[0]; i++) {
        if (json_object_object_get(body, by_field[i].field) == NULL)
            continue;
        if (found != NULL)
            return fault_set(fault, RESULT_INVALID, "ambiguous_contract", by_field[i].field,
                             "Send either sessionId or user_id, not both.");
        found = by_field[i].dialect;
    }
    *out = found != NULL ? found : &dialect_support;
    return RESULT_OK;
}

/* The parameters behind a media type: false when one of them is q with a value of 0. */
static bool is_wanted(const char *at, const char *end)
{
    while (at < end) {
        at += strspn(at, "; \t");
        if (at < end && strncasecmp(at, "q=", 2) == 0)
            return strtod(at + 2, NULL) > 0;
        at += strcspn(at, ";,");
    }
    return true;
}

/* One media range, e.g. " text/event-stream;q=0.5". */
static bool names_sse(const char *range, size_t len)
{
    static const char type[] = "text/event-stream";
    const char *end = range + len;

    range += strspn(range, " \t");
    if (strncasecmp(range, type, sizeof type - 1) != 0)
        return false;
    range += sizeof type - 1;
    return (range >= end || strchr(" \t;", *range) != NULL) && is_wanted(range, end);
}

bool dialect_accept_sse(const char *accept)
{
    while (accept != NULL && *accept != '\0') {
        size_t len = strcspn(accept, ",");

        if (names_sse(accept, len))
            return true;
        accept += len + (accept[len] == ',');
    }
    return false;
}
