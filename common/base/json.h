/*
 * json: reading strangers' JSON safely with json-c, and writing JSON strings fast without it.
 *
 * Reading: bounded depth, UTF-8 checked, no trailing bytes. Getters tell "absent" from "wrong
 * type", because a field of the wrong type is an error that names it, and an unknown field is
 * none. Writing: straight into a buf; a stream writes thousands of small objects a second.
 */
#ifndef PARLEY_BASE_JSON_H
#define PARLEY_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/result.h"

struct json_object; /* json-c */

/*
 * Parse exactly one JSON value. RESULT_INVALID with code invalid_json when it is not UTF-8, not
 * JSON, deeper than CAP_JSON_DEPTH, or followed by more than white space. On RESULT_OK *out is the
 * caller's to json_object_put(); a bare `null` gives *out = NULL.
 */
enum result json_parse(const char *bytes, size_t len, struct json_object **out,
                       struct fault *fault);

/* The same with another depth than CAP_JSON_DEPTH. */
enum result json_parse_deep(const char *bytes, size_t len, unsigned depth, struct json_object **out,
                            struct fault *fault);

enum json_found { JSON_ABSENT, JSON_FOUND, JSON_WRONG_TYPE };

/*
 * A member of `object` (NULL is an empty object). JSON null counts as absent. Strings stay
 * json-c's; `len` may be NULL. Strings may hold U+0000: look at len.
 */
enum json_found json_get_string(struct json_object *object, const char *key, const char **value,
                                size_t *len);
enum json_found json_get_bool(struct json_object *object, const char *key, bool *value);
enum json_found json_get_int(struct json_object *object, const char *key, int64_t *value);
enum json_found json_get_double(struct json_object *object, const char *key, double *value);
enum json_found json_get_object(struct json_object *object, const char *key,
                                struct json_object **value);
enum json_found json_get_array(struct json_object *object, const char *key,
                               struct json_object **value);

/* A string member or NULL, for peers whose odd types count as absent. */
const char *json_string_or_null(struct json_object *object, const char *key);

/*
 * Append a JSON string with its quotes. Input is valid UTF-8. `ascii` escapes everything above
 * 0x7e as \uXXXX (surrogate pairs); otherwise UTF-8 stays, but U+2028, U+2029 and DEL are escaped
 * too.
 */
bool json_put_string(struct buf *out, const char *text, size_t len);
bool json_put_string_ascii(struct buf *out, const char *text, size_t len);

/*
 * Append `"key":"value"`, `"key":123` ... with a comma in front unless the buffer ends with { or [.
 * A NULL string is written as null.
 */
bool json_put_member(struct buf *out, const char *key, const char *value);
bool json_put_member_len(struct buf *out, const char *key, const char *value, size_t len);
bool json_put_member_int(struct buf *out, const char *key, int64_t value);
bool json_put_member_bool(struct buf *out, const char *key, bool value);
/* `raw` is already JSON. */
bool json_put_member_raw(struct buf *out, const char *key, const char *raw);

#endif
