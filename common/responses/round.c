/*
 * round: see round.h. Asks over the relay (or paces an offline provider by a timer), tries again where that may
 * help and nothing was passed on yet, and says once how it ended. The readers only note what they found;
 * what follows from it happens here, after they have returned. Loop thread.
 */
#include "common/responses/round.h"

#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/providers/failure.h"
#include "common/responses/round_private.h"
#include "common/responses/tries.h"

#define RETRY_MAX_MS 60000 /* what a provider asks for beyond that is not waited for */

static void begin(struct round *round);

/* ---- what readers found ---- */

void round_event(struct round *round, const char *type, const char *json, size_t len)
{
    if (round->ended)
        return;
    round->told = true;
    round->sink->event(round->ctx, type, json, len);
}

void round_ended(struct round *round, enum finish_reason finish)
{
    if (round->ended)
        return;
    round->ended = true;
    round->finish = finish;
}

void round_failed(struct round *round, const struct fault *fault)
{
    if (round->ended)
        return;
    round->ended = round->failed = true;
    round->finish = FINISH_ERROR;
    round->fault = *fault;
}

/* ---- the end ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

static void close_timer(struct round *round)
{
    if (round->timer != NULL)
        uv_close((uv_handle_t *)round->timer, on_timer_closed);
    round->timer = NULL;
}

static void round_free(struct round *round)
{
    if (round->open)
        round->reader->close(round);
    close_timer(round);
    round_request_free(&round->request);
    buf_free(&round->error_body);
    free(round);
}

static void finish(struct round *round, const char *detail)
{
    struct round_end end = {
        .fault = round->failed ? &round->fault : NULL,
        .told = round->fault_told,
        .finish = round->finish,
        .usage = round->usage,
        .detail = detail,
    };

    round->sink->done(round->ctx, &end);
    round_free(round);
}

/* After the reader has returned: is it over? True: the round is gone. */
static bool settle(struct round *round)
{
    if (!round->ended)
        return false;
    finish(round, "");
    return true;
}

static void fail(struct round *round, const struct fault *fault, const char *detail)
{
    round_failed(round, fault);
    finish(round, detail);
}

/* ---- another try ---- */

static void on_retry(uv_timer_t *timer)
{
    begin(timer->data);
}

static bool start_timer(struct round *round, uv_timer_cb callback, int64_t wait_ms)
{
    if (round->timer == NULL) {
        if ((round->timer = malloc(sizeof *round->timer)) == NULL)
            return false;
        uv_timer_init(round->loop, round->timer);
        round->timer->data = round;
    }
    return uv_timer_start(round->timer, callback, (uint64_t)wait_ms, 0) == 0;
}

static bool try_again(struct round *round, int64_t asked_ms)
{
    int64_t wait_ms = tries_pause_ms(round->tries, asked_ms, RETRY_MAX_MS);

    if (round->told || wait_ms < 0)
        return false;
    buf_clear(&round->error_body);
    round->http_status = 0;
    return start_timer(round, on_retry, wait_ms);
}

/* ---- over the relay ---- */

static void on_settled(uv_timer_t *timer)
{
    settle(timer->data);
}

/* The relay is on the stack, and whoever hears of the end may want to ask it for something new. */
static void settle_soon(struct round *round)
{
    if (round->call != NULL && !round->failed)
        relay_drain(round->call);
    else if (round->call != NULL)
        relay_cancel(round->call);
    round->call = NULL;
    if (!start_timer(round, on_settled, 0))
        settle(round);
}

static void on_head(void *ctx, int status)
{
    struct round *round = ctx;

    round->http_status = status;
    if (status < 300)
        round->open = round->reader->open(round);
}

static void on_body(void *ctx, const char *bytes, size_t len)
{
    struct round *round = ctx;
    size_t room = round->error_body.cap - round->error_body.len;

    if (!round->open) {
        buf_put(&round->error_body, bytes, len < room ? len : room);
        return;
    }
    round->reader->feed(round, bytes, len);
    if (round->ended)
        settle_soon(round);
}

static const char *reply_header(void *ctx, const char *name)
{
    return relay_header(ctx, name);
}

static void fail_http(struct round *round, struct relay_call *call)
{
    struct provider_failure failure;

    memset(&failure, 0, sizeof failure);
    if (round->plan->provider != NULL)
        round->plan->provider->ops->explain(round->http_status, reply_header, call,
                                            buf_str(&round->error_body), round->error_body.len,
                                            &failure);
    else
        failure_explain(round->http_status, reply_header, call, buf_str(&round->error_body),
                        round->error_body.len, &failure);
    if (!failure.retryable || !try_again(round, failure.retry_after_ms))
        fail(round, &failure.fault, failure.detail);
}

