/*
 * events: see events.h. Neighbours: sse (below), skim and emit (beside), anthropic.c and
 * openai_responses.c (the tables). Runs on the thread that feeds the decoder.
 *
 * Half an event at the end of a body is no reason to call the reply malformed: it was cut, and says so by
 * having no end.
 */
#include "common/providers/events.h"

#include <json-c/json.h>
#include <string.h>

#include "common/base/caps.h"
#include "common/base/json.h"

bool events_is(struct skim value, const char *text)
{
    size_t len = strlen(text);
    return skim_is_string(value) && value.len == len + 2 && memcmp(value.at + 1, text, len) == 0;
}

/* ---- which event ---- */

static const struct events_row *row_named(const struct events *events, const char *name)
{
    for (size_t i = 0; i < events->row_count; i++) {
        if (strcmp(events->rows[i].name, name) == 0)
            return &events->rows[i];
    }
    return NULL;
}

/* By the data alone. False when that is no object. Gateways send {"error":{...}} without any name. */
static bool row_of_data(const struct events *events, struct skim data,
                        const struct events_row **row)
{
    enum { TYPE, ERROR, COUNT };
    static const struct skim_key keys[COUNT] = { SKIM_KEY("type"), SKIM_KEY("error") };
    struct skim values[COUNT];
    *row = NULL;
    if (!skim_object(data, keys, COUNT, values))
        return false;
    for (size_t i = 0; i < events->row_count && !*row; i++) {
        if (events_is(values[TYPE], events->rows[i].name))
            *row = &events->rows[i];
    }
    if (!values[TYPE].at && values[ERROR].at)
        *row = row_named(events, "error");
    return true;
}

static void on_event(void *ctx, const char *event, const char *data, size_t len)
{
    struct events *events = ctx;
    struct skim text = { data, len };
    const struct events_row *row;
    bool good = true;
    if (events->emit.ended || strspn(data, " \t\n") == len)
        return;
    events->got_event = true;
    if (*event != '\0')
        row = row_named(events, event);
    else if (strncmp(data, "[DONE]", 6) == 0) /* of gateways that know only Chat Completions */
        row = NULL;
    else
        good = row_of_data(events, text, &row);
    if (good && row)
        good = row->take(events->stream, text);
    if (!good && !events->at_end)
        events_fail(events, FAILURE_BAD);
}

/* ---- life ---- */

void events_init(struct events *events, const struct events_row *rows, size_t row_count,
                 struct provider_stream *stream, stream_sink *sink, void *ctx)
{
    *events = (struct events){ .rows = rows, .row_count = row_count, .stream = stream };
    emit_init(&events->emit, sink, ctx);
    sse_init(&events->sse, on_event, events);
    buf_init(&events->scratch, CAP_SSE_EVENT);
}

void events_free(struct events *events)
{
    emit_free(&events->emit);
    sse_free(&events->sse);
    buf_free(&events->scratch);
}

void events_feed(struct events *events, const char *bytes, size_t len)
{
    if (!events->emit.ended && !sse_feed(&events->sse, bytes, len))
        events_fail(events, FAILURE_BAD);
}

void events_end(struct events *events)
{
    events->at_end = true;
    if (!events->emit.ended)
        sse_end(&events->sse);
    if (events->emit.ended)
        return;
    if (events->finish != FINISH_NONE)
        events_finish(events);
    else
        events_fail(events, events->got_event ? FAILURE_CUT : FAILURE_BAD);
}

/* ---- what rows need ---- */

static bool read_string(struct events *events, struct skim value, const char **chars, size_t *len)
{
    if (!skim_is_string(value))
        return false;
    if (skim_string(value, &events->scratch, chars, len))
        return true;
    events_fail(events, FAILURE_BAD);
    return false;
}

void events_text(struct events *events, enum stream_type type, struct skim value)
{
    const char *chars;
    size_t len;
    if (read_string(events, value, &chars, &len))
        emit_text(&events->emit, type, chars, len);
}

void events_model(struct events *events, struct skim value)
{
    const char *chars;
    size_t len;
    if (!events->emit.model_told && read_string(events, value, &chars, &len))
        emit_model(&events->emit, chars, len);
}

void events_read_reason(struct events *events, const struct events_reason *reasons,
                        struct skim value)
{
    if (!skim_is_string(value))
        return;
    while (reasons->name && !events_is(value, reasons->name))
        reasons++;
    events->finish = reasons->reason;
}

void events_finish(struct events *events)
{
    enum finish_reason reason = events->finish == FINISH_NONE ? FINISH_STOP : events->finish;
    emit_finish(&events->emit, reason);
}

void events_fail(struct events *events, enum failure_kind kind)
{
    struct fault fault;
    failure_fault(kind, &fault);
    emit_failed(&events->emit, &fault);
}

void events_error(struct events *events, struct skim error)
{
    struct json_object *object = NULL;
    struct fault fault;
    if (skim_is_object(error))
        json_parse(error.at, error.len, &object, NULL);
    failure_in_stream(object, &fault);
    emit_failed(&events->emit, &fault);
    json_object_put(object);
}
