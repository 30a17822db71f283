/*
 * conversations: GET /api/conversations and GET, PATCH, DELETE /api/conversations/{id}, its export, and DELETE
 * /api/sessions/{sessionId}. The shapes of conversations and messages are conversation_view.c's.
 *
 * Request thread; replies are written into one buffer, at most CAP_RESPONSE_BODY.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/answers.h"
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/chat/title.h"
#include "common/memory/memory.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/conversation_view.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/memory_elsewhere.h"
#include "fcgi/http/exchange.h"

#define LIST_DEFAULT    30
#define LIST_MAX        100
#define CAP_SEARCH      (200 * 4 + 1)
#define CAP_SMALL_REPLY 8192

/* ---- the list ---- */

struct list {
    struct buf body;
    size_t count, limit;
    int64_t last_ms, last_row;
};

/* One more than the limit was asked for: it only tells that there is a next page. */
static bool put_listed(void *ctx, const struct store_conversation *conversation)
{
    struct list *list = ctx;

    if (list->count++ == list->limit)
        return false;
    if (list->count > 1)
        buf_putc(&list->body, ',');
    buf_putc(&list->body, '{');
    conversation_view_head(&list->body, conversation);
    buf_putc(&list->body, '}');
    list->last_ms = conversation->updated_ms;
    list->last_row = conversation->row;
    return true;
}

static enum result invalid(struct fault *fault, const char *field, const char *sentence)
{
    return fault_set(fault, RESULT_INVALID, "invalid_field", field, "%s", sentence);
}

/* What a former reply gave as "next": "<ms>-<row>". */
static bool read_cursor(const char *text, struct store_list_query *out)
{
    char *end;

    errno = 0;
    out->before_ms = strtoll(text, &end, 10);
    if (end == text || *end != '-' || end[1] < '0' || end[1] > '9')
        return false;
    out->before_row = strtoll(end + 1, &end, 10);
    return *end == '\0' && errno == 0;
}

static enum result read_list_query(const struct request *request, char search[CAP_SEARCH],
                                   struct store_list_query *out, struct fault *fault)
{
    char text[64];

    *out = (struct store_list_query){ .before_ms = INT64_MAX, .before_row = INT64_MAX };
    out->limit = LIST_DEFAULT;
    if (request_query(request, "limit", text, sizeof text) &&
        !conversation_view_number(text, 1, LIST_MAX, &out->limit))
        return invalid(fault, "limit", "limit must be a number from 1 to 100.");
    if (request_query(request, "cursor", text, sizeof text) && text[0] != '\0' &&
        !read_cursor(text, out))
        return invalid(fault, "cursor", "cursor must be what a former reply gave as next.");
    if (request_query(request, "q", search, CAP_SEARCH)) {
        if (!text_utf8_valid(search, strlen(search)))
            return invalid(fault, "q", "The text to search for must be UTF-8.");
        text_clean(search, strlen(search));
        out->text = search[0] != '\0' ? search : NULL;
    } else if (strstr(request->query, "q=") == request->query ||
               strstr(request->query, "&q=") != NULL) {
        return invalid(fault, "q", "The text to search for is malformed, or too long.");
    }
    return RESULT_OK;
}

void endpoint_conversations(struct exchange *exchange)
{
    struct store_asker asker = conversation_view_asker(exchange);
    struct store_list_query query;
    char search[CAP_SEARCH], next[64];
    struct list list = { .limit = 0 };
    struct fault fault;
    enum result result = read_list_query(&exchange->request, search, &query, &fault);

    buf_init(&list.body, CAP_RESPONSE_BODY);
    buf_puts(&list.body, "{\"conversations\":[");
    list.limit = query.limit++;
    if (result == RESULT_OK)
        result = store_conversations_list(exchange->app->store, &asker, &query, put_listed, &list,
                                          &fault);
    if (result != RESULT_OK) {
        response_fault(&exchange->response, &fault);
        buf_free(&list.body);
        return;
    }
    buf_putc(&list.body, ']');
    snprintf(next, sizeof next, "%lld-%lld", (long long)list.last_ms, (long long)list.last_row);
    json_put_member(&list.body, "next", list.count > list.limit ? next : NULL);
    if (query.text != NULL)
        json_put_member(&list.body, "query", query.text);
    buf_putc(&list.body, '}');
    response_json(&exchange->response, 200, &list.body);
    buf_free(&list.body);
}

