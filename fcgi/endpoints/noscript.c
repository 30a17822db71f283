/*
 * noscript: POST /chat, the form of a page without JavaScript. The turn is the same as any other; only the bytes
 * are HTML: a dialect whose frames are pieces of a page. The page so far (head, earlier messages, question)
 * goes out before the first frame, the text as it comes, and the form to go on at the end. The
 * conversation's id travels in the form, so nothing has to be remembered for the browser.
 *
 * The form has a client_message_id as well: whoever reloads the page sends it again and gets the same answer.
 * Request thread; the dialect's frames are called on the loop. Neighbours: chat.c begins the turn,
 * http/plain.c has the frame of the page, answer_client streams.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/id.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/dialects/dialect.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/chat_turn.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/rate_limit.h"
#include "fcgi/http/exchange.h"
#include "fcgi/http/plain.h"

#define CAP_PREAMBLE (256 * 1024) /* bytes; older messages that do not fit are left out */

/* ---- the dialect ---- */

static enum result parse_form(struct json_object *body, const struct dialect_limits *limits,
                              struct turn_request *out, struct fault *fault)
{
    enum result result = dialect_support.parse(body, limits, out, fault);

    out->stream = true;
    return result;
}

static void open_message(struct buf *out, const char *kind, const char *who)
{
    buf_putf(out, "<section class=\"%s\"><h2>%s</h2><div class=\"text\" dir=\"auto\">", kind, who);
}

static void frame_first(const struct turn_reply *reply, size_t offset, struct buf *out)
{
    (void)reply;
    (void)offset;
    open_message(out, "assistant", "Answer");
}

static void frame_delta(const struct turn_reply *reply, const char *text, size_t len, size_t offset,
                        struct buf *out)
{
    (void)reply;
    (void)offset;
    text_html(out, text, len);
}

static void close_page(const struct turn_reply *reply, struct buf *out)
{
    char client_message_id[CAP_ID];

    id_make(client_message_id, "form_");
    buf_puts(out, "</section>");
    plain_close(out, reply->conversation_id, client_message_id);
}

/* Why the text ends where it does, when that is not by itself. */
static const struct {
    enum finish_reason finish;
    const char *words;
} notes[] = {
    { FINISH_LENGTH, "The answer reached its length limit." },
    { FINISH_CONTENT_FILTER, "The model declined to answer." },
    { FINISH_REFUSAL, "The model declined to answer." },
    { FINISH_STOPPED, "Stopped." },
    { FINISH_INTERRUPTED, "The answer was interrupted." },
};

/* The documents that the answer was given; a link only where it is one. */
static void put_sources(struct buf *out, const char *sources_json)
{
    struct json_object *list = NULL;
    struct fault fault;

    if (sources_json == NULL ||
        json_parse(sources_json, strlen(sources_json), &list, &fault) != RESULT_OK)
        return;
    buf_puts(out, "<p class=\"note\">Sources:</p><ul>");
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *source = json_object_array_get_idx(list, i);
        const char *title = json_string_or_null(source, "title");
        const char *url = json_string_or_null(source, "url");
        bool link =
            url != NULL && (text_starts_with(url, "https://") || text_starts_with(url, "http://"));

        buf_puts(out, link ? "<li><a href=\"" : "<li>");
        if (link) {
            text_html(out, url, strlen(url));
            buf_puts(out, "\">");
        }
        text_html(out, title != NULL ? title : "", title != NULL ? strlen(title) : 0);
        buf_puts(out, link ? "</a></li>" : "</li>");
    }
    buf_puts(out, "</ul>");
    json_object_put(list);
}

static void frame_last(const struct turn_reply *reply, size_t offset, struct buf *out)
{
    (void)offset;
    buf_puts(out, "</div>");
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++)
        if (notes[i].finish == reply->finish)
            buf_putf(out, "<p class=\"note\">%s</p>", notes[i].words);
    put_sources(out, reply->sources_json);
    close_page(reply, out);
}

static void frame_failed(const struct turn_reply *reply, const struct fault *fault, size_t offset,
                         struct buf *out)
{
    (void)offset;
    buf_puts(out, "</div><p class=\"error\" role=\"alert\">");
    text_html(out, fault->text, strlen(fault->text));
    buf_puts(out, "</p>");
    close_page(reply, out);
}

