/*
 * round_provider: reads the reply of a provider of any format and makes the events of the Responses API of it. What
 * the decoder says is turned into events while it speaks; the end only after it has returned. Loop thread.
 */
#include <string.h>

#include "common/responses/round_private.h"
#include "common/responses/turn_call.h"

static void on_synth(void *ctx, const char *type, const char *json, size_t len)
{
    struct round *round = ctx;

    round_event(round, type, json, len);
}

static void on_stream(void *ctx, const struct stream_event *event)
{
    struct round *round = ctx;

    switch (event->type) {
    case STREAM_DELTA:
        synth_text(&round->synth, event->text, event->text_len);
        break;
    case STREAM_TOOL_CALL:
        synth_call(&round->synth, event->tool, event->text, event->text_len);
        break;
    case STREAM_USAGE:
        round->usage = *event->usage;
        break;
    case STREAM_FINISH:
        synth_finish(&round->synth, event->finish, &round->usage);
        round_ended(round, event->finish);
        break;
    case STREAM_FAILED:
        round_failed(round, event->fault);
        break;
    case STREAM_REASONING:
    case STREAM_MODEL:
        break;
    }
}

static bool open_reader(struct round *round)
{
    struct provider_call call;

    turn_call_fill(round->plan, &round->request.history, &call);
    synth_init(&round->synth, round->plan->model, on_synth, round);
    round->stream = round->plan->provider->ops->open(&call, on_stream, round);
    if (round->stream == NULL)
        synth_free(&round->synth);
    return round->stream != NULL;
}

static void check_room(struct round *round)
{
    struct fault fault;

    if (!round->synth.failed || round->ended)
        return;
    fault_set(&fault, RESULT_TOO_LARGE, "answer_too_large", NULL, "The answer is too long.");
    round_failed(round, &fault);
}

static void feed(struct round *round, const char *bytes, size_t len)
{
    if (round->ended)
        return;
    round->plan->provider->ops->feed(round->stream, bytes, len);
    check_room(round);
}

static void end(struct round *round)
{
    if (!round->ended)
        round->plan->provider->ops->end(round->stream);
}

static void close_reader(struct round *round)
{
    round->plan->provider->ops->close(round->stream);
    synth_free(&round->synth);
}

const struct round_reader round_reader_provider = {
    .open = open_reader,
    .feed = feed,
    .end = end,
    .close = close_reader,
};
