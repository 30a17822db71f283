/*
 * json: reading with json-c behind a strict gate, and writing strings by hand.
 *
 * json-c is lenient where strangers should not be indulged, so json_check.c runs first and json-c
 * only builds the tree. Writing never goes through json-c: a stream writes thousands of small
 * objects a second. Any thread.
 */
#include "common/base/json.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <string.h>

#include "common/base/caps.h"
#include "common/base/json_check.h"
#include "common/base/text.h"

/* Bytes of an escaped surrogate pair: \ud83d\ude00. */
#define PAIR_LEN 12

static const char invalid_json[] = "invalid_json";

static enum result out_of_memory(struct fault *fault)
{
    return fault_set(fault, RESULT_INTERNAL, "out_of_memory", NULL, "Out of memory.");
}

/* Build the tree of text that json_check() found fine. */
static enum result build_tree(const char *bytes, size_t len, unsigned depth,
                              struct json_object **out, struct fault *fault)
{
    enum result result = RESULT_OK;
    /* json-c counts the value inside the innermost bracket as a level too. */
    struct json_tokener *tokener = json_tokener_new_ex((int)depth + 1);
    if (!tokener)
        return out_of_memory(fault);

    *out = json_tokener_parse_ex(tokener, bytes, (int)len);
    if (json_tokener_get_error(tokener) == json_tokener_continue)
        *out = json_tokener_parse_ex(tokener, "", 1); /* a bare number ends at the NUL only */
    if (json_tokener_get_error(tokener) != json_tokener_success) {
        json_object_put(*out);
        *out = NULL;
        result = fault_set(fault, RESULT_INVALID, invalid_json, NULL, "This JSON cannot be read.");
    }
    json_tokener_free(tokener);
    return result;
}

/* The four hex digits of a \u escape that is known to be well formed. */
static unsigned escape_code(const char *digits)
{
    unsigned code = 0;
    for (int i = 0; i < 4; i++) {
        char c = digits[i];
        code = code << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return code;
}

/*
 * The next escaped surrogate pair at or behind `at`: where it begins, or `len`. *code: what it
 * means.
 */
static size_t find_pair(const char *bytes, size_t len, size_t at, unsigned *code)
{
    while (at < len) {
        const char *slash = memchr(bytes + at, '\\', len - at);
        if (!slash)
            break;
        at = (size_t)(slash - bytes);
        if (len - at >= PAIR_LEN && slash[1] == 'u' && slash[6] == '\\' && slash[7] == 'u') {
            unsigned high = escape_code(slash + 2), low = escape_code(slash + 8);
            if (high >> 10 == 0xd800 >> 10 && low >> 10 == 0xdc00 >> 10) {
                *code = 0x10000 + ((high & 0x3ff) << 10 | (low & 0x3ff));
                return at;
            }
        }
        at += 2;
    }
    return len;
}

/*
 * json-c 0.16 takes every pair whose code point ends in D800 to DFFF (rare Chinese characters among
 * them) for half a pair. So it is shown no pairs: here they become the characters themselves.
 */
static void put_without_pairs(const char *bytes, size_t len, size_t at, unsigned code,
                              struct buf *out)
{
    size_t start = 0;
    for (; at < len; at = find_pair(bytes, len, start, &code)) {
        char utf8[4] = { (char)(0xf0 | code >> 18), (char)(0x80 | (code >> 12 & 0x3f)),
                         (char)(0x80 | (code >> 6 & 0x3f)), (char)(0x80 | (code & 0x3f)) };
        buf_put(out, bytes + start, at - start);
        buf_put(out, utf8, sizeof utf8);
        start = at + PAIR_LEN;
    }
    buf_put(out, bytes + start, len - start);
}

static enum result build(const char *bytes, size_t len, unsigned depth, struct json_object **out,
                         struct fault *fault)
{
    unsigned code;
    size_t pair = find_pair(bytes, len, 0, &code);
    if (pair == len)
        return build_tree(bytes, len, depth, out, fault);

    struct buf text;
    buf_init(&text, len);
    put_without_pairs(bytes, len, pair, code, &text);
    enum result result = text.failed ? out_of_memory(fault)
                                     : build_tree(buf_str(&text), text.len, depth, out, fault);
    buf_free(&text);
    return result;
}

enum result json_parse_deep(const char *bytes, size_t len, unsigned depth, struct json_object **out,
                            struct fault *fault)
{
    size_t at;
    *out = NULL;
    if (len > INT_MAX || !text_utf8_valid(bytes, len))
        return fault_set(fault, RESULT_INVALID, invalid_json, NULL, "The JSON is not valid UTF-8.");
    switch (json_check(bytes, len, depth, &at)) {
    case JSON_TOO_DEEP:
        return fault_set(fault, RESULT_INVALID, invalid_json, NULL,
                         "The JSON is nested deeper than %u levels.", depth);
    case JSON_BROKEN:
        return fault_set(fault, RESULT_INVALID, invalid_json, NULL,
                         "This is not valid JSON (at byte %zu).", at);
    case JSON_FINE:
        break;
    }
    return build(bytes, len, depth, out, fault);
}

enum result json_parse(const char *bytes, size_t len, struct json_object **out, struct fault *fault)
{
    return json_parse_deep(bytes, len, CAP_JSON_DEPTH, out, fault);
}

static enum json_found find(struct json_object *object, const char *key, enum json_type type,
                            struct json_object **value)
{
    if (!json_object_object_get_ex(object, key, value) || !*value)
        return JSON_ABSENT;
    return json_object_is_type(*value, type) ? JSON_FOUND : JSON_WRONG_TYPE;
}

enum json_found json_get_string(struct json_object *object, const char *key, const char **value,
                                size_t *len)
{
    struct json_object *member;
    enum json_found found = find(object, key, json_type_string, &member);
    if (found != JSON_FOUND)
        return found;
    *value = json_object_get_string(member);
    if (len)
        *len = (size_t)json_object_get_string_len(member);
    return JSON_FOUND;
}

enum json_found json_get_bool(struct json_object *object, const char *key, bool *value)
{
    struct json_object *member;
    enum json_found found = find(object, key, json_type_boolean, &member);
    if (found == JSON_FOUND)
        *value = json_object_get_boolean(member);
    return found;
}

enum json_found json_get_int(struct json_object *object, const char *key, int64_t *value)
{
    struct json_object *member;
    enum json_found found = find(object, key, json_type_int, &member);
    if (found == JSON_FOUND)
        *value = json_object_get_int64(member);
    return found;
}

enum json_found json_get_double(struct json_object *object, const char *key, double *value)
{
    struct json_object *member;
    enum json_found found = find(object, key, json_type_double, &member);
    if (found == JSON_WRONG_TYPE && json_object_is_type(member, json_type_int))
        found = JSON_FOUND;
    if (found == JSON_FOUND)
        *value = json_object_get_double(member);
    return found;
}

enum json_found json_get_object(struct json_object *object, const char *key,
                                struct json_object **value)
{
    struct json_object *member;
    enum json_found found = find(object, key, json_type_object, &member);
    if (found == JSON_FOUND)
        *value = member;
    return found;
}

enum json_found json_get_array(struct json_object *object, const char *key,
                               struct json_object **value)
{
    struct json_object *member;
    enum json_found found = find(object, key, json_type_array, &member);
    if (found == JSON_FOUND)
        *value = member;
    return found;
}

const char *json_string_or_null(struct json_object *object, const char *key)
{
    const char *value;
    return json_get_string(object, key, &value, NULL) == JSON_FOUND ? value : NULL;
}

/* Bytes that end a run of plain ones: controls, quote, backslash, DEL, and the lead of U+2028/9. */
static const bool is_special[256] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,         1,          1,          1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, ['"'] = 1, ['\\'] = 1, [0x7f] = 1, [0xe2] = 1,
};

