/*
 * upload_scan: see upload_scan.h. A scanner of JSON that looks only at brackets, strings and which member it is in;
 * numbers and words are skipped, but for the first letter of what should be a name. Pure.
 */
#include "common/responses/upload_scan.h"

#include <string.h>

#define CAP_KEY  64
#define CAP_NAME 1024

enum target { TARGET_NONE, TARGET_KEY, TARGET_NAME, TARGET_CONTENT };

void upload_scan_init(struct upload_scan *scan, upload_scan_sink *sink, void *ctx)
{
    *scan = (struct upload_scan){ .sink = sink, .ctx = ctx };
    buf_init(&scan->name, CAP_NAME);
    buf_init(&scan->key, CAP_KEY);
}

void upload_scan_free(struct upload_scan *scan)
{
    buf_free(&scan->name);
    buf_free(&scan->key);
}

static void fail(struct upload_scan *scan)
{
    scan->failed = true;
}

/* ---- base64 ---- */

static void flush(struct upload_scan *scan)
{
    if (scan->out_len > 0 && !scan->sink(scan->ctx, scan->out, scan->out_len)) {
        scan->sink_failed = true;
        fail(scan);
    }
    scan->out_len = 0;
}

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

static void take_base64(struct upload_scan *scan, char c)
{
    int digit = digit_of(c);

    if (c == '=')
        scan->padded = true;
    if (digit < 0 || scan->padded)
        return;
    scan->bits = (scan->bits << 6 | (unsigned)digit) & 0xffffff;
    scan->bit_count += 6;
    if (scan->bit_count < 8)
        return;
    scan->bit_count -= 8;
    scan->out[scan->out_len++] = (unsigned char)(scan->bits >> scan->bit_count & 0xff);
    if (scan->out_len == sizeof scan->out)
        flush(scan);
}

/* ---- strings ---- */

static void put_byte(struct upload_scan *scan, char byte)
{
    switch (scan->target) {
    case TARGET_KEY:
        if (!buf_putc(&scan->key, byte))
            scan->key.failed = true; /* longer than any that matters */
        break;
    case TARGET_NAME:
        buf_putc(&scan->name, byte); /* a longer one is cut */
        break;
    case TARGET_CONTENT:
        take_base64(scan, byte);
        break;
    default:
        break;
    }
}

static void put_code(struct upload_scan *scan, unsigned code)
{
    if (code >> 10 == 0xd800 >> 10) {
        scan->high = code;
        return;
    }
    if (code >> 10 == 0xdc00 >> 10 && scan->high != 0)
        code = 0x10000 + ((scan->high & 0x3ff) << 10 | (code & 0x3ff));
    scan->high = 0;
    if (code < 0x80) {
        put_byte(scan, (char)code);
    } else if (code < 0x800) {
        put_byte(scan, (char)(0xc0 | code >> 6));
        put_byte(scan, (char)(0x80 | (code & 0x3f)));
    } else {
        if (code > 0xffff)
            put_byte(scan, (char)(0xf0 | code >> 18));
        put_byte(scan, (char)(code > 0xffff ? 0x80 | (code >> 12 & 0x3f) : 0xe0 | code >> 12));
        put_byte(scan, (char)(0x80 | (code >> 6 & 0x3f)));
        put_byte(scan, (char)(0x80 | (code & 0x3f)));
    }
}

static void take_hex(struct upload_scan *scan, char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c) : NULL;

    if (found == NULL) {
        fail(scan);
        return;
    }
    scan->code = scan->code << 4 | (unsigned)(found - digits);
    if (++scan->escape < 6)
        return;
    scan->escape = 0;
    put_code(scan, scan->code);
}

static void take_escape(struct upload_scan *scan, char c)
{
    static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    const char *found = c != '\0' ? strchr(names, c) : NULL;

    if (scan->escape >= 2) {
        take_hex(scan, c);
        return;
    }
    scan->escape = 0;
    if (c == 'u') {
        scan->escape = 2;
        scan->code = 0;
    } else if (found != NULL) {
        put_byte(scan, bytes[found - names]);
    } else {
        fail(scan);
    }
}

