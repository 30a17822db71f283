/*
 * conversation_view: see conversation_view.h. Rows come in order, and an answer made anew comes after those
 * that it supersedes; so they are written down, and taken back when a newer one comes.
 *
 * Request thread.
 */
#include "fcgi/endpoints/conversation_view.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/providers/skim.h"
#include "fcgi/app.h"
#include "fcgi/http/exchange.h"

void conversation_view_init(struct conversation_view *view)
{
    *view = (struct conversation_view){ .all = false };
    buf_init(&view->out, CAP_RESPONSE_BODY);
}

void conversation_view_free(struct conversation_view *view)
{
    buf_free(&view->out);
}

struct store_asker conversation_view_asker(const struct exchange *exchange)
{
    return (struct store_asker){
        .owner = &exchange->owner,
        .now_ms = clock_wall_ms(),
        .session_ttl_ms = exchange->app->config->session_ttl_s * 1000,
    };
}

struct store_audit conversation_view_audit(const struct exchange *exchange, const char *action,
                                           char subject[CONVERSATION_SHORT])
{
    text_copy(subject, CONVERSATION_SHORT, exchange->request.path_arg);
    return (struct store_audit){
        .owner = &exchange->owner,
        .address = exchange->request.address,
        .action = action,
        .subject = subject,
        .count = 1,
        .now_ms = clock_wall_ms(),
    };
}

bool conversation_view_number(const char *text, size_t min, size_t max, size_t *out)
{
    char *end;
    unsigned long number;

    if (text[0] < '0' || text[0] > '9')
        return false;
    number = strtoul(text, &end, 10);
    if (*end != '\0' || number < min || number > max)
        return false;
    *out = number;
    return true;
}

static void put_time(struct buf *out, const char *key, int64_t ms)
{
    char stamp[CLOCK_RFC3339_SIZE];

    json_put_member(out, key, clock_rfc3339(ms, stamp));
}

/* ---- which answers ---- */

/* A model is not shown it either. What a failure added to another answer stays in sight. */
static bool came_to_nothing(const struct store_message *message)
{
    if (message->status == TURN_STREAMING)
        return false;
    return message->content_len == 0 || strcmp(message->finish, "fallback") == 0 ||
           (message->status == TURN_FAILED && message->continues == NULL);
}

/* True when it belongs in sight. Then an answer that it replaces is gone; one that came to nothing replaces none. */
static bool place_message(struct conversation_view *view, const struct store_message *message)
{
    struct buf *out = &view->out;

    if (strcmp(message->role, "user") == 0) {
        view->answers_at = 0;
        view->answered = false;
        return true;
    }
    if (strcmp(message->role, "assistant") != 0)
        return true;
    if (message->again && !view->all && view->answered && came_to_nothing(message))
        return false;
    if (message->again && message->continues == NULL && !view->all && view->answers_at > 0 &&
        out->len > view->answers_at) {
        out->len = view->answers_at;
        out->data[out->len] = '\0';
    }
    view->answered = !came_to_nothing(message);
    return true;
}

static bool has_pictures(const struct store_message *message)
{
    return strlen(message->attachments) > strlen("[]");
}

/* ---- JSON ---- */

void conversation_view_head(struct buf *out, const struct store_conversation *conversation)
{
    json_put_member(out, "id", conversation->id);
    json_put_member(out, "title", conversation->title);
    put_time(out, "created_at", conversation->created_ms);
    put_time(out, "updated_at", conversation->updated_ms);
    json_put_member(out, "contract", conversation->contract);
    if (conversation->user_id != NULL)
        json_put_member(out, "user_id", conversation->user_id);
}

/* Millionths of a unit would round small answers to nothing: nine digits, as the store counts. */
static void put_total(struct buf *out, const struct store_conversation_usage *usage)
{
    if (usage->answers == 0)
        return;
    buf_puts(out, ",\"usage\":{");
    json_put_member_int(out, "answers", usage->answers);
    json_put_member_int(out, "prompt_tokens", usage->prompt_tokens);
    json_put_member_int(out, "completion_tokens", usage->completion_tokens);
    buf_puts(out, ",\"cost\":");
    text_nano(out, usage->cost_nano);
    buf_putc(out, '}');
}

static bool head_json(void *ctx, const struct store_conversation *conversation)
{
    struct conversation_view *view = ctx;

    text_copy(view->title, sizeof view->title, conversation->title);
    buf_putc(&view->out, '{');
    conversation_view_head(&view->out, conversation);
    if (view->exported)
        put_time(&view->out, "exported_at", clock_wall_ms());
    put_total(&view->out, &conversation->usage);
    if (!view->head_only)
        buf_puts(&view->out, ",\"messages\":[");
    return true;
}

static void put_answer(struct buf *out, const struct store_message *message)
{
    json_put_member(out, "provider", message->provider);
    json_put_member(out, "model", message->model);
    if (message->finish[0] != '\0')
        json_put_member(out, "finish_reason", message->finish);
    if (message->error_code[0] != '\0')
        json_put_member(out, "code", message->error_code);
    if (message->continues != NULL)
        json_put_member(out, "continues", message->continues);
    if (message->again && message->continues == NULL)
        json_put_member_bool(out, "regenerated", true);
    if (message->rating != 0)
        json_put_member_int(out, "rating", message->rating);
    if (message->sources != NULL)
        json_put_member_raw(out, "sources", message->sources);
    stream_usage_put(out, &message->usage);
}

