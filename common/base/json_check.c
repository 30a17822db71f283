/*
 * json_check: the grammar of RFC 8259 and nothing more. json-c takes single quotes, NaN, "1." and
 * raw control characters even when asked to be strict; what a stranger sends is held to the
 * standard here first. Recursion is bounded by max_depth. Pure, any thread.
 */
#include "common/base/json_check.h"

#include <stdbool.h>
#include <string.h>

struct scan {
    const char *at;
    const char *end;
    unsigned depth_left;
    bool too_deep;
};

static bool check_value(struct scan *scan);

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

static bool take(struct scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static bool take_word(struct scan *scan, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, word, len) != 0)
        return false;
    scan->at += len;
    return true;
}

static bool take_digits(struct scan *scan)
{
    const char *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at > start;
}

static bool check_number(struct scan *scan)
{
    take(scan, '-');
    if (!take(scan, '0') && !take_digits(scan))
        return false;
    if (take(scan, '.') && !take_digits(scan))
        return false;
    if (take(scan, 'e') || take(scan, 'E')) {
        if (!take(scan, '+'))
            take(scan, '-');
        return take_digits(scan);
    }
    return true;
}

static bool check_escape(struct scan *scan)
{
    if (scan->at == scan->end)
        return false;
    char c = *scan->at++;
    if (c != 'u')
        return c != '\0' && strchr("\"\\/bfnrt", c);
    for (int i = 0; i < 4; i++, scan->at++)
        if (scan->at == scan->end || *scan->at == '\0' ||
            !strchr("0123456789abcdefABCDEF", *scan->at))
            return false;
    return true;
}

static bool check_string(struct scan *scan)
{
    if (!take(scan, '"'))
        return false;
    while (scan->at < scan->end) {
        unsigned char c = (unsigned char)*scan->at++;
        if (c == '"')
            return true;
        if (c < 0x20 || (c == '\\' && !check_escape(scan)))
            return false;
    }
    return false;
}

static bool check_member(struct scan *scan)
{
    skip_space(scan);
    if (!check_string(scan))
        return false;
    skip_space(scan);
    return take(scan, ':') && check_value(scan);
}

/* The inside of an array or object, behind its opening bracket. */
static bool check_items(struct scan *scan, char close, bool (*check_item)(struct scan *))
{
    if (scan->depth_left == 0) {
        scan->too_deep = true;
        return false;
    }
    scan->depth_left--;
    skip_space(scan);
    bool closed = take(scan, close);
    while (!closed) {
        if (!check_item(scan))
            return false;
        closed = take(scan, close);
        if (!closed && !take(scan, ','))
            return false;
    }
    scan->depth_left++;
    return true;
}

/* One value and the white space around it. */
static bool check_value(struct scan *scan)
{
    skip_space(scan);
    if (scan->at == scan->end)
        return false;
    bool good;
    switch (*scan->at) {
    case '{':
        scan->at++;
        good = check_items(scan, '}', check_member);
        break;
    case '[':
        scan->at++;
        good = check_items(scan, ']', check_value);
        break;
    case '"':
        good = check_string(scan);
        break;
    case 't':
        good = take_word(scan, "true");
        break;
    case 'f':
        good = take_word(scan, "false");
        break;
    case 'n':
        good = take_word(scan, "null");
        break;
    default:
        good = check_number(scan);
        break;
    }
    skip_space(scan);
    return good;
}

enum json_flaw json_check(const char *bytes, size_t len, unsigned max_depth, size_t *at)
{
    struct scan scan = { .at = bytes, .end = bytes + len, .depth_left = max_depth };
    bool good = check_value(&scan) && scan.at == scan.end;
    *at = (size_t)(scan.at - bytes);
    if (good)
        return JSON_FINE;
    return scan.too_deep ? JSON_TOO_DEEP : JSON_BROKEN;
}
