/*
 * sse: decoder of text/event-stream. Bytes come split anywhere; whole lines are taken straight
 * from the caller's bytes and only an unfinished line is copied, so that a delta normally costs
 * one copy, into `data`. `id` and `retry` mean nothing here: providers do not resume. Pure; one
 * owner at a time.
 */
#include "common/chat/sse.h"

#include <string.h>

#include "common/base/caps.h"
#include "common/base/text.h"

static const char bom[] = "\xef\xbb\xbf";

#define BOM_LEN (sizeof bom - 1)

void sse_init(struct sse *sse, sse_sink *sink, void *ctx)
{
    *sse = (struct sse){ .sink = sink, .ctx = ctx };
    buf_init(&sse->line, CAP_SSE_LINE);
    buf_init(&sse->data, CAP_SSE_EVENT);
}

void sse_free(struct sse *sse)
{
    buf_free(&sse->line);
    buf_free(&sse->data);
}

/* A blank line: the event is whole. One without data is none. */
static void dispatch(struct sse *sse)
{
    if (sse->has_data)
        sse->sink(sse->ctx, sse->event, buf_str(&sse->data), sse->data.len);
    buf_clear(&sse->data);
    sse->has_data = false;
    sse->event[0] = '\0';
}

static bool put_data(struct sse *sse, const char *value, size_t len)
{
    if (sse->has_data && !buf_putc(&sse->data, '\n'))
        return false;
    sse->has_data = true;
    return buf_put(&sse->data, value, len);
}

/* Names that are longer than the place for them are cut, at a character boundary. */
static void set_event(struct sse *sse, const char *value, size_t len)
{
    len = text_utf8_prefix(value, len, sizeof sse->event - 1);
    memcpy(sse->event, value, len);
    sse->event[len] = '\0';
}

static bool is_field(const char *name, const char *line, size_t len)
{
    return len == strlen(name) && memcmp(line, name, len) == 0;
}

/* One line without its end. A comment is a field without a name, and so is ignored. */
static bool take_line(struct sse *sse, const char *line, size_t len)
{
    if (!sse->started && len >= BOM_LEN && memcmp(line, bom, BOM_LEN) == 0) {
        line += BOM_LEN;
        len -= BOM_LEN;
    }
    sse->started = true;
    if (len == 0) {
        dispatch(sse);
        return true;
    }

    const char *colon = memchr(line, ':', len);
    size_t name_len = colon ? (size_t)(colon - line) : len;
    const char *value = colon ? colon + 1 : line + len;
    size_t value_len = (size_t)(line + len - value);
    if (value_len > 0 && *value == ' ') {
        value++;
        value_len--;
    }
    if (is_field("data", line, name_len))
        return put_data(sse, value, value_len);
    if (is_field("event", line, name_len))
        set_event(sse, value, value_len);
    return true;
}

/* The line that ends at `len`, with its beginning from earlier calls in front. */
static bool end_line(struct sse *sse, const char *bytes, size_t len)
{
    if (sse->line.len == 0 && len <= CAP_SSE_LINE)
        return take_line(sse, bytes, len);
    if (!buf_put(&sse->line, bytes, len))
        return false;
    bool good = take_line(sse, buf_str(&sse->line), sse->line.len);
    buf_clear(&sse->line);
    return good;
}

/* Where the line ends: the first LF or CR, or `len`. */
static size_t find_end(const char *bytes, size_t len)
{
    const char *lf = memchr(bytes, '\n', len);
    size_t end = lf ? (size_t)(lf - bytes) : len;
    const char *cr = memchr(bytes, '\r', end);
    return cr ? (size_t)(cr - bytes) : end;
}

bool sse_feed(struct sse *sse, const char *bytes, size_t len)
{
    if (sse->line.failed || sse->data.failed)
        return false;
    while (len > 0) {
        bool lf_of_crlf = sse->after_cr && *bytes == '\n';
        sse->after_cr = false;
        if (lf_of_crlf) {
            bytes++;
            len--;
            continue;
        }
        size_t end = find_end(bytes, len);
        if (end == len)
            return buf_put(&sse->line, bytes, len);
        sse->after_cr = bytes[end] == '\r';
        if (!end_line(sse, bytes, end))
            return false;
        bytes += end + 1;
        len -= end + 1;
    }
    return true;
}

void sse_end(struct sse *sse)
{
    if (sse->line.failed || sse->data.failed)
        return;
    if (sse->line.len > 0 && !end_line(sse, "", 0))
        return;
    dispatch(sse);
}
