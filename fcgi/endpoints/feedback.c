/*
 * feedback: POST /api/messages/{message_id}/feedback {rating: 1|-1, comment?}: what somebody thinks of an
 * answer. The last word counts.
 *
 * Request thread.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/id.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/conversation_view.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/http/exchange.h"

#define COMMENT_CHARS   2000
#define CAP_SMALL_REPLY 1024

/* *comment is the caller's to free. */
static enum result read_comment(struct json_object *body, char **comment, struct fault *fault)
{
    const char *text = NULL;
    size_t len = 0;
    enum json_found found = json_get_string(body, "comment", &text, &len);

    if (found == JSON_ABSENT)
        return RESULT_OK;
    if (found == JSON_WRONG_TYPE || text_utf8_count(text, len) > COMMENT_CHARS)
        return fault_set(fault, RESULT_INVALID, "invalid_field", "comment",
                         "The field comment must be a text of at most %d characters.",
                         COMMENT_CHARS);
    if ((*comment = malloc(len + 1)) == NULL)
        return fault_set(fault, RESULT_INTERNAL, "internal_error", NULL, "Out of memory.");
    memcpy(*comment, text, len);
    (*comment)[len] = '\0';
    if (text_clean(*comment, len) == 0) {
        free(*comment);
        *comment = NULL;
    }
    return RESULT_OK;
}

static enum result read_body(struct exchange *exchange, int64_t *rating, char **comment,
                             struct fault *fault)
{
    const struct buf *bytes = &exchange->request.body;
    struct json_object *body = NULL;
    enum result result = json_parse(bytes->data, bytes->len, &body, fault);

    if (result == RESULT_OK && !json_object_is_type(body, json_type_object))
        result = fault_set(fault, RESULT_INVALID, "invalid_json", NULL,
                           "The body must be a JSON object.");
    if (result == RESULT_OK &&
        (json_get_int(body, "rating", rating) != JSON_FOUND || (*rating != 1 && *rating != -1)))
        result = fault_set(fault, RESULT_INVALID, "invalid_field", "rating",
                           "The field rating must be 1 or -1.");
    if (result == RESULT_OK)
        result = read_comment(body, comment, fault);
    json_object_put(body);
    return result;
}

void endpoint_feedback(struct exchange *exchange)
{
    struct store_asker asker = conversation_view_asker(exchange);
    const char *message_id = exchange->request.path_arg;
    int64_t rating = 0;
    char *comment = NULL;
    struct fault fault;
    struct buf body;
    enum result result = read_body(exchange, &rating, &comment, &fault);

    if (result == RESULT_OK && !id_plausible(message_id))
        result = fault_set(&fault, RESULT_NOT_FOUND, "unknown_message", "message_id",
                           "This message does not exist.");
    if (result == RESULT_OK)
        result = store_feedback_put(exchange->app->store, &asker, message_id, (int)rating, comment,
                                    &fault);
    free(comment);
    if (result != RESULT_OK) {
        response_fault(&exchange->response, &fault);
        return;
    }
    buf_init(&body, CAP_SMALL_REPLY);
    buf_putc(&body, '{');
    json_put_member(&body, "status", "success");
    json_put_member(&body, "message_id", message_id);
    json_put_member_int(&body, "rating", rating);
    buf_putc(&body, '}');
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
}