/* ---- one ---- */

static enum result check_id(const struct exchange *exchange, struct fault *fault)
{
    if (id_plausible(exchange->request.path_arg))
        return RESULT_OK;
    return fault_set(fault, RESULT_NOT_FOUND, "unknown_conversation", "conversation_id",
                     "This conversation does not exist.");
}

void endpoint_conversation(struct exchange *exchange)
{
    struct conversation_view view;
    struct fault fault;
    char all[8];
    enum result result = check_id(exchange, &fault);

    conversation_view_init(&view);
    view.all = request_query(&exchange->request, "all", all, sizeof all) && strcmp(all, "1") == 0;
    if (result == RESULT_OK)
        result = conversation_view_json(&view, exchange, &fault);
    if (result == RESULT_OK)
        response_json(&exchange->response, 200, &view.out);
    else
        response_fault(&exchange->response, &fault);
    conversation_view_free(&view);
}

static enum result read_title(struct exchange *exchange, char title[CAP_TITLE], struct fault *fault)
{
    const struct buf *bytes = &exchange->request.body;
    struct json_object *body = NULL;
    const char *text = NULL;
    size_t len = 0, count = 0;
    char *clean = NULL;
    enum result result = json_parse(bytes->data, bytes->len, &body, fault);

    if (result == RESULT_OK && !json_object_is_type(body, json_type_object))
        result = fault_set(fault, RESULT_INVALID, "invalid_json", NULL,
                           "The body must be a JSON object.");
    if (result == RESULT_OK && json_get_string(body, "title", &text, &len) == JSON_FOUND &&
        (clean = malloc(len + 1)) != NULL) {
        memcpy(clean, text, len);
        clean[len] = '\0';
        len = text_clean(clean, len);
        for (char *c = clean; *c != '\0'; c++)
            *c = *c == '\n' || *c == '\t' ? ' ' : *c;
        count = text_utf8_count(clean, len);
    }
    if (result == RESULT_OK && (count == 0 || count > TITLE_CHARS_MAX))
        result = invalid(fault, "title", "The field title must be a text of 1 to 120 characters.");
    if (result == RESULT_OK)
        text_copy(title, CAP_TITLE, clean);
    free(clean);
    json_object_put(body);
    return result;
}

void endpoint_conversation_rename(struct exchange *exchange)
{
    struct store_asker asker = conversation_view_asker(exchange);
    struct conversation_view view;
    char title[CAP_TITLE];
    struct fault fault;
    enum result result = check_id(exchange, &fault);

    conversation_view_init(&view);
    view.head_only = true;
    if (result == RESULT_OK)
        result = read_title(exchange, title, &fault);
    if (result == RESULT_OK)
        result = store_conversation_rename(exchange->app->store, &asker, exchange->request.path_arg,
                                           title, &fault);
    if (result == RESULT_OK)
        result = conversation_view_json(&view, exchange, &fault);
    if (result == RESULT_OK)
        response_json(&exchange->response, 200, &view.out);
    else
        response_fault(&exchange->response, &fault);
    conversation_view_free(&view);
}

/* ---- erasing ---- */

void conversations_stop_answer(struct app *app, const char *id)
{
    struct answer *answer = answers_find(app->answers, id);

    if (answer != NULL)
        answer_stop(answer, FINISH_STOPPED);
}

static void stop_erased(struct exchange *exchange)
{
    conversations_stop_answer(exchange->app, exchange->state);
    free(exchange->state);
    exchange_finish(exchange);
}

