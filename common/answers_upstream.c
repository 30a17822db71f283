/*
 * answers_upstream: the provider's side of a running answer: asks over the relay (or paces an offline
 * provider by a timer), feeds the decoder, and turns what comes, or does not come, into the answer's text
 * and end. Loop thread.
 *
 * The decoder's events only record; what follows from them happens after the decoder has returned,
 * because ending an answer frees the decoder.
 */
#include <stdlib.h>
#include <string.h>

#include "common/answers_private.h"

static void set_detail(struct answer *answer, const char *detail)
{
    free(answer->log_detail);
    answer->log_detail = strdup(detail);
}

/* Our own fault: no other try would help. */
static void fail_memory(struct answer *answer)
{
    struct fault fault;

    fault_set(&fault, RESULT_INTERNAL, "internal_error", NULL,
              "Something went wrong on our side. Please try again.");
    answer_end(answer, TURN_FAILED, FINISH_ERROR, &fault);
}

/* The decoder gave up: an error frame, garbage, or the end before the end. */
static void fail_stream(struct answer *answer)
{
    struct attempt_failure failure = { .failure = { .retry_after_ms = -1 } };

    failure.failure.fault = *answer->provider_fault;
    failure.failure.retryable = provider_fault_retryable(answer->provider_fault);
    failure.ill = failure.failure.retryable &&
                  strcmp(answer->provider_fault->code, "provider_rate_limited") != 0;
    failover_failed(answer, &failure);
}

/* ---- events from the decoder ---- */

static void on_event(void *ctx, const struct stream_event *event)
{
    struct answer *answer = ctx;
    char *model;

    switch (event->type) {
    case STREAM_DELTA:
        if (!tool_loop_grow(answer, event->text, event->text_len))
            answer->overflow = true;
        break;
    case STREAM_REASONING:
        if (answer->wants_reasoning)
            buf_put(&answer->reasoning, event->text, event->text_len);
        break;
    case STREAM_TOOL_CALL:
        tool_loop_called(answer, event);
        break;
    case STREAM_USAGE:
        tool_loop_spent(answer, event->usage, &answer->usage);
        break;
    case STREAM_MODEL:
        if (event->text_len < CAP_MODEL_NAME &&
            (model = strndup(event->text, event->text_len)) != NULL) {
            free(answer->model);
            answer->model = model;
        }
        break;
    case STREAM_FINISH:
        answer->finish = event->finish;
        answer->provider_ended = true;
        break;
    case STREAM_FAILED:
        if ((answer->provider_fault = malloc(sizeof *event->fault)) != NULL)
            *answer->provider_fault = *event->fault;
        answer->provider_ended = true;
        break;
    }
}

/* Nobody else will be asked; the same provider perhaps, with what came of its call. */
static void drop_start(struct answer *answer)
{
    if (answer->start->tool_count > 0)
        return;
    answer_start_free(answer->start);
    free(answer->start);
    answer->start = NULL;
}

/* What the events since the last call mean for the answer. Tells the readers. */
static void settle_events(struct answer *answer)
{
    if (answer->phase != ANSWER_RUNNING)
        return;
    if (answer->text.len > 0 && !answer->committed) {
        failover_succeeded(answer);
        answer->committed = true;
        drop_start(answer);
    }
    if (answer->overflow) {
        answer_end(answer, TURN_COMPLETE, FINISH_LENGTH, NULL);
    } else if (answer->provider_ended && answer->provider_fault != NULL) {
        fail_stream(answer);
    } else if (answer->provider_ended) {
        failover_succeeded(answer);
        if (answer->call != NULL)
            relay_drain(answer->call);
        answer->call = NULL;
        if (!tool_loop_goes_on(answer))
            answer_end(answer, TURN_COMPLETE, answer->finish, NULL);
    }
    answer_notify(answer);
}

/* ---- over the relay ---- */

static void open_decoder(struct answer *answer)
{
    struct provider_call call;

    answer_start_call(answer->start, answer->provider, answer->model, &call);
    answer->stream = answer->provider->ops->open(&call, on_event, answer);
}

static void on_head(void *ctx, int status)
{
    struct answer *answer = ctx;

    answer->http_status = status;
    if (status < 300)
        open_decoder(answer);
}

static void on_body(void *ctx, const char *bytes, size_t len)
{
    struct answer *answer = ctx;

    if (answer->stream == NULL) {
        size_t room = answer->error_body.cap - answer->error_body.len;

        buf_put(&answer->error_body, bytes, len < room ? len : room);
        return;
    }
    /* curl gives out each chunk of a reply by itself. What the one before meant is told now, with the word that
     * more comes; the last one's, and mostly it is the only one, in on_settled. */
    if (answer->more)
        settle_events(answer);
    if (answer->stream == NULL) /* it had ended; nobody would say that no more comes */
        return;
    answer->more = true;
    answer->provider->ops->feed(answer->stream, bytes, len);
}

static void on_settled(void *ctx)
{
    struct answer *answer = ctx;

    answer->more = false;
    if (answer->stream != NULL)
        settle_events(answer);
}

/* A certificate or a silence would be met again at the same provider. */
static bool only_elsewhere(enum relay_end end)
{
    switch (end) {
    case RELAY_TLS:
    case RELAY_TLS_HOST:
    case RELAY_TLS_CA:
    case RELAY_TLS_EXPIRED:
    case RELAY_TIMEOUT_CONNECT:
    case RELAY_TIMEOUT_FIRST_BYTE:
    case RELAY_TIMEOUT_IDLE:
        return true;
    default:
        return false;
    }
}