/* Where a value goes that begins here, if it is a string. */
static enum target choose_target(const struct upload_scan *scan)
{
    if (scan->expect_key)
        return TARGET_KEY;
    if (scan->depth != 2 || !scan->in_file || scan->key.failed)
        return TARGET_NONE;
    if (strcmp(buf_str(&scan->key), "name") == 0)
        return TARGET_NAME;
    return strcmp(buf_str(&scan->key), "content") == 0 ? TARGET_CONTENT : TARGET_NONE;
}

/* A value begins that is neither a string nor null, which counts as absent. */
static void begin_other(struct upload_scan *scan)
{
    if (choose_target(scan) == TARGET_NAME)
        scan->name_wrong = true;
}

static void begin_string(struct upload_scan *scan)
{
    scan->in_string = true;
    scan->is_key = scan->expect_key;
    scan->target = choose_target(scan);
    scan->high = 0;
    if (scan->target == TARGET_KEY)
        buf_clear(&scan->key);
    if (scan->target == TARGET_NAME)
        buf_clear(&scan->name);
    if (scan->target == TARGET_CONTENT && scan->has_content)
        fail(scan); /* two contents: what was written cannot be taken back */
    if (scan->target == TARGET_CONTENT)
        scan->has_content = true;
}

static void end_string(struct upload_scan *scan)
{
    scan->in_string = false;
    if (scan->is_key)
        scan->expect_key = false;
}

/* ---- structure ---- */

static void open_container(struct upload_scan *scan, char bracket)
{
    if (scan->depth == UPLOAD_SCAN_DEPTH ||
        (scan->depth == 0 && (scan->started || bracket != '{'))) {
        fail(scan);
        return;
    }
    begin_other(scan);
    if (scan->depth == 1)
        scan->in_file = bracket == '{' && strcmp(buf_str(&scan->key), "fileObject") == 0;
    scan->stack[scan->depth++] = bracket;
    scan->started = true;
    scan->expect_key = bracket == '{';
}

static void close_container(struct upload_scan *scan, char bracket)
{
    if (scan->depth == 0 || scan->stack[scan->depth - 1] != (bracket == '}' ? '{' : '[')) {
        fail(scan);
        return;
    }
    scan->depth--;
    scan->expect_key = false;
    if (scan->depth == 1)
        scan->in_file = false;
}

static void take_outside(struct upload_scan *scan, char c)
{
    switch (c) {
    case '{':
    case '[':
        open_container(scan, c);
        break;
    case '}':
    case ']':
        close_container(scan, c);
        break;
    case '"':
        if (scan->depth == 0)
            fail(scan);
        begin_string(scan);
        break;
    case ',':
        scan->expect_key = scan->depth > 0 && scan->stack[scan->depth - 1] == '{';
        break;
    default:
        if (scan->depth == 0 && strchr(" \t\r\n", c) == NULL)
            fail(scan);
        if (c == 't' || c == 'f' || c == '-' || (c >= '0' && c <= '9'))
            begin_other(scan);
        break;
    }
}

static void take(struct upload_scan *scan, char c)
{
    if (!scan->in_string)
        take_outside(scan, c);
    else if (scan->escape > 0)
        take_escape(scan, c);
    else if (c == '"')
        end_string(scan);
    else if (c == '\\')
        scan->escape = 1;
    else
        put_byte(scan, c);
}

bool upload_scan_feed(struct upload_scan *scan, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len && !scan->failed; i++)
        take(scan, bytes[i]);
    return !scan->failed;
}

bool upload_scan_end(struct upload_scan *scan)
{
    if (!scan->failed)
        flush(scan);
    return !scan->failed && scan->started && scan->depth == 0 && scan->has_content;
}
