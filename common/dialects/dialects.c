/*
 * dialects: the table of client-side formats, and which one a request speaks.
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

const struct dialect *dialect_find(const char *name)
{
    for (size_t i = 0; i < sizeof dialects / sizeof dialects[0]; i++)
        if (strcmp(dialects[i]->name, name) == 0)
            return dialects[i];
    return NULL;
}

enum result dialect_choose(struct json_object *body, const struct dialect **out,
                           struct fault *fault)
{
    bool session, user;

    if (!json_object_is_type(body, json_type_object))
        return fault_set(fault, RESULT_INVALID, "invalid_json", NULL,
                         "The body must be a JSON object.");
    session = json_object_object_get_ex(body, "sessionId", NULL);
    user = json_object_object_get_ex(body, "user_id", NULL);
    if (session && user)
        return fault_set(fault, RESULT_INVALID, "ambiguous_contract", "sessionId",
                         "Send either sessionId or user_id, not both.");
    *out = session ? &dialect_session : user ? &dialect_user : &dialect_support;
    return RESULT_OK;
}

/* The quality of one media range, e.g. " text/event-stream;q=0.5". */
static bool names_sse(const char *range, size_t len)
{
    static const char type[] = "text/event-stream";
    const char *end = range + len;
    const char *quality;

    while (range < end && (*range == ' ' || *range == '\t'))
        range++;
    if ((size_t)(end - range) < sizeof type - 1 || strncasecmp(range, type, sizeof type - 1) != 0)
        return false;
    range += sizeof type - 1;
    if (range < end && strchr(" \t;", *range) == NULL)
        return false;
    quality = memmem(range, (size_t)(end - range), "q=", 2);
    return quality == NULL || strtod(quality + 2, NULL) > 0;
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