static void fail_transfer(struct answer *answer, enum relay_end end, const char *detail)
{
    struct attempt_failure failure = { .ill = true };
    struct fault *fault = &failure.failure.fault;

    relay_end_fault(end, fault);
    failure.not_here = only_elsewhere(end);
    failure.failure.retryable = end != RELAY_TIMEOUT_TOTAL;
    failure.failure.retry_after_ms = -1;
    if (fault->result == RESULT_UPSTREAM_DOWN)
        fault->retry_after_s = 5;
    set_detail(answer, detail[0] != '\0' ? detail : relay_end_name(end));
    failover_failed(answer, &failure);
}

static const char *reply_header(void *ctx, const char *name)
{
    return relay_header(ctx, name);
}

static void fail_http(struct answer *answer, struct relay_call *call)
{
    struct attempt_failure failure = { .ill = answer->http_status >= 500 };

    answer->provider->ops->explain(answer->http_status, reply_header, call,
                                   buf_str(&answer->error_body), answer->error_body.len,
                                   &failure.failure);
    set_detail(answer, failure.failure.detail);
    failover_failed(answer, &failure);
}

static void on_done(void *ctx, enum relay_end end, const char *detail)
{
    struct answer *answer = ctx;
    struct relay_call *call = answer->call;

    answer->call = NULL; /* the relay frees it when we return */
    if (answer->stream != NULL && end == RELAY_COMPLETE)
        answer->provider->ops->end(answer->stream);
    if (answer->provider_ended)
        settle_events(answer);
    else if (answer->http_status >= 300 && end == RELAY_COMPLETE)
        fail_http(answer, call);
    else if (end == RELAY_COMPLETE) /* a 2xx whose decoder could not be opened */
        fail_memory(answer);
    else
        fail_transfer(answer, end, detail);
}

static const struct relay_handler handler = {
    .head = on_head, .body = on_body, .settled = on_settled, .done = on_done
};

/* The provider's support can find our request by it, and we theirs. */
static const char *with_request_id(const struct answer *answer, struct buf *headers)
{
    if (answer->request_id[0] != '\0')
        buf_putf(headers, "X-Request-Id: %s\n", answer->request_id);
    return buf_str(headers);
}

static void begin_relay(struct answer *answer, int64_t total_timeout_ms)
{
    const struct provider *provider = answer->provider;
    struct provider_request *encoded = &answer->start->encoded;
    size_t body_len = encoded->body.len;
    struct relay_request request = {
        .method = "POST",
        .url = buf_str(&encoded->url),
        .headers = with_request_id(answer, &encoded->headers),
        .body = buf_take(&encoded->body),
        .body_len = body_len,
        .connect_timeout_ms = provider->connect_timeout_ms,
        .first_byte_timeout_ms = provider->first_byte_timeout_ms,
        .idle_timeout_ms = provider->idle_timeout_ms,
        .total_timeout_ms = total_timeout_ms,
    };

    answer->call = relay_start(answer->answers->options.relay, &request, &handler, answer);
    if (answer->call == NULL)
        fail_memory(answer);
}

/* ---- later ---- */

static void on_pace_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_later(uv_timer_t *timer)
{
    struct answer *answer = timer->data;

    answer->pace = NULL;
    uv_close((uv_handle_t *)timer, on_pace_closed);
    answer->later(answer);
}

bool upstream_later(struct answer *answer, int64_t wait_ms, void (*then)(struct answer *))
{
    answer->pace = malloc(sizeof *answer->pace);
    if (answer->pace == NULL)
        return false;
    uv_timer_init(answer->answers->loop, answer->pace);
    answer->pace->data = answer;
    answer->later = then;
    uv_timer_start(answer->pace, on_later, (uint64_t)wait_ms, 0);
    return true;
}

/* ---- offline providers ---- */

static void on_pace(uv_timer_t *timer)
{
    struct answer *answer = timer->data;
    int64_t wait_ms = answer->provider->ops->next(answer->stream);

    if (wait_ms >= 0)
        uv_timer_start(timer, on_pace, (uint64_t)wait_ms, 0);
    settle_events(answer);
}

static void begin_offline(struct answer *answer)
{
    open_decoder(answer);
    answer->pace = malloc(sizeof *answer->pace);
    if (answer->stream == NULL || answer->pace == NULL) {
        free(answer->pace);
        answer->pace = NULL;
        fail_memory(answer);
        return;
    }
    uv_timer_init(answer->answers->loop, answer->pace);
    answer->pace->data = answer;
    uv_timer_start(answer->pace, on_pace, 0, 0);
}

void upstream_begin(struct answer *answer, int64_t total_timeout_ms)
{
    if (answer->provider->ops->next != NULL)
        begin_offline(answer);
    else
        begin_relay(answer, total_timeout_ms);
}

void upstream_close(struct answer *answer)
{
    answer->more = false;
    failover_release(answer);
    tool_loop_cancel(answer);
    if (answer->call != NULL)
        relay_cancel(answer->call);
    answer->call = NULL;
    if (answer->stream != NULL)
        answer->provider->ops->close(answer->stream);
    answer->stream = NULL;
    if (answer->pace != NULL)
        uv_close((uv_handle_t *)answer->pace, on_pace_closed);
    answer->pace = NULL;
}
