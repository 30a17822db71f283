/*
 * text_case: upper and lower case of all scripts, of text.h. The C locale knows only ASCII's, so a locale of its own is
 * kept. Pure but for that; any thread.
 */
#include "common/base/text.h"

#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <wctype.h>

static locale_t unicode;
static pthread_once_t unicode_once = PTHREAD_ONCE_INIT;

static void open_unicode(void)
{
    unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* Bytes that are no character count as one each. */
static size_t step_at(const char *at, size_t len)
{
    size_t step = (unsigned char)*at < 0x80 ? 1 : text_utf8_sequence(at, len);

    return step > 0 ? step : 1;
}

static wint_t decode(const unsigned char *at, size_t len)
{
    static const unsigned char lead[] = { 0, 0xff, 0x1f, 0x0f, 0x07 };
    wint_t code = at[0] & lead[len];

    for (size_t i = 1; i < len; i++)
        code = code << 6 | (at[i] & 0x3f);
    return code;
}

uint32_t text_utf8_lower(const char *at, size_t len, size_t *step)
{
    wint_t code;

    *step = step_at(at, len);
    code = decode((const unsigned char *)at, *step);
    if (code < 0x80)
        return code >= 'A' && code <= 'Z' ? code | 0x20 : code;
    pthread_once(&unicode_once, open_unicode);
    return unicode != (locale_t)0 ? towlower_l(code, unicode) : towlower(code);
}

bool text_utf8_space(uint32_t code)
{
    pthread_once(&unicode_once, open_unicode);
    return unicode != (locale_t)0 ? iswspace_l(code, unicode) : iswspace(code);
}

/* A character of the part, and how much of the part still fits where the next one does not (Knuth, Morris, Pratt). */
struct pattern {
    uint32_t code;
    size_t shorter;
};

static size_t advance(const struct pattern *pattern, size_t at, uint32_t code)
{
    while (at > 0 && pattern[at].code != code)
        at = pattern[at - 1].shorter;
    return pattern[at].code == code ? at + 1 : 0;
}

static size_t read_pattern(struct pattern *pattern, const char *part, size_t len)
{
    size_t count = 0, step;

    for (size_t i = 0; i < len; i += step) {
        pattern[count].code = text_utf8_lower(part + i, len - i, &step);
        pattern[count].shorter =
            count > 0 ? advance(pattern, pattern[count - 1].shorter, pattern[count].code) : 0;
        count++;
    }
    return count;
}

bool text_contains(const char *text, size_t len, const char *part, size_t part_len)
{
    struct pattern *pattern = part_len > 0 ? calloc(part_len, sizeof *pattern) : NULL;
    size_t count, found = 0, step;

    if (pattern == NULL)
        return part_len == 0;
    count = read_pattern(pattern, part, part_len);
    for (size_t i = 0; i < len && found < count; i += step)
        found = advance(pattern, found, text_utf8_lower(text + i, len - i, &step));
    free(pattern);
    return found == count;
}
