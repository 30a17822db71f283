/*
 * memory: what is remembered about a user_id, or about the one who asks: told, listed, searched, erased. A user_id is its
 * owner's, as everywhere. Where Mem0 remembers, memory_elsewhere.c asks it.
 *
 * Request thread; a fact that was told gets its vector from the loop, or goes to Mem0 from there.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/memory/memory.h"
#include "common/store/store_owners.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/conversation_view.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/memory_elsewhere.h"
#include "fcgi/http/exchange.h"

#define CAP_FACT_BODY  8192
#define LIMIT_MAX      200
#define LIMIT_USUAL    50
#define IMPORTANCE     0.5
#define CAP_QUERY_TEXT 2048

static bool is_elsewhere(const struct exchange *exchange)
{
    return memory_is_elsewhere(exchange->app->memory);
}

static enum result check_kind(const struct exchange *exchange, struct fault *fault)
{
    const char *kind = exchange->app->config->memory;

    if (kind != NULL && strcmp(kind, "off") != 0)
        return RESULT_OK;
    return fault_set(fault, RESULT_NOT_FOUND, "memory_off", NULL,
                     "Nothing is remembered here: MEMORY is off.");
}

static enum result check_user_id(const char *user_id, struct fault *fault)
{
    if (user_id != NULL && (*user_id == '\0' || !text_utf8_valid(user_id, strlen(user_id)) ||
                            text_has_control(user_id, strlen(user_id)) ||
                            text_utf8_count(user_id, strlen(user_id)) > CAP_USER_ID_CHARS))
        return fault_set(fault, RESULT_INVALID, "invalid_field", "user_id",
                         "The field user_id must be a string of 1 to %d characters.",
                         CAP_USER_ID_CHARS);
    return RESULT_OK;
}

/* ---- telling ---- */

/* What the loop does after a fact was told. */
struct told {
    struct owner owner;
    char *user_id, *fact;
    int64_t row;
    int importance, status;
    struct buf body;
};

static void told_free(struct told *told)
{
    free(told->user_id);
    free(told->fact);
    buf_free(&told->body);
    free(told);
}

static void told_on_loop(struct exchange *exchange)
{
    struct told *told = exchange->state;
    struct store_subject subject = { &told->owner, told->user_id };

    struct store_fact_new fact = { .text = told->fact, .importance = told->importance };
    struct fault fault;

    if (memory_told(exchange->app->memory, &subject, told->row, &fact)) {
        response_json(&exchange->response, told->status, &told->body);
    } else {
        fault_set(&fault, RESULT_OVERLOADED, "overloaded", NULL,
                  "Too many facts are on their way to where they are remembered.");
        response_fault(&exchange->response, &fault);
    }
    told_free(told);
    exchange_finish(exchange);
}

static enum result read_fact(struct json_object *body, char **out, struct fault *fault)
{
    const char *fact = NULL;
    size_t len = 0;

    if (json_get_string(body, "fact", &fact, &len) == JSON_FOUND && strlen(fact) == len &&
        (*out = strdup(fact)) != NULL) {
        len = text_clean(*out, len);
        if (len > 0 && text_utf8_count(*out, len) <= STORE_FACT_CHARS)
            return RESULT_OK;
    }
    return fault_set(fault, RESULT_INVALID, "invalid_field", "fact",
                     "The field fact must be a string of 1 to %d characters.", STORE_FACT_CHARS);
}

static enum result read_told(struct json_object *body, struct told *told,
                             struct store_fact_new *fact, struct fault *fault)
{
    double importance = IMPORTANCE;
    const char *user_id = NULL;
    enum json_found found = json_get_string(body, "user_id", &user_id, NULL);

