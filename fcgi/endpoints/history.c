/*
 * history: GET and DELETE /api/chat/history/{user_id} (contract 002): the exchanges of a user, oldest first.
 *
 * Request thread.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/memory/memory.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/conversation_view.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/memory_elsewhere.h"
#include "fcgi/http/exchange.h"

#define LIMIT_DEFAULT   100
#define LIMIT_MAX       500
#define CAP_SMALL_REPLY 8192

struct history {
    struct buf body;
    int64_t count;
};

static bool put_exchange(void *ctx, const struct store_exchange *exchange)
{
    struct history *history = ctx;
    struct buf *body = &history->body;
    char stamp[CLOCK_RFC3339_SIZE];

    buf_puts(body, history->count++ > 0 ? ",{" : "{");
    json_put_member(body, "timestamp", clock_rfc3339(exchange->asked_ms, stamp));
    json_put_member_len(body, "user_message", exchange->question, exchange->question_len);
    json_put_member_len(body, "assistant_response", exchange->answer, exchange->answer_len);
    buf_putc(body, '}');
    return !body->failed;
}

static enum result check_user_id(const struct exchange *exchange, struct fault *fault)
{
    const char *user_id = exchange->request.path_arg;
    size_t len = strlen(user_id);

    if (text_utf8_count(user_id, len) <= CAP_USER_ID_CHARS && !text_has_control(user_id, len))
        return RESULT_OK;
    return fault_set(fault, RESULT_INVALID, "invalid_field", "user_id",
                     "The user_id must have 1 to %d characters.", CAP_USER_ID_CHARS);
}

static enum result read_query(const struct request *request, size_t *limit, int64_t *before_ms,
                              struct fault *fault)
{
    char text[64];

    *limit = LIMIT_DEFAULT;
    *before_ms = INT64_MAX;
    if (request_query(request, "limit", text, sizeof text) &&
        !conversation_view_number(text, 1, LIMIT_MAX, limit))
        return fault_set(fault, RESULT_INVALID, "invalid_field", "limit",
                         "limit must be a number from 1 to %d.", LIMIT_MAX);
    if (!request_query(request, "before", text, sizeof text))
        return RESULT_OK;
    for (char *c = text; *c != '\0'; c++) /* a + that somebody did not encode */
        *c = *c == ' ' ? '+' : *c;
    if (!clock_parse_rfc3339(text, before_ms))
        return fault_set(fault, RESULT_INVALID, "invalid_field", "before",
                         "before must be a timestamp such as 2026-01-02T03:04:05.678Z.");
    return RESULT_OK;
}

void endpoint_history(struct exchange *exchange)
{
    struct store_asker asker = conversation_view_asker(exchange);
    struct history history = { .count = 0 };
    struct fault fault;
    int64_t before_ms;
    size_t limit;
    enum result result = check_user_id(exchange, &fault);

    buf_init(&history.body, CAP_RESPONSE_BODY);
    buf_putc(&history.body, '{');
    json_put_member(&history.body, "user_id", exchange->request.path_arg);
    buf_puts(&history.body, ",\"history\":[");
    if (result == RESULT_OK)
        result = read_query(&exchange->request, &limit, &before_ms, &fault);
    if (result == RESULT_OK)
        result = store_history_read(exchange->app->store, &asker, exchange->request.path_arg,
                                    before_ms, limit, put_exchange, &history, &fault);
    buf_putc(&history.body, ']');
    json_put_member_int(&history.body, "count", history.count);
    buf_putc(&history.body, '}');
    if (result == RESULT_OK)
        response_json(&exchange->response, 200, &history.body);
    else
        response_fault(&exchange->response, &fault);
    buf_free(&history.body);
}

void endpoint_history_erase(struct exchange *exchange)
{
    struct store_asker asker = conversation_view_asker(exchange);
    struct store_remove what = { .user_id = exchange->request.path_arg };
    struct store_removed removed;
    char subject[CONVERSATION_SHORT];
    struct fault fault;
    struct buf body;
    bool elsewhere = false; /* does Mem0 remember him, and may this one have him forgotten? */
    enum result result = check_user_id(exchange, &fault);

    if (result == RESULT_OK && memory_is_elsewhere(exchange->app->memory))
        elsewhere = elsewhere_check(exchange, what.user_id, &fault) == RESULT_OK;
    what.audit = conversation_view_audit(exchange, "erased", subject);
    if (result == RESULT_OK)
        result = store_conversation_remove(exchange->app->store, &asker, &what, &removed, &fault);
    if (result != RESULT_OK) {
        response_fault(&exchange->response, &fault);
        return;
    }
    buf_init(&body, CAP_SMALL_REPLY);
    buf_putc(&body, '{');
    json_put_member(&body, "user_id", exchange->request.path_arg);
    json_put_member_int(&body, "deleted", removed.exchanges);
    json_put_member(&body, "message",
                    removed.exchanges > 0 ? "Conversation history cleared"
                                          : "There was no conversation history to clear");
    buf_putc(&body, '}');
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
    if (!elsewhere || !elsewhere_forget(exchange, what.user_id, removed.running))
        conversations_stop_erased(exchange, &removed);
}