static void put_escape(struct buf *out, unsigned code)
{
    static const char plain[] = "\"\\\n\r\t\b\f";
    static const char escaped[] = "\"\\nrtbf";
    const char *at = code > 0 && code < 0x80 ? strchr(plain, (int)code) : NULL;
    if (at) {
        char pair[2] = { '\\', escaped[at - plain] };
        buf_put(out, pair, 2);
    } else if (code > 0xffff) {
        code -= 0x10000;
        buf_putf(out, "\\u%04x\\u%04x", 0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff));
    } else {
        buf_putf(out, "\\u%04x", code);
    }
}

/* U+2028 and U+2029 are e2 80 a8 and e2 80 a9. */
static bool is_line_separator(const char *at, size_t len)
{
    return len >= 3 && (unsigned char)at[1] == 0x80 && ((unsigned char)at[2] & 0xfe) == 0xa8;
}

bool json_put_string(struct buf *out, const char *text, size_t len)
{
    buf_reserve(out, len + 2);
    buf_putc(out, '"');
    size_t start = 0;
    for (size_t at = 0; at < len; at++) {
        unsigned char c = (unsigned char)text[at];
        if (!is_special[c])
            continue;
        bool separator = c == 0xe2;
        if (separator && !is_line_separator(text + at, len - at))
            continue;
        buf_put(out, text + start, at - start);
        put_escape(out, separator ? 0x2000u | ((unsigned char)text[at + 2] & 0x3f) : c);
        at += separator ? 2 : 0;
        start = at + 1;
    }
    buf_put(out, text + start, len - start);
    return buf_putc(out, '"');
}

bool json_put_string_ascii(struct buf *out, const char *text, size_t len)
{
    static const unsigned char lead_mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    buf_putc(out, '"');
    size_t start = 0;
    for (size_t at = 0; at < len;) {
        unsigned char c = (unsigned char)text[at];
        if (c < 0x7f && !is_special[c]) {
            at++;
            continue;
        }
        size_t step = text_utf8_sequence(text + at, len - at);
        unsigned code = step > 0 ? c & lead_mask[step] : 0xfffd;
        for (size_t i = 1; i < step; i++)
            code = code << 6 | ((unsigned char)text[at + i] & 0x3f);
        buf_put(out, text + start, at - start);
        put_escape(out, code);
        at += step > 0 ? step : 1;
        start = at;
    }
    buf_put(out, text + start, len - start);
    return buf_putc(out, '"');
}

static void put_key(struct buf *out, const char *key)
{
    char last = out->len > 0 ? out->data[out->len - 1] : '{';
    if (last != '{' && last != '[')
        buf_putc(out, ',');
    json_put_string(out, key, strlen(key));
    buf_putc(out, ':');
}

bool json_put_member_len(struct buf *out, const char *key, const char *value, size_t len)
{
    put_key(out, key);
    return value ? json_put_string(out, value, len) : buf_puts(out, "null");
}

bool json_put_member(struct buf *out, const char *key, const char *value)
{
    return json_put_member_len(out, key, value, value ? strlen(value) : 0);
}

bool json_put_member_int(struct buf *out, const char *key, int64_t value)
{
    put_key(out, key);
    return buf_putf(out, "%" PRId64, value);
}

bool json_put_member_bool(struct buf *out, const char *key, bool value)
{
    put_key(out, key);
    return buf_puts(out, value ? "true" : "false");
}

bool json_put_member_raw(struct buf *out, const char *key, const char *raw)
{
    put_key(out, key);
    return buf_puts(out, raw);
}
