/*
 * round_native: reads the stream of the Responses API and passes its events on, unchanged. Looks only for the end,
 * for what was used, and whether each event is JSON: one that is not would end the front end's turn. Loop thread.
 */
#include <json-c/json.h>
#include <string.h>

#include "common/base/caps.h"
#include "common/base/json.h"
#include "common/providers/failure.h"
#include "common/providers/skim.h"
#include "common/providers/wire.h"
#include "common/responses/round_private.h"

/* response.completed repeats all items, files that code has written among them. */
#define CAP_EVENT (16u * 1024 * 1024)

static const struct {
    const char *type;
    enum finish_reason finish;
} ends[] = {
    { "response.completed", FINISH_STOP },
    { "response.incomplete", FINISH_LENGTH },
    { "response.failed", FINISH_ERROR },
};

static void read_usage(struct round *round, struct json_object *event)
{
    struct json_object *response, *usage;

    if (json_get_object(event, "response", &response) != JSON_FOUND ||
        json_get_object(response, "usage", &usage) != JSON_FOUND)
        return;
    round->usage = (struct stream_usage){
        .prompt_tokens = wire_tokens(usage, "input_tokens"),
        .completion_tokens = wire_tokens(usage, "output_tokens"),
        .total_tokens = wire_tokens(usage, "total_tokens"),
        .known = true,
    };
}

/* Flat by the specification, {"error":{...}} from the API itself when it refuses early. */
static void take_error(struct round *round, struct json_object *event)
{
    struct json_object *nested;
    struct fault fault;

    if (json_get_object(event, "error", &nested) == JSON_FOUND)
        event = nested;
    failure_in_stream(event, &fault);
    round_failed(round, &fault);
}

/* response.failed was passed on; what it says is for our own books. */
static void take_failed(struct round *round, struct json_object *event)
{
    struct json_object *response = NULL, *error = NULL;
    struct fault fault;

    json_get_object(event, "response", &response);
    if (response != NULL)
        json_get_object(response, "error", &error);
    failure_in_stream(error, &fault);
    round->fault_told = true;
    round_failed(round, &fault);
}

static void fail(struct round *round, enum failure_kind kind)
{
    struct fault fault;

    failure_fault(kind, &fault);
    round_failed(round, &fault);
}

static void take_event(struct round *round, const char *type, const char *data, size_t len,
                       struct json_object *event)
{
    if (strcmp(type, "error") == 0) {
        take_error(round, event);
        return;
    }
    round_event(round, type, data, len);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (strcmp(type, ends[i].type) != 0)
            continue;
        read_usage(round, event);
        if (ends[i].finish == FINISH_ERROR)
            take_failed(round, event);
        round_ended(round, ends[i].finish);
    }
}

static void on_event(void *ctx, const char *event, const char *data, size_t len)
{
    struct round *round = ctx;
    struct json_object *object = NULL;
    const char *type;

    if (round->ended || strspn(data, " \t\n") == len || strncmp(data, "[DONE]", 6) == 0)
        return;
    if (json_parse_deep(data, len, CAP_ITEM_DEPTH, &object, NULL) != RESULT_OK ||
        !json_object_is_type(object, json_type_object)) {
        fail(round, FAILURE_BAD);
    } else {
        type = json_string_or_null(object, "type");
        if (type == NULL)
            type = *event != '\0'                                     ? event
                   : json_object_object_get_ex(object, "error", NULL) ? "error"
                                                                      : "";
        take_event(round, type, data, len, object);
    }
    json_object_put(object);
}

static bool open_reader(struct round *round)
{
    sse_init(&round->sse, on_event, round);
    buf_init(&round->sse.line, CAP_EVENT);
    buf_init(&round->sse.data, CAP_EVENT);
    return true;
}

static void feed(struct round *round, const char *bytes, size_t len)
{
    if (!round->ended && !sse_feed(&round->sse, bytes, len))
        fail(round, FAILURE_BAD);
}

/* Half an event at the end was cut, and is no JSON to complain about. */
static void end(struct round *round)
{
    if (!round->ended)
        fail(round, round->told ? FAILURE_CUT : FAILURE_BAD);
}

static void close_reader(struct round *round)
{
    sse_free(&round->sse);
}

const struct round_reader round_reader_native = {
    .open = open_reader,
    .feed = feed,
    .end = end,
    .close = close_reader,
};