    if (!json_object_is_type(body, json_type_object))
        return fault_set(fault, RESULT_INVALID, "invalid_json", NULL,
                         "The body must be a JSON object.");
    if (found == JSON_WRONG_TYPE || check_user_id(user_id, fault) != RESULT_OK)
        return fault_set(fault, RESULT_INVALID, "invalid_field", "user_id",
                         "The field user_id must be a string of 1 to %d characters.",
                         CAP_USER_ID_CHARS);
    if (user_id != NULL && (told->user_id = strdup(user_id)) == NULL)
        return fault_set(fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
    if (json_get_double(body, "importance", &importance) == JSON_WRONG_TYPE ||
        !(importance >= 0 && importance <= 1))
        return fault_set(fault, RESULT_INVALID, "invalid_field", "importance",
                         "The field importance must be a number from 0 to 1.");
    fact->importance = (int)(importance * 100 + 0.5);
    if (json_get_string(body, "replaces", &fact->replaces, NULL) == JSON_WRONG_TYPE)
        return fault_set(fault, RESULT_INVALID, "invalid_field", "replaces",
                         "The field replaces must be the id of a fact.");
    return read_fact(body, &told->fact, fault);
}

static void put_told(struct told *told, const char *id, int status)
{
    told->status = status;
    buf_putc(&told->body, '{');
    json_put_member(&told->body, "id", id);
    json_put_member(&told->body, "fact", told->fact);
    json_put_member_bool(&told->body, "merged", status == 200);
    buf_putc(&told->body, '}');
}

/* Mem0 gets it from the loop, and makes up its id there. */
static enum result tell_elsewhere(struct exchange *exchange, struct told *told,
                                  const struct store_fact_new *fact, struct fault *fault)
{
    enum result result = elsewhere_check(exchange, told->user_id, fault);

    if (result != RESULT_OK)
        return result;
    if (fact->replaces != NULL)
        return fault_set(fault, RESULT_INVALID, "invalid_field", "replaces",
                         "Mem0 remembers here: erase the old fact and tell the new one.");
    put_told(told, NULL, 202);
    return RESULT_OK;
}

static enum result tell(struct exchange *exchange, struct json_object *body, struct told *told,
                        struct fault *fault)
{
    struct store_fact_new fact = { .origin = "client",
                                   .now_ms = clock_wall_ms(),
                                   .most = exchange->app->config->memory_max_facts };
    struct store_subject subject = { &told->owner, NULL };
    struct store_fact_added added;
    enum result result = read_told(body, told, &fact, fault);

    if (result != RESULT_OK)
        return result;
    subject.user_id = told->user_id;
    fact.text = told->fact;
    told->importance = fact.importance;
    if (is_elsewhere(exchange))
        return tell_elsewhere(exchange, told, &fact, fault);
    result = store_fact_add(exchange->app->store, &subject, &fact, &added, fault);
    if (result != RESULT_OK)
        return result;
    told->row = added.row;
    put_told(told, added.id, added.fresh ? 201 : 200);
    return RESULT_OK;
}

void endpoint_memory_add(struct exchange *exchange)
{
    struct told *told = calloc(1, sizeof *told);
    struct json_object *body = NULL;
    struct fault fault = { 0 };
    enum result result;

    if (told == NULL) {
        fault_set(&fault, RESULT_INTERNAL, "internal", NULL, "Out of memory.");
        response_fault(&exchange->response, &fault);
        return;
    }
    buf_init(&told->body, CAP_FACT_BODY);
    told->owner = exchange->owner;
    result = check_kind(exchange, &fault);
    if (result == RESULT_OK)
        result = json_parse(exchange->request.body.data, exchange->request.body.len, &body, &fault);
    if (result == RESULT_OK)
        result = tell(exchange, body, told, &fault);
    json_object_put(body);
    if (result != RESULT_OK) {
        response_fault(&exchange->response, &fault);
        told_free(told);
        return;
    }
    exchange->state = told;
    exchange->on_loop = told_on_loop;
}

/* ---- looking ---- */

static void put_fact(struct buf *out, const struct store_fact *fact, bool scored)
{
    char stamp[CLOCK_RFC3339_SIZE];

    buf_puts(out, out->data[out->len - 1] == '[' ? "{" : ",{");
    json_put_member(out, "id", fact->id);
    json_put_member(out, "fact", fact->text);
    buf_putf(out, ",\"importance\":%d.%02d", fact->importance / 100, fact->importance % 100);
    json_put_member(out, "created_at", clock_rfc3339(fact->created_ms, stamp));
    json_put_member(out, "updated_at", clock_rfc3339(fact->updated_ms, stamp));
    json_put_member_int(out, "replaced", fact->replaced);
    if (scored)
        buf_putf(out, ",\"score\":%d.%03d", (int)fact->score, (int)(fact->score * 1000) % 1000);
    buf_putc(out, '}');
}

void memory_put_facts(struct buf *body, const char *user_id, const struct store_fact_list *facts,
                      bool scored)
{
    buf_putc(body, '{');
    json_put_member(body, "user_id", user_id);
    buf_puts(body, ",\"memories\":[");
    for (size_t i = 0; i < facts->count; i++)
        put_fact(body, &facts->list[i], scored);
    buf_putc(body, ']');
    json_put_member_int(body, "count", (int64_t)facts->count);
    buf_putc(body, '}');
}

static enum result read_limit(const struct request *request, size_t *limit, struct fault *fault)
{
    char text[16], *end;
    long number;

