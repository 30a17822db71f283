/*
 * attachments: the pictures of a message, as data URLs, or by the name of one that was put before. What goes on to
 * a model is what it says: strict base64, a type that is allowed, and bytes that begin as that type does. Input
 * is what strangers send. Pure; request threads.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/id.h"
#include "common/base/json.h"
#include "common/dialects/parse.h"

#define MAX_PICTURES 4
#define HEAD_BYTES   12 /* enough of a picture to know its type */

/* How the types begin. `more` stands at byte 8: a RIFF file may be anything. */
static const struct type {
    const char *mime;
    const char *magic;
    size_t magic_len;
    const char *more;
} types[] = {
    { "image/png", "\x89PNG\r\n\x1a\n", 8, "" },
    { "image/jpeg", "\xff\xd8\xff", 3, "" },
    { "image/gif", "GIF8", 4, "" },
    { "image/webp", "RIFF", 4, "WEBP" },
};

static enum result refuse(struct fault *fault, const char *code, const char *why)
{
    return fault_set(fault, RESULT_INVALID, code, "attachments", "%s", why);
}

static enum result out_of_memory(struct fault *fault)
{
    return fault_set(fault, RESULT_INTERNAL, "internal_error", NULL, "Out of memory.");
}

/* ---- base64 ---- */

static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c != '\0' ? strchr(digits, c) : NULL;

    return found != NULL ? (int)(found - digits) : -1;
}

/* The number of bytes that `text` stands for, 0 when it is not base64 with its padding. */
static size_t decoded_len(const char *text, size_t len)
{
    size_t padding = 0;

    if (len == 0 || len % 4 != 0)
        return 0;
    while (padding < 2 && text[len - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < len - padding; i++)
        if (digit(text[i]) < 0)
            return 0;
    return len / 4 * 3 - padding;
}

/* The first bytes; fewer than HEAD_BYTES leave zeros behind them. */
static void decode_head(const char *text, size_t len, char head[HEAD_BYTES])
{
    memset(head, 0, HEAD_BYTES);
    for (size_t i = 0, at = 0; i + 4 <= len && at + 3 <= HEAD_BYTES; i += 4) {
        unsigned bits = 0;

        for (size_t j = 0; j < 4; j++)
            bits = bits << 6 | (unsigned)(text[i + j] == '=' ? 0 : digit(text[i + j]));
        head[at++] = (char)(bits >> 16);
        head[at++] = (char)(bits >> 8);
        head[at++] = (char)bits;
    }
}

/* ---- one picture ---- */

/* The type that a data URL names, and where its base64 begins; NULL when it is none that we take. */
static const struct type *read_prefix(const char *url, const char **base64)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t len = strlen(types[i].mime);

        if (strncasecmp(url, "data:", 5) == 0 && strncasecmp(url + 5, types[i].mime, len) == 0 &&
            strncasecmp(url + 5 + len, ";base64,", 8) == 0) {
            *base64 = url + 5 + len + 8;
            return &types[i];
        }
    }
    return NULL;
}

static bool has_bytes_of(const struct type *type, const char *base64, size_t len)
{
    char head[HEAD_BYTES];

    decode_head(base64, len, head);
    return memcmp(head, type->magic, type->magic_len) == 0 &&
           memcmp(head + 8, type->more, strlen(type->more)) == 0;
}

static enum result read_url(const char *url, size_t url_len, const struct dialect_limits *limits,
                            struct chat_image *out, struct fault *fault)
{
    const char *base64 = NULL;
    const struct type *type = strlen(url) == url_len ? read_prefix(url, &base64) : NULL;
    size_t len, bytes;

    if (type == NULL)
        return refuse(fault, "invalid_image",
                      "A picture must be a data URL of type image/png, image/jpeg, image/gif or "
                      "image/webp, in base64.");
    len = url_len - (size_t)(base64 - url);
    bytes = decoded_len(base64, len);
    if (bytes > limits->max_image_bytes)
        return fault_set(fault, RESULT_TOO_LARGE, "image_too_large", "attachments",
                         "A picture may have at most %zu bytes.", limits->max_image_bytes);
    if (bytes == 0 || !has_bytes_of(type, base64, len))
        return refuse(fault, "invalid_image",
                      "A picture is not what its type says, or its base64 is malformed.");
    out->mime = strdup(type->mime);
    out->base64 = strndup(base64, len);
    out->base64_len = len;
    return out->mime != NULL && out->base64 != NULL ? RESULT_OK : out_of_memory(fault);
}

/* The name only; the store has the picture, if it has. */
static enum result read_file_id(const char *id, size_t len, struct chat_image *out,
                                struct fault *fault)
{
    if (strlen(id) != len || !id_plausible(id))
        return refuse(fault, "invalid_field", "A file_id must be what POST /api/files gave.");
    out->file_id = strdup(id);
    return out->file_id != NULL ? RESULT_OK : out_of_memory(fault);
}

enum result dialect_attachment(struct json_object *entry, const struct dialect_limits *limits,
                               struct chat_image *out, struct fault *fault)
{
    const char *type, *url = NULL, *id = NULL;
    size_t len, id_len;
    enum json_found found, found_id;

    if (!json_object_is_type(entry, json_type_object) ||
        (type = json_string_or_null(entry, "type")) == NULL || strcmp(type, "image") != 0)
        return refuse(fault, "invalid_field",
                      "An attachment must be {type: \"image\"} with a data_url or a file_id.");
    if (limits->max_image_bytes == 0)
        return refuse(fault, "images_unsupported", "Pictures are not taken here.");
    found = json_get_string(entry, "data_url", &url, &len);
    found_id = json_get_string(entry, "file_id", &id, &id_len);
    if (found == JSON_FOUND && found_id == JSON_ABSENT)
        return read_url(url, len, limits, out, fault);
    if (found == JSON_ABSENT && found_id == JSON_FOUND)
        return read_file_id(id, id_len, out, fault);
    return refuse(fault, "invalid_field",
                  "An attachment needs either its picture in the field data_url or, in the field "
                  "file_id, the name of one that was put before.");
}

enum result parse_attachments(struct json_object *body, const struct dialect_limits *limits,
                              struct turn_request *out, struct fault *fault)
{
    struct json_object *list = NULL;
    enum result result = RESULT_OK;
    size_t count;

    switch (json_get_array(body, "attachments", &list)) {
    case JSON_ABSENT:
        return RESULT_OK;
    case JSON_WRONG_TYPE:
        return refuse(fault, "invalid_field", "The field attachments must be a list.");
    case JSON_FOUND:
        break;
    }
    count = json_object_array_length(list);
    if (count == 0)
        return RESULT_OK;
    if (count > MAX_PICTURES)
        return fault_set(fault, RESULT_INVALID, "invalid_field", "attachments",
                         "A message may have at most %d pictures.", MAX_PICTURES);
    if ((out->images = calloc(count, sizeof *out->images)) == NULL)
        return out_of_memory(fault);
    out->image_count = count; /* what a failure leaves half made is freed with the request */
    for (size_t i = 0; i < count && result == RESULT_OK; i++)
        result =
            dialect_attachment(json_object_array_get_idx(list, i), limits, &out->images[i], fault);
    return result;
}
