/*
 * envelope: see envelope.h. The front end decodes each network read by itself, so a character that is split
 * between two of them would be lost: hence ASCII. Pure.
 */
#include "common/responses/envelope.h"

#include <string.h>

#include "common/base/json.h"
#include "common/base/text.h"

static const unsigned char lead_mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };

/* The character that begins at `text`, with the bytes it has; a malformed one has one byte. */
static unsigned take_character(const char *text, size_t len, size_t *step)
{
    size_t bytes = text_utf8_sequence(text, len);
    unsigned code = bytes > 0 ? (unsigned char)text[0] & lead_mask[bytes] : 0xfffd;

    for (size_t i = 1; i < bytes; i++)
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    *step = bytes > 0 ? bytes : 1;
    return code;
}

static void put_code(struct buf *out, unsigned code)
{
    if (code <= 0xffff) {
        buf_putf(out, "\\u%04x", code);
        return;
    }
    code -= 0x10000;
    buf_putf(out, "\\u%04x\\u%04x", 0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff));
}

static bool is_plain(unsigned char byte)
{
    return byte < 0x80 && byte != '\n' && byte != '\r';
}

void envelope_put_ascii(struct buf *out, const char *json, size_t len)
{
    size_t at = 0;

    buf_reserve(out, len);
    while (at < len) {
        size_t start = at, step = 1;

        while (at < len && is_plain((unsigned char)json[at]))
            at++;
        buf_put(out, json + start, at - start);
        if (at == len)
            return;
        if ((unsigned char)json[at] < 0x80)
            buf_putc(out, ' ');
        else
            put_code(out, take_character(json + at, len - at, &step));
        at += step;
    }
}

void envelope_put(struct buf *out, const char *event, const char *json, size_t len)
{
    buf_puts(out, "data: {");
    if (text_starts_with(event, "response.") || strcmp(event, "error") == 0) {
        buf_puts(out, "\"event\":");
        json_put_string_ascii(out, event, strlen(event));
        buf_putc(out, ',');
    }
    buf_puts(out, "\"data\":");
    envelope_put_ascii(out, json, len);
    buf_puts(out, "}\n\n");
}

void envelope_put_error(struct buf *out, const char *text)
{
    buf_puts(out, "data: {\"error\":");
    json_put_string_ascii(out, text, strlen(text));
    buf_puts(out, "}\n\n");
}
