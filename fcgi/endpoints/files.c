/*
 * files: POST /api/files keeps a picture under a name, for attachments of later questions; GET /api/files/{id} gives it
 * back, as it does for those that came with a question. Bytes of strangers: the type is one of four that were
 * checked against the bytes, and headers keep a browser from seeing anything else in them.
 *
 * Request thread.
 */
#include <json-c/json.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/json.h"
#include "common/dialects/dialect.h"
#include "common/limits/limits.h"
#include "common/store/store_files.h"
#include "fcgi/app.h"
#include "fcgi/endpoints/endpoints.h"
#include "fcgi/endpoints/rate_limit.h"
#include "fcgi/http/exchange.h"

#define CAP_PUT_REPLY 1024

/* ---- putting ---- */

static enum result read_picture(const struct exchange *exchange, struct chat_image *out,
                                struct fault *fault)
{
    const struct buf *bytes = &exchange->request.body;
    struct dialect_limits limits = {
        .max_image_bytes = (size_t)exchange->app->config->max_image_bytes,
    };
    struct json_object *body = NULL;
    enum result result = json_parse(bytes->data, bytes->len, &body, fault);

    if (result == RESULT_OK)
        result = dialect_attachment(body, &limits, out, fault);
    if (result == RESULT_OK && out->file_id != NULL)
        result = fault_set(fault, RESULT_INVALID, "invalid_field", "file_id",
                           "A picture that is put must come as data_url.");
    json_object_put(body);
    return result;
}

/* An upload counts as a question: it costs a place in the database as one does. */
static enum result keep(const struct exchange *exchange, const struct chat_image *picture,
                        struct limits_plan *plan, char id[CAP_ID], struct fault *fault)
{
    const struct app *app = exchange->app;
    struct limits_cost cost = { 0 };
    int64_t now_ms = clock_wall_ms();
    enum result result = limits_admit(app->limits, plan, &cost, now_ms, fault);

    if (result != RESULT_OK)
        return result;
    result =
        store_file_put(app->store, &exchange->owner, picture, &plan->in_store, now_ms, id, fault);
    limits_settle(app->store, plan, now_ms, result, fault);
    return result;
}

static void reply_put(struct exchange *exchange, const char *id, const char *mime)
{
    struct buf body;

    buf_init(&body, CAP_PUT_REPLY);
    buf_putc(&body, '{');
    json_put_member(&body, "file_id", id);
    json_put_member(&body, "type", "image");
    json_put_member(&body, "mime", mime);
    buf_putc(&body, '}');
    response_json(&exchange->response, 201, &body);
    buf_free(&body);
}

void endpoint_file_put(struct exchange *exchange)
{
    struct chat_image picture = { .mime = NULL };
    struct limits_plan *plan = calloc(1, sizeof *plan);
    struct fault fault = { 0 };
    char id[CAP_ID];
    enum result result;

    if (plan == NULL) {
        result = fault_set(&fault, RESULT_OVERLOADED, "overloaded", NULL,
                           "The server is out of memory.");
    } else {
        rate_limit_plan(exchange, plan);
        result = read_picture(exchange, &picture, &fault);
        if (result == RESULT_OK)
            result = keep(exchange, &picture, plan, id, &fault);
        rate_limit_headers(exchange, plan);
    }
    if (result == RESULT_OK)
        reply_put(exchange, id, picture.mime);
    else
        response_fault(&exchange->response, &fault);
    free((char *)picture.mime);
    free((char *)picture.base64);
    free((char *)picture.file_id);
    free(plan);
}

/* ---- getting ---- */

static void send_picture(struct exchange *exchange, const struct store_file *file)
{
    struct response *response = &exchange->response;
    size_t size = file->base64_len / 4 * 3, len = 0;
    unsigned char *bytes = malloc(size + 1);
    struct fault fault;

    if (bytes == NULL || sodium_base642bin(bytes, size + 1, file->base64, file->base64_len, NULL,
                                           &len, NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
        fault_set(&fault, RESULT_INTERNAL, "internal_error", NULL, "This file cannot be read.");
        response_fault(response, &fault);
    } else {
        response_header(response, "Content-Security-Policy", "default-src 'none'; sandbox");
        response_header(response, "Content-Disposition", "inline; filename=\"picture\"");
        response_header(response, "Cache-Control", "private, max-age=3600");
        response_send(response, 200, file->mime, (const char *)bytes, len);
    }
    free(bytes);
}

void endpoint_file_get(struct exchange *exchange)
{
    const char *id = exchange->request.path_arg;
    struct store_file file = { .base64 = NULL };
    struct fault fault;
    enum result result;

    if (id_plausible(id))
        result = store_file_get(exchange->app->store, &exchange->owner, id, false, &file, &fault);
    else
        result = fault_set(&fault, RESULT_NOT_FOUND, "unknown_file", "file_id",
                           "This file does not exist.");
    if (result == RESULT_OK)
        send_picture(exchange, &file);
    else
        response_fault(&exchange->response, &fault);
    free(file.base64);
}
