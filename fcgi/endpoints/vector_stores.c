/*
 * vector_stores: the store endpoints of the Responses app but the upload: relays to OpenAI with the server's key
 * (contracts/turn_response.md, section 5). Ids are checked before they come near an address. Every error is JSON.
 * Request thread.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "common/base/json.h"
#include "common/config.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/openai_api.h"
#include "fcgi/http/exchange.h"

#define PATH_SIZE 512
#define CAP_BODY  65536

/* An id from the query; false when the reply (400) is out. */
static bool read_query_id(struct exchange *exchange, char id[OPENAI_ID_SIZE])
{
    if (request_query(&exchange->request, "vector_store_id", id, OPENAI_ID_SIZE) &&
        openai_id_sound(id))
        return true;
    openai_reply_error(exchange, 400, "vector_store_id is missing or not an id");
    return false;
}

/* The body as an object; false when the reply is out. */
static bool read_object(struct exchange *exchange, struct json_object **out)
{
    struct request *request = &exchange->request;
    struct fault fault;
    enum result result =
        request_body(request, (size_t)exchange->app->config->max_body_bytes, &fault);

    *out = NULL;
    if (result == RESULT_OK)
        result = json_parse(request->body.data, request->body.len, out, &fault);
    if (result == RESULT_OK && !json_object_is_type(*out, json_type_object))
        result = fault_set(&fault, RESULT_INVALID, "invalid_json", NULL,
                           "The body must be a JSON object.");
    if (result == RESULT_OK)
        return true;
    response_fault(&exchange->response, &fault);
    json_object_put(*out);
    return false;
}

static char *one_member(const char *key, const char *value)
{
    struct buf body;

    buf_init(&body, CAP_BODY);
    buf_putc(&body, '{');
    json_put_member(&body, key, value);
    buf_putc(&body, '}');
    if (!body.failed)
        return buf_take(&body);
    buf_free(&body);
    return NULL;
}

/* `name`, or `storeName` of the older page; false when the reply is out. */
static bool read_name(struct exchange *exchange, struct json_object *body, const char **name)
{
    static const char *const keys[] = { "name", "storeName" };
    struct fault fault;

    *name = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && *name == NULL; i++) {
        if (json_get_string(body, keys[i], name, NULL) != JSON_WRONG_TYPE)
            continue;
        fault_set(&fault, RESULT_INVALID, "invalid_field", keys[i],
                  "The field %s must be a string.", keys[i]);
        response_fault(&exchange->response, &fault);
        return false;
    }
    return true;
}

void endpoint_create_store(struct exchange *exchange)
{
    static const char failure[] = "Error creating vector store";
    struct json_object *body;
    const char *name;
    char *sent;

    if (!read_object(exchange, &body))
        return;
    if (read_name(exchange, body, &name)) {
        sent = one_member("name", name != NULL ? name : "Untitled");
        if (sent != NULL)
            openai_ask(exchange, "POST", "/vector_stores", sent, failure);
        else
            openai_reply_error(exchange, 500, failure);
    }
    json_object_put(body);
}

void endpoint_retrieve_store(struct exchange *exchange)
{
    char id[OPENAI_ID_SIZE], path[PATH_SIZE];

    if (!read_query_id(exchange, id))
        return;
    snprintf(path, sizeof path, "/vector_stores/%s", id);
    openai_ask(exchange, "GET", path, NULL, "Error fetching vector store");
}

void endpoint_list_files(struct exchange *exchange)
{
    char id[OPENAI_ID_SIZE], path[PATH_SIZE];

    if (!read_query_id(exchange, id))
        return;
    snprintf(path, sizeof path, "/vector_stores/%s/files", id);
    openai_ask(exchange, "GET", path, NULL, "Error fetching files");
}

/* NULL: missing, or not an id. One with a NUL in it would end there without being what was sent. */
static const char *member_id(struct json_object *body, const char *key)
{
    const char *id;
    size_t len;

    if (json_get_string(body, key, &id, &len) != JSON_FOUND || strlen(id) != len)
        return NULL;
    return openai_id_sound(id) ? id : NULL;
}

void endpoint_add_file(struct exchange *exchange)
{
    static const char failure[] = "Error adding file";
    struct json_object *body;
    const char *store, *file;
    char path[PATH_SIZE];
    char *sent = NULL;

    if (!read_object(exchange, &body))
        return;
    store = member_id(body, "vectorStoreId");
    file = member_id(body, "fileId");
    if (store == NULL || file == NULL) {
        openai_reply_error(exchange, 400, "vectorStoreId or fileId is missing or not an id");
    } else if ((sent = one_member("file_id", file)) == NULL) {
        openai_reply_error(exchange, 500, failure);
    } else {
        snprintf(path, sizeof path, "/vector_stores/%s/files", store);
        openai_ask(exchange, "POST", path, sent, failure);
    }
    json_object_put(body);
}
