/*
 * skim: see skim.h. Non-goals: validating, numbers, keys with escapes. Every function takes text that
 * a stranger sent; nothing is read beyond its end. Neighbours: openai.c uses it, emit.c repairs what
 * skim_string lets through. Pure; any thread.
 */
#include "common/providers/skim.h"

#include <string.h>

#include "common/base/caps.h"

/* Deeper text is refused. */
#define MAX_DEPTH CAP_ITEM_DEPTH

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    return at;
}

/* `at` is behind the opening quote; returns what is behind the closing one, NULL without one. */
static const char *skip_string(const char *at, const char *end)
{
    while (at < end) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        const char *escape = quote ? memchr(at, '\\', (size_t)(quote - at)) : NULL;
        if (!escape)
            return quote ? quote + 1 : NULL;
        at = escape + 2;
    }
    return NULL;
}

/* Numbers, true, false, null. */
static const char *skip_word(const char *at, const char *end)
{
    const char *start = at;
    while (at < end && ((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'z') || *at == '-' ||
                        *at == '+' || *at == '.' || *at == 'E'))
        at++;
    return at > start ? at : NULL;
}

/* `at` is an opening bracket; returns what is behind its partner. */
static const char *skip_nested(const char *at, const char *end)
{
    char open[MAX_DEPTH];
    unsigned depth = 0;
    while (at < end) {
        char c = *at++;
        if (c == '"') {
            at = skip_string(at, end);
            if (!at)
                return NULL;
        } else if (c == '{' || c == '[') {
            if (depth == MAX_DEPTH)
                return NULL;
            open[depth++] = c;
        } else if (c == '}' || c == ']') {
            if (open[--depth] != (c == ']' ? '[' : '{'))
                return NULL;
            if (depth == 0)
                return at;
        }
    }
    return NULL;
}

static const char *skip_value(const char *at, const char *end)
{
    if (at >= end)
        return NULL;
    if (*at == '"')
        return skip_string(at + 1, end);
    return *at == '{' || *at == '[' ? skip_nested(at, end) : skip_word(at, end);
}

static bool is_null(const char *at, size_t len)
{
    return len == 4 && memcmp(at, "null", 4) == 0;
}

static void keep(struct skim key, struct skim value, const struct skim_key *keys, size_t count,
                 struct skim *values)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i].len == key.len && memcmp(keys[i].name, key.at, key.len) == 0) {
            values[i] = is_null(value.at, value.len) ? (struct skim){ 0 } : value;
            return;
        }
    }
}

/* One member from `at` on; returns what is behind its value. */
static const char *walk_member(const char *at, const char *end, struct skim *key,
                               struct skim *value)
{
    if (at >= end || *at != '"')
        return NULL;
    key->at = at + 1;
    at = skip_string(at + 1, end);
    if (!at)
        return NULL;
    key->len = (size_t)(at - 1 - key->at);

    at = skip_space(at, end);
    if (at >= end || *at != ':')
        return NULL;
    value->at = skip_space(at + 1, end);
    at = skip_value(value->at, end);
    if (at)
        value->len = (size_t)(at - value->at);
    return at;
}

bool skim_object(struct skim text, const struct skim_key *keys, size_t count, struct skim *values)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (struct skim){ 0 };
    if (!text.at)
        return false;
    const char *end = text.at + text.len;
    const char *at = skip_space(text.at, end);
    if (at >= end || *at != '{')
        return false;

    at = skip_space(at + 1, end);
    if (at < end && *at == '}')
        return skip_space(at + 1, end) == end;
    for (;;) {
        struct skim key, value;
        at = walk_member(at, end, &key, &value);
        if (!at)
            return false;
        keep(key, value, keys, count, values);
        at = skip_space(at, end);
        if (at >= end || *at != ',')
            break;
        at = skip_space(at + 1, end);
    }
    return at < end && *at == '}' && skip_space(at + 1, end) == end;
}

bool skim_next(struct skim *rest, struct skim *item)
{
    if (!rest->at)
        return false;
    const char *end = rest->at + rest->len;
    const char *at = skip_space(rest->at, end);
    /* The array itself begins with its bracket, what is left of it later with a comma or the end. */
    if (at >= end || (*at != '[' && *at != ','))
        return false;
    at = skip_space(at + 1, end);
    const char *behind = skip_value(at, end);
    if (!behind)
        return false;
    *item = (struct skim){ at, (size_t)(behind - at) };
    *rest = (struct skim){ behind, (size_t)(end - behind) };
    return true;
}

bool skim_is_string(struct skim value)
{
    return value.at && value.len >= 2 && *value.at == '"';
}

bool skim_is_object(struct skim value)
{
    return value.at && value.len >= 2 && *value.at == '{';
}

bool skim_is_array(struct skim value)
{
    return value.at && value.len >= 2 && *value.at == '[';
}

int64_t skim_number(struct skim value, int64_t otherwise)
{
    if (!value.at || value.len == 0 || value.len > 9)
        return otherwise;
    int64_t number = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return otherwise;
        number = number * 10 + (value.at[i] - '0');
    }
    return number;
}

/* ---- escapes ---- */

/* Four hexadecimal digits, -1 when they are not. */
static int32_t hex4(const char *at, const char *end)
{
    int32_t code = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        code = code << 4 | digit;
    }
    return code;
}

/* Up to U+FFFF, surrogates included. */
static void put_code(struct buf *out, int32_t code)
{
    char bytes[3];
    if (code < 0x80) {
        buf_putc(out, (char)code);
    } else if (code < 0x800) {
        bytes[0] = (char)(0xc0 | code >> 6);
        bytes[1] = (char)(0x80 | (code & 0x3f));
        buf_put(out, bytes, 2);
    } else {
        bytes[0] = (char)(0xe0 | code >> 12);
        bytes[1] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[2] = (char)(0x80 | (code & 0x3f));
        buf_put(out, bytes, 3);
    }
}

/* `at` is behind the backslash; returns what is behind the escape, NULL when there is no such escape. */
static const char *put_escape(struct buf *out, const char *at, const char *end)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    if (at >= end || *at == '\0')
        return NULL;
    const char *found = strchr(letters, *at);
    if (found) {
        buf_putc(out, meant[found - letters]);
        return at + 1;
    }
    int32_t code = *at == 'u' ? hex4(at + 1, end) : -1;
    if (code < 0)
        return NULL;
    put_code(out, code);
    return at + 5;
}

static bool unescape(struct buf *out, const char *at, const char *end)
{
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        const char *stop = escape ? escape : end;
        buf_put(out, at, (size_t)(stop - at));
        at = stop;
        if (escape) {
            at = put_escape(out, escape + 1, end);
            if (!at)
                return false;
        }
    }
    return !out->failed;
}

bool skim_string(struct skim value, struct buf *scratch, const char **chars, size_t *len)
{
    if (!skim_is_string(value))
        return false;
    const char *at = value.at + 1;
    const char *end = value.at + value.len - 1;
    if (!memchr(at, '\\', (size_t)(end - at))) {
        *chars = at;
        *len = (size_t)(end - at);
        return true;
    }
    buf_clear(scratch);
    if (!unescape(scratch, at, end))
        return false;
    *chars = buf_str(scratch);
    *len = scratch->len;
    return true;
}
