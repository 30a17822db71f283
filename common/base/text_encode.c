/*
 * text_encode: the encodings of text.h: percent, base64url, HTML. Pure: no state, any thread.
 */
#include "common/base/text.h"

#include <inttypes.h>
#include <string.h>

#define NANO INT64_C(1000000000)

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool text_percent_decode(char *text, bool plus_is_space)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        char c = *from;
        if (c == '+' && plus_is_space)
            c = ' ';
        if (c == '%') {
            int high = hex_digit(from[1]);
            int low = high < 0 ? -1 : hex_digit(from[2]);
            if (low < 0 || high + low == 0)
                return false;
            c = (char)(high << 4 | low);
            from += 2;
        }
        *to++ = c;
    }
    *to = '\0';
    return true;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~", c));
}

bool text_percent_encode(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (is_unreserved(text[i]))
            buf_putc(out, text[i]);
        else
            buf_putf(out, "%%%02X", (unsigned char)text[i]);
    }
    return !out->failed;
}

bool text_base64url(struct buf *out, const void *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *in = bytes;
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i;
        if (have > 3)
            have = 3;
        unsigned group = (unsigned)in[i] << 16;
        if (have > 1)
            group |= (unsigned)in[i + 1] << 8;
        if (have > 2)
            group |= in[i + 2];
        char four[4];
        for (int j = 0; j < 4; j++)
            four[j] = digits[group >> (18 - 6 * j) & 63];
        buf_put(out, four, have + 1);
    }
    return !out->failed;
}

static const char *html_entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

bool text_html(struct buf *out, const char *text, size_t len)
{
    size_t start = 0;
    for (size_t i = 0; i < len; i++) {
        const char *entity = html_entity(text[i]);
        if (!entity)
            continue;
        buf_put(out, text + start, i - start);
        buf_puts(out, entity);
        start = i + 1;
    }
    return buf_put(out, text + start, len - start);
}

bool text_nano(struct buf *out, int64_t nano)
{
    return buf_putf(out, "%" PRId64 ".%09" PRId64, nano / NANO, nano % NANO);
}
