/*
 * text_case: upper and lower case of all scripts, of text.h. The C locale knows only ASCII's, so a locale of its own is
 * kept. Pure but for that; any thread.
 */
#include "common/base/text.h"

#include <locale.h>
#include <pthread.h>
#include <string.h>
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

static bool begins_with(const char *text, size_t len, const char *part, size_t part_len)
{
    size_t at = 0, step, part_step;

    for (size_t i = 0; i < part_len; i += part_step, at += step) {
        if (at >= len || text_utf8_lower(text + at, len - at, &step) !=
                             text_utf8_lower(part + i, part_len - i, &part_step))
            return false;
    }
    return true;
}

bool text_contains(const char *text, size_t len, const char *part, size_t part_len)
{
    for (size_t at = 0; at < len; at += step_at(text + at, len - at))
        if (begins_with(text + at, len - at, part, part_len))
            return true;
    return part_len == 0;
}
