/*
 * text: UTF-8 and cleaning of what people type. Encodings (percent, base64url, HTML) are in
 * text_encode.c. Pure: no state, any thread.
 */
#include "common/base/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the character that `lead` begins; 0 when nothing can begin with it. */
static size_t lead_len(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2)
        return 0;
    if (lead < 0xe0)
        return 2;
    if (lead < 0xf0)
        return 3;
    return lead < 0xf5 ? 4 : 0;
}

/*
 * The second byte has tighter bounds after some leads: no overlong forms, surrogates, > U+10FFFF.
 */
static bool second_fits(unsigned char lead, unsigned char second)
{
    switch (lead) {
    case 0xe0:
        return second >= 0xa0 && second <= 0xbf;
    case 0xed:
        return second >= 0x80 && second <= 0x9f;
    case 0xf0:
        return second >= 0x90 && second <= 0xbf;
    case 0xf4:
        return second >= 0x80 && second <= 0x8f;
    default:
        return (second & 0xc0) == 0x80;
    }
}

/*
 * Looks at the character at the start of `bytes` (len > 0). Returns how many of its bytes are well
 * formed and there; *wanted is how many it needs, 0 when the first byte cannot begin one.
 */
static size_t look(const char *bytes, size_t len, size_t *wanted)
{
    const unsigned char *at = (const unsigned char *)bytes;
    *wanted = lead_len(at[0]);
    if (*wanted < 2)
        return *wanted;

    size_t have = 1;
    while (have < *wanted && have < len) {
        bool fits = have == 1 ? second_fits(at[0], at[1]) : (at[have] & 0xc0) == 0x80;
        if (!fits)
            break;
        have++;
    }
    return have;
}

size_t text_utf8_sequence(const char *bytes, size_t len)
{
    if (len == 0)
        return 0;
    size_t wanted;
    size_t have = look(bytes, len, &wanted);
    return have == wanted ? have : 0;
}

/* Length of the run of ASCII at the start, eight bytes at a step. */
static size_t ascii_run(const char *bytes, size_t len)
{
    size_t at = 0;
    for (uint64_t word; at + sizeof word <= len; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    while (at < len && (unsigned char)bytes[at] < 0x80)
        at++;
    return at;
}

bool text_utf8_valid(const char *bytes, size_t len)
{
    size_t at = ascii_run(bytes, len);
    while (at < len) {
        size_t step = text_utf8_sequence(bytes + at, len - at);
        if (step == 0)
            return false;
        at += step;
        if (at < len && (unsigned char)bytes[at] < 0x80)
            at += ascii_run(bytes + at, len - at);
    }
    return true;
}

size_t text_utf8_count(const char *bytes, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += ((unsigned char)bytes[i] & 0xc0) != 0x80;
    return count;
}

size_t text_utf8_partial(const char *bytes, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        const char *at = bytes + len - back;
        if (((unsigned char)*at & 0xc0) == 0x80)
            continue;
        size_t wanted;
        size_t have = look(at, back, &wanted);
        return have == back && wanted > back ? back : 0;
    }
    return 0;
}

size_t text_utf8_prefix(const char *bytes, size_t len, size_t max)
{
    size_t cut = len < max ? len : max;
    return cut - text_utf8_partial(bytes, cut);
}

bool text_utf8_repair(struct buf *out, const char *bytes, size_t len)
{
    size_t start = 0; /* of the well-formed run that is not appended yet */
    size_t at = 0;
    while (at < len) {
        at += ascii_run(bytes + at, len - at);
        if (at == len)
            break;
        size_t wanted;
        size_t have = look(bytes + at, len - at, &wanted);
        if (have > 0 && have == wanted) {
            at += have;
            continue;
        }
        buf_put(out, bytes + start, at - start);
        buf_puts(out, "\xef\xbf\xbd");
        at += have > 0 ? have : 1;
        start = at;
    }
    return buf_put(out, bytes + start, len - start);
}

/* C0 but tab and newline, DEL and C1, as the `step` bytes at `at`. */
static bool is_control(const char *at, size_t step)
{
    unsigned char first = (unsigned char)at[0];
    if (step == 2)
        return first == 0xc2 && (unsigned char)at[1] < 0xa0;
    return step == 1 && (first < 0x20 || first == 0x7f);
}

static uint32_t decode(const char *at, size_t step)
{
    static const unsigned char lead_mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    uint32_t code = (unsigned char)at[0] & lead_mask[step];
    for (size_t i = 1; i < step; i++)
        code = code << 6 | ((unsigned char)at[i] & 0x3f);
    return code;
}

/* Unicode White_Space. */
static bool is_space(const char *at, size_t step)
{
    static const struct {
        uint32_t first, last;
    } spaces[] = {
        { 0x09, 0x0d },     { 0x20, 0x20 },     { 0x85, 0x85 },     { 0xa0, 0xa0 },
        { 0x1680, 0x1680 }, { 0x2000, 0x200a }, { 0x2028, 0x2029 }, { 0x202f, 0x202f },
        { 0x205f, 0x205f }, { 0x3000, 0x3000 },
    };
    uint32_t code = decode(at, step);
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
        if (code >= spaces[i].first && code <= spaces[i].last)
            return true;
    return false;
}

size_t text_clean(char *text, size_t len)
{
    size_t kept = 0; /* bytes of the result so far */
    size_t end = 0;  /* the result without white space at its end */
    size_t step;
    for (size_t at = 0; at < len; at += step) {
        step = text_utf8_sequence(text + at, len - at);
        if (step == 0)
            step = 1;
        if (text[at] == '\r') {
            if (at + 1 < len && text[at + 1] == '\n')
                continue;
            text[at] = '\n';
        }
        if (is_control(text + at, step) && text[at] != '\t' && text[at] != '\n')
            continue;
        bool space = is_space(text + at, step);
        if (space && kept == 0)
            continue;
        memmove(text + kept, text + at, step);
        kept += step;
        if (!space)
            end = kept;
    }
    text[end] = '\0';
    return end;
}

bool text_has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        size_t step = (unsigned char)text[i] == 0xc2 && i + 1 < len ? 2 : 1;
        if (is_control(text + i, step))
            return true;
    }
    return false;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool text_same_nocase(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

bool text_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

char *text_dup(const char *text, size_t len)
{
    char *out = malloc(len + 1);

    if (out == NULL)
        return NULL;
    if (len > 0)
        memcpy(out, text, len);
    out[len] = '\0';
    return out;
}

bool text_copy(char *target, size_t size, const char *source)
{
    size_t len = strlen(source);
    bool fits = len < size;
    if (!fits)
        len = text_utf8_prefix(source, len, size - 1);
    memcpy(target, source, len);
    target[len] = '\0';
    return fits;
}
