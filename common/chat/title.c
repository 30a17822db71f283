/*
 * title: a conversation is called by how it began. The model is not asked: a list should not cost tokens.
 */
#include "common/chat/title.h"

#include <stdbool.h>
#include <string.h>

#include "common/base/text.h"

#define WORD_LEAST 20 /* a cut at a word's end must leave so many code points */

static const char ellipsis[] = "\xe2\x80\xa6";

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* One line, runs of white space as one space, at most TITLE_CHARS. *word: length at the last word's end. */
static size_t squeeze(const char *text, size_t len, char *out, size_t *used, size_t *word)
{
    size_t at = 0, chars = 0;

    *used = *word = 0;
    while (at < len && chars < TITLE_CHARS) {
        size_t size = text_utf8_sequence(text + at, len - at);

        if (size == 0)
            break;
        if (is_space(text[at])) {
            if (*used > 0 && out[*used - 1] != ' ') {
                if (chars >= WORD_LEAST)
                    *word = *used;
                out[(*used)++] = ' ';
                chars++;
            }
        } else {
            memcpy(out + *used, text + at, size);
            *used += size;
            chars++;
        }
        at += size;
    }
    return at;
}

void title_make(const char *text, size_t len, char out[CAP_TITLE])
{
    size_t used, word;
    size_t at = squeeze(text, len, out, &used, &word);

    while (at < len && is_space(text[at]))
        at++;
    if (at < len && word > 0 && !is_space(text[at - 1]))
        used = word;
    while (used > 0 && out[used - 1] == ' ')
        used--;
    out[used] = '\0';
    if (at < len)
        memcpy(out + used, ellipsis, sizeof ellipsis);
}