static void fail_transfer(struct round *round, enum relay_end end, const char *detail)
{
    bool before = end == RELAY_UNREACHABLE || (end == RELAY_CUT && round->http_status == 0);
    struct fault fault;

    if (before && try_again(round, -1))
        return;
    relay_end_fault(end, &fault);
    fail(round, &fault, *detail != '\0' ? detail : relay_end_name(end));
}

static void fail_memory(struct round *round)
{
    struct fault fault;

    fault_set(&fault, RESULT_INTERNAL, "internal_error", NULL,
              "Something went wrong on our side. Please try again.");
    fail(round, &fault, "out of memory");
}

static void on_done(void *ctx, enum relay_end end, const char *detail)
{
    struct round *round = ctx;
    struct relay_call *call = round->call;

    round->call = NULL; /* the relay frees it when we return */
    if (round->open && end == RELAY_COMPLETE)
        round->reader->end(round);
    if (settle(round))
        return;
    if (round->http_status >= 300 && end == RELAY_COMPLETE)
        fail_http(round, call);
    else if (end == RELAY_COMPLETE)
        fail_memory(round);
    else
        fail_transfer(round, end, detail);
}

static const struct relay_handler handler = { .head = on_head, .body = on_body, .done = on_done };

static void put_deadlines(const struct round_plan *plan, struct relay_request *out)
{
    const struct config *config = plan->config;
    const struct provider *own = plan->payer;

    out->connect_timeout_ms = own != NULL ? own->connect_timeout_ms : config->connect_timeout_ms;
    out->first_byte_timeout_ms =
        own != NULL ? own->first_byte_timeout_ms : config->first_byte_timeout_ms;
    out->idle_timeout_ms = own != NULL ? own->idle_timeout_ms : config->idle_timeout_ms;
    out->total_timeout_ms = own != NULL ? own->total_timeout_ms : config->answer_timeout_ms;
}

static void begin(struct round *round)
{
    const struct provider_request *encoded = &round->request.encoded;
    struct relay_request request = {
        .method = "POST",
        .url = buf_str(&encoded->url),
        .headers = buf_str(&encoded->headers),
        .body = malloc(encoded->body.len + 1),
        .body_len = encoded->body.len,
    };

    put_deadlines(round->plan, &request);
    round->tries++;
    if (request.body != NULL) {
        memcpy(request.body, buf_str(&encoded->body), encoded->body.len + 1);
        round->call = relay_start(round->relay, &request, &handler, round);
    }
    if (round->call == NULL)
        fail_memory(round);
    else if (round->held)
        relay_hold(round->call);
}

/* ---- offline providers ---- */

static void on_pace(uv_timer_t *timer)
{
    struct round *round = timer->data;
    int64_t wait_ms;

    if (!round->open && !(round->open = round->reader->open(round))) {
        fail_memory(round);
        return;
    }
    if (round->held) {
        start_timer(round, on_pace, 50);
        return;
    }
    wait_ms = round->plan->provider->ops->next(round->stream);
    if (!settle(round) && wait_ms >= 0)
        start_timer(round, on_pace, wait_ms);
}

/* ---- from outside ---- */

struct round *round_start(uv_loop_t *loop, struct relay *relay, const struct round_plan *plan,
                          struct round_request *request, const struct round_sink *sink, void *ctx)
{
    struct round *round = calloc(1, sizeof *round);
    bool offline = plan->provider != NULL && plan->provider->ops->next != NULL;

    if (round == NULL) {
        round_request_free(request);
        return NULL;
    }
    round->loop = loop;
    round->relay = relay;
    round->plan = plan;
    round->request = *request;
    memset(request, 0, sizeof *request);
    round->reader = plan->provider != NULL ? &round_reader_provider : &round_reader_native;
    round->sink = sink;
    round->ctx = ctx;
    buf_init(&round->error_body, CAP_UPSTREAM_ERROR);
    /* By a timer in any case: the sink must not be called from here. */
    if (start_timer(round, offline ? on_pace : on_retry, 0))
        return round;
    round_free(round);
    return NULL;
}

void round_cancel(struct round *round)
{
    if (round == NULL)
        return;
    if (round->call != NULL)
        relay_cancel(round->call);
    round_free(round);
}

void round_hold(struct round *round)
{
    round->held = true;
    if (round->call != NULL)
        relay_hold(round->call);
}

void round_go_on(struct round *round)
{
    round->held = false;
    if (round->call != NULL)
        relay_go_on(round->call);
}