void conversations_stop_erased(struct exchange *exchange, const struct store_removed *removed)
{
    if (removed->running[0] == '\0')
        return;
    exchange->state = strdup(removed->running);
    if (exchange->state != NULL)
        exchange->on_loop = stop_erased;
}

static void erase(struct exchange *exchange, const char *key, bool session)
{
    struct store_asker asker = conversation_view_asker(exchange);
    struct store_remove what = { .id = exchange->request.path_arg, .session = session };
    struct store_removed removed;
    char subject[CONVERSATION_SHORT];
    struct fault fault;
    struct buf body;

    what.audit = conversation_view_audit(exchange, "erased", subject);
    if (store_conversation_remove(exchange->app->store, &asker, &what, &removed, &fault) !=
        RESULT_OK) {
        response_fault(&exchange->response, &fault);
        return;
    }
    buf_init(&body, CAP_SMALL_REPLY);
    buf_putc(&body, '{');
    json_put_member(&body, "status", "success");
    json_put_member(&body, key, exchange->request.path_arg);
    json_put_member(&body, "message",
                    session ? "Session deleted successfully" : "Conversation deleted successfully");
    buf_putc(&body, '}');
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
    /* Mem0 would tell whoever picks that user_id next. */
    if (removed.user_id[0] == '\0' || !memory_is_elsewhere(exchange->app->memory) ||
        !elsewhere_forget(exchange, removed.user_id, removed.running))
        conversations_stop_erased(exchange, &removed);
}

void endpoint_conversation_erase(struct exchange *exchange)
{
    erase(exchange, "id", false);
}

void endpoint_session_erase(struct exchange *exchange)
{
    erase(exchange, "sessionId", true);
}

/* ---- export ---- */

static void send_export(struct exchange *exchange, const struct conversation_view *view,
                        bool markdown)
{
    struct response *response = &exchange->response;
    char subject[CONVERSATION_SHORT];
    struct store_audit line = conversation_view_audit(exchange, "exported", subject);
    char now[CLOCK_RFC3339_SIZE];
    struct fault fault;
    struct buf name;

    if (view->out.failed) {
        fault_set(&fault, RESULT_TOO_LARGE, "export_too_large", NULL,
                  "This conversation is too long to be exported in one piece.");
        response_fault(response, &fault);
        return;
    }
    store_audit_add(exchange->app->store, &line);
    clock_rfc3339(line.now_ms, now);
    buf_init(&name, 2048);
    buf_putf(&name, "attachment; filename=\"conversation-%.10s.%s\"; filename*=UTF-8''", now,
             markdown ? "md" : "json");
    text_percent_encode(&name, view->title, strlen(view->title));
    buf_puts(&name, markdown ? ".md" : ".json");
    response_header(response, "Content-Disposition", buf_str(&name));
    buf_free(&name);
    response_send(response, 200, markdown ? "text/markdown; charset=utf-8" : RESPONSE_TYPE_JSON,
                  buf_str(&view->out), view->out.len);
}

void endpoint_conversation_export(struct exchange *exchange)
{
    char format[16] = "json";
    struct conversation_view view;
    struct fault fault;
    enum result result = check_id(exchange, &fault);
    bool markdown;

    request_query(&exchange->request, "format", format, sizeof format);
    markdown = strcmp(format, "markdown") == 0;
    conversation_view_init(&view);
    view.all = view.exported = !markdown;
    if (result == RESULT_OK && !markdown && strcmp(format, "json") != 0)
        result = invalid(&fault, "format", "format must be json or markdown.");
    if (result == RESULT_OK)
        result = markdown ? conversation_view_markdown(&view, exchange, &fault)
                          : conversation_view_json(&view, exchange, &fault);
    if (result == RESULT_OK)
        send_export(exchange, &view, markdown);
    else
        response_fault(&exchange->response, &fault);
    conversation_view_free(&view);
}