/* The next of the items of a message that is, or is not, the call of a tool. */
static bool next_item(struct skim *rest, bool calls, struct skim *item)
{
    static const struct skim_key keys[] = { SKIM_KEY("type") };
    static const char call[] = "\"tool_call\"";
    struct skim type;

    while (skim_next(rest, item)) {
        bool is_call = skim_object(*item, keys, 1, &type) && type.len == sizeof call - 1 &&
                       memcmp(type.at, call, type.len) == 0;

        if (is_call == calls)
            return true;
    }
    return false;
}

static struct skim items_of(const struct store_message *message)
{
    return (struct skim){ message->items, message->items != NULL ? strlen(message->items) : 0 };
}

static void put_items(struct buf *out, const char *key, bool calls,
                      const struct store_message *message)
{
    struct skim rest = items_of(message), item;
    bool any = false;

    for (; next_item(&rest, calls, &item); any = true) {
        if (!any)
            json_put_member_raw(out, key, "[");
        else
            buf_putc(out, ',');
        buf_put(out, item.at, item.len);
    }
    if (any)
        buf_putc(out, ']');
}

static bool message_json(void *ctx, const struct store_message *message)
{
    struct conversation_view *view = ctx;
    struct buf *out = &view->out;
    bool answer = strcmp(message->role, "assistant") == 0;

    if (out->failed || !place_message(view, message))
        return !out->failed;
    buf_puts(out, out->data[out->len - 1] == '[' ? "{" : ",{");
    json_put_member(out, "id", message->id);
    json_put_member(out, "role", message->role);
    json_put_member_len(out, "content", message->content, message->content_len);
    json_put_member(out, "status", turn_status_name(message->status));
    put_time(out, "created_at", message->created_ms);
    put_time(out, "updated_at", message->updated_ms);
    if (answer)
        put_answer(out, message);
    else if (has_pictures(message))
        json_put_member_raw(out, "attachments", message->attachments);
    put_items(out, "tool_calls", true, message);
    if (view->exported)
        put_items(out, "items", false, message);
    buf_putc(out, '}');
    if (!answer)
        view->answers_at = out->len;
    return !out->failed;
}

enum result conversation_view_json(struct conversation_view *view, struct exchange *exchange,
                                   struct fault *fault)
{
    struct store_asker asker = conversation_view_asker(exchange);
    enum result result =
        store_conversation_read(exchange->app->store, &asker, exchange->request.path_arg, head_json,
                                view->head_only ? NULL : message_json, view, fault);

    buf_puts(&view->out, view->head_only ? "}" : "]}");
    return result;
}

/* ---- Markdown ---- */

static bool head_markdown(void *ctx, const struct store_conversation *conversation)
{
    struct conversation_view *view = ctx;
    char stamp[CLOCK_RFC3339_SIZE];

    text_copy(view->title, sizeof view->title, conversation->title);
    buf_puts(&view->out, "# ");
    buf_puts(&view->out, view->title[0] != '\0' ? view->title : "Conversation");
    buf_putf(&view->out, "\n\n*%s*\n", clock_rfc3339(conversation->created_ms, stamp));
    return true;
}

static void put_code(struct buf *out, const char *before, struct skim json)
{
    buf_putf(out, "%s`", before);
    buf_put(out, json.at != NULL ? json.at : "", json.len);
    buf_putc(out, '`');
}

/* {"type","index","at","name","arguments","result" or "error"}, as a line each. */
static void put_call_lines(struct buf *out, const struct store_message *message)
{
    enum { NAME, ARGUMENTS, RESULT, ERROR, COUNT };
    static const struct skim_key keys[COUNT] = { SKIM_KEY("name"), SKIM_KEY("arguments"),
                                                 SKIM_KEY("result"), SKIM_KEY("error") };
    struct skim rest = items_of(message), item, values[COUNT];

    while (next_item(&rest, true, &item)) {
        if (!skim_object(item, keys, COUNT, values))
            continue;
        buf_puts(out, "> Tool ");
        put_code(out, "", values[NAME]);
        put_code(out, " ", values[ARGUMENTS]);
        put_code(out, ": ", values[values[RESULT].at != NULL ? RESULT : ERROR]);
        buf_puts(out, "\n\n");
    }
}

static const char *speaker(const struct store_message *message)
{
    if (strcmp(message->role, "assistant") == 0)
        return "Assistant";
    return strcmp(message->role, "user") == 0 ? "You" : "Tool";
}

static bool message_markdown(void *ctx, const struct store_message *message)
{
    struct conversation_view *view = ctx;
    struct buf *out = &view->out;
    char stamp[CLOCK_RFC3339_SIZE];
    bool answer = strcmp(message->role, "assistant") == 0;

    if (out->failed || !place_message(view, message))
        return !out->failed;
    if (message->continues != NULL && view->text_end > 0) { /* without a seam, in mid-sentence */
        out->len = view->text_end;
    } else {
        buf_putf(out, "\n## %s\n\n*%s", speaker(message),
                 clock_rfc3339(message->created_ms, stamp));
        if (answer)
            buf_putf(out, ", %s, %s", message->provider, message->model);
        buf_puts(out, "*\n\n");
    }
    put_call_lines(out, message);
    buf_put(out, message->content, message->content_len);
    view->text_end = out->len;
    if (has_pictures(message))
        buf_puts(out, "\n\n*(with pictures)*");
    if (answer && message->status != TURN_COMPLETE)
        buf_putf(out, "\n\n*(%s)*", turn_status_name(message->status));
    buf_putc(out, '\n');
    if (!answer)
        view->answers_at = out->len;
    return !out->failed;
}

enum result conversation_view_markdown(struct conversation_view *view, struct exchange *exchange,
                                       struct fault *fault)
{
    struct store_asker asker = conversation_view_asker(exchange);

    return store_conversation_read(exchange->app->store, &asker, exchange->request.path_arg,
                                   head_markdown, message_markdown, view, fault);
}