    *limit = LIMIT_USUAL;
    if (strstr(request->query, "limit=") == NULL)
        return RESULT_OK;
    number = request_query(request, "limit", text, sizeof text) ? strtol(text, &end, 10) : 0;
    if (number < 1 || number > LIMIT_MAX || *end != '\0')
        return fault_set(fault, RESULT_INVALID, "invalid_field", "limit",
                         "limit must be a number from 1 to %d.", LIMIT_MAX);
    *limit = (size_t)number;
    return RESULT_OK;
}

static void list(struct exchange *exchange, const char *user_id)
{
    struct store_subject subject = { &exchange->owner, user_id };
    struct store_fact_search search = { .now_ms = clock_wall_ms() };
    struct store_fact_list facts = { .count = 0 };
    char query[CAP_QUERY_TEXT];
    struct fault fault = { 0 };
    struct buf body;
    enum result result = check_kind(exchange, &fault);

    if (result == RESULT_OK)
        result = check_user_id(user_id, &fault);
    if (result == RESULT_OK)
        result = read_limit(&exchange->request, &search.limit, &fault);
    if (request_query(&exchange->request, "query", query, sizeof query) && *query != '\0' &&
        text_utf8_valid(query, strlen(query)))
        search.query = query;
    if (result == RESULT_OK && is_elsewhere(exchange) &&
        (user_id != NULL || store_subject_known(&subject))) {
        elsewhere_list(exchange, user_id, search.query, search.limit);
        return;
    }
    if (result == RESULT_OK && (user_id != NULL || store_subject_known(&subject)))
        result = store_fact_search(exchange->app->store, &subject, &search, &facts, &fault);
    if (result != RESULT_OK) {
        response_fault(&exchange->response, &fault);
        return;
    }
    buf_init(&body, CAP_RESPONSE_BODY);
    memory_put_facts(&body, user_id, &facts, search.query != NULL);
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
    store_fact_list_free(&facts);
}

void endpoint_memory_list(struct exchange *exchange)
{
    list(exchange, exchange->request.path_arg);
}

void endpoint_memory_own(struct exchange *exchange)
{
    list(exchange, NULL);
}

/* ---- erasing ---- */

void memory_note_erased(const struct exchange *exchange)
{
    char whose[CONVERSATION_SHORT], subject[CONVERSATION_SHORT + 16];
    struct store_audit line = conversation_view_audit(exchange, "erased", whose);

    snprintf(subject, sizeof subject, "facts%s%s", *whose != '\0' ? " of " : "", whose);
    line.subject = subject;
    line.count = 0;
    store_audit_add(exchange->app->store, &line);
}

static void erase(struct exchange *exchange, const char *user_id, const char *id)
{
    struct store_subject subject = { &exchange->owner, user_id };
    struct fault fault = { 0 };
    struct buf body;
    int64_t count = 0;
    bool somebody = user_id != NULL || id != NULL || store_subject_known(&subject);
    enum result result = check_kind(exchange, &fault);

    if (result == RESULT_OK)
        result = check_user_id(user_id, &fault);
    if (result == RESULT_OK && somebody && is_elsewhere(exchange)) {
        if (id != NULL)
            elsewhere_erase_one(exchange, id);
        else
            elsewhere_erase_all(exchange, user_id);
        return;
    }
    if (result == RESULT_OK && somebody)
        result = store_fact_delete(exchange->app->store, &subject, id, &count, &fault);
    if (result != RESULT_OK) {
        response_fault(&exchange->response, &fault);
        return;
    }
    if (count > 0)
        memory_note_erased(exchange);
    buf_init(&body, CAP_FACT_BODY);
    buf_putc(&body, '{');
    json_put_member_int(&body, "deleted", count);
    buf_putc(&body, '}');
    response_json(&exchange->response, 200, &body);
    buf_free(&body);
}

void endpoint_memory_clear(struct exchange *exchange)
{
    erase(exchange, exchange->request.path_arg, NULL);
}

void endpoint_memory_forget(struct exchange *exchange)
{
    erase(exchange, NULL, NULL);
}

void endpoint_memory_delete(struct exchange *exchange)
{
    erase(exchange, NULL, exchange->request.path_arg);
}
