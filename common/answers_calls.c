/*
 * answers_calls: the list of the tools that were called for an answer, as readers see it and as the store keeps it: one
 * JSON object per call, {"type":"tool_call","index","at","name","arguments"} and, when it is over, "result" or "error".
 * answers_tools.c fills it for answers that run here, the store for others. Loop thread.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/answers_private.h"
#include "common/base/json.h"
#include "common/providers/skim.h"

#define CAP_CALL (2 * CAP_SSE_EVENT) /* what a model may say, and what a tool may answer */

const struct answer_call *answer_calls(const struct answer *answer)
{
    return answer->calls;
}

void calls_free(struct answer *answer)
{
    for (struct answer_call *call = answer->calls, *next; call != NULL; call = next) {
        next = call->next;
        free(call->json);
        free(call);
    }
    answer->calls = NULL;
}

static size_t count_calls(const struct answer *answer)
{
    size_t count = 0;

    for (const struct answer_call *call = answer->calls; call != NULL; call = call->next)
        count++;
    return count;
}

struct answer_call *calls_add(struct answer *answer, char *json, size_t at)
{
    struct answer_call *call = json != NULL ? calloc(1, sizeof *call) : NULL;
    struct answer_call **end = &answer->calls;

    if (call == NULL) {
        free(json);
        return NULL;
    }
    call->json = json;
    call->at = at;
    call->index = count_calls(answer);
    while (*end != NULL)
        end = &(*end)->next;
    *end = call;
    return call;
}

/* The error of a tool is for people: its words without the object around them. */
static void put_outcome(struct buf *out, const struct tool_reply *reply)
{
    struct json_object *object = NULL;
    const char *error;

    if (reply->status == 200) {
        json_put_member_raw(out, "result", reply->json);
        return;
    }
    json_parse(reply->json, reply->len, &object, NULL);
    error = json_string_or_null(object, "error");
    json_put_member(out, "error", error != NULL ? error : "");
    json_object_put(object);
}

char *calls_json(const struct answer_call_facts *facts, const struct tool_reply *reply)
{
    struct buf out;

    buf_init(&out, CAP_CALL);
    buf_putc(&out, '{');
    json_put_member(&out, "type", "tool_call");
    json_put_member_int(&out, "index", (int64_t)facts->index);
    json_put_member_int(&out, "at", (int64_t)facts->at);
    json_put_member(&out, "name", facts->name);
    json_put_member_raw(&out, "arguments", facts->arguments);
    if (reply != NULL)
        put_outcome(&out, reply);
    buf_putc(&out, '}');
    if (!out.failed)
        return buf_take(&out);
    buf_free(&out);
    return NULL;
}

void calls_take(struct answer *answer, const char *stored)
{
    static const struct skim_key keys[] = { SKIM_KEY("at") };
    struct skim rest = { stored, stored != NULL ? strlen(stored) : 0 }, item, at;
    size_t known = count_calls(answer);
    struct answer_call *call;

    for (size_t i = 0; rest.at != NULL && skim_next(&rest, &item); i++) {
        if (i < known || !skim_object(item, keys, 1, &at))
            continue;
        call = calls_add(answer, strndup(item.at, item.len), (size_t)skim_number(at, 0));
        if (call != NULL)
            call->done = true;
    }
}