/* Never a JSON reply: every answer is streamed. */
static const struct dialect dialect_page = {
    .name = "support",
    .stream_by_default = true,
    .parse = parse_form,
    .frame_first = frame_first,
    .frame_delta = frame_delta,
    .frame_last = frame_last,
    .frame_failed = frame_failed,
    .stream_type = PLAIN_TYPE,
    .ping = "<!-- -->\n",
};

/* ---- the form ---- */

static const char *const fields[] = { "message", "conversation_id", "client_message_id" };

/* One "name=value"; what is none of our fields is ignored, and so is an empty one. */
static enum result read_field(char *pair, struct json_object *body, struct fault *fault)
{
    char *value = strchr(pair, '=');

    if (value == NULL || value[1] == '\0')
        return RESULT_OK;
    *value++ = '\0';
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strcmp(pair, fields[i]) != 0)
            continue;
        if (!text_percent_decode(value, true) || !text_utf8_valid(value, strlen(value)))
            return fault_set(fault, RESULT_INVALID, "invalid_field", fields[i],
                             "The field %s is not well-formed text.", fields[i]);
        json_object_object_add(body, fields[i], json_object_new_string(value));
    }
    return RESULT_OK;
}

static enum result read_form(const struct buf *bytes, struct json_object *body, struct fault *fault)
{
    char *copy = strndup(buf_str(bytes), bytes->len);
    enum result result = RESULT_OK;
    char *rest = copy, *pair;

    if (copy == NULL)
        return fault_set(fault, RESULT_OVERLOADED, "overloaded", NULL,
                         "The server is out of memory.");
    while (result == RESULT_OK && (pair = strsep(&rest, "&")) != NULL)
        result = read_field(pair, body, fault);
    free(copy);
    return result;
}

/* ---- the page so far ---- */

static void put_message(struct buf *out, bool is_users, const char *text, size_t len)
{
    open_message(out, is_users ? "user" : "assistant", is_users ? "You" : "Answer");
    text_html(out, text, len);
    buf_puts(out, "</div></section>");
}

/* The newest earlier messages that fit, oldest first; the last of the history is the question. */
static void put_history(struct buf *out, const struct chat *chat)
{
    const struct store_turn_begun *begun = &chat->start.begun;
    size_t question = begun->history_len > 0 ? begun->history_len - 1 : 0;
    size_t first = question, room = CAP_PREAMBLE / 2 / 6; /* escaped: six bytes for one at worst */

    while (first > 0 && begun->history[first - 1].len + 128 < room)
        room -= begun->history[--first].len + 128;
    /* A form that is sent again has earlier messages, of which nothing was read. */
    if (first > 0 || chat->exists)
        buf_puts(out, "<p class=\"note\">Earlier messages are not shown.</p>");
    for (; first < question; first++)
        if (begun->history[first].role != CHAT_SYSTEM)
            put_message(out, begun->history[first].role == CHAT_USER, begun->history[first].content,
                        begun->history[first].len);
}

static char *page_so_far(const struct exchange *exchange, const struct chat *chat)
{
    const char *question = chat->client.question != NULL ? chat->client.question : "";
    struct buf out;
    char *page;

    buf_init(&out, CAP_PREAMBLE);
    plain_open(&out, exchange->app->config->brand_name);
    put_history(&out, chat);
    put_message(&out, true, question,
                text_utf8_prefix(question, strlen(question), CAP_PREAMBLE / 4 / 6));
    page = buf_take(&out);
    buf_free(&out);
    return page;
}

static enum result prepare(struct exchange *exchange, const void *how, struct chat *chat,
                           struct fault *fault)
{
    struct json_object *body = json_object_new_object();
    enum result result = read_form(&exchange->request.body, body, fault);

    (void)how;
    if (result == RESULT_OK)
        result = chat_begin(exchange, body, &dialect_page, chat, fault);
    json_object_put(body);
    if (result != RESULT_OK)
        return result;
    chat->client.delivery = ANSWER_STREAM;
    chat->client.preamble = page_so_far(exchange, chat);
    return chat->client.preamble != NULL ? RESULT_OK
                                         : fault_set(fault, RESULT_OVERLOADED, "overloaded", NULL,
                                                     "The server is out of memory.");
}

void endpoint_chat_form(struct exchange *exchange)
{
    chat_ask(exchange, prepare, NULL);
}
