/*
 * store_words: a text taken apart into the words that a search looks for, and vectors made comparable. This is
 * the only way for a stranger's text into FTS5: words of letters and digits, each in double quotes, which have
 * none inside.
 *
 * Pure; any thread.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/store/store_memory.h"

/* Words that say nothing about what is looked for. Sorted. */
static const char *const empty_words[] = {
    "a",    "about", "an",    "and",    "any",  "are",  "as",     "at",    "be",   "been", "but",
    "by",   "can",   "das",   "der",    "did",  "die",  "do",     "does",  "ein",  "eine", "for",
    "from", "get",   "had",   "has",    "have", "her",  "his",    "how",   "i",    "ich",  "if",
    "in",   "into",  "is",    "ist",    "it",   "its",  "just",   "may",   "me",   "my",   "of",
    "on",   "or",    "our",   "please", "s",    "she",  "should", "so",    "some", "t",    "tell",
    "than", "that",  "the",   "their",  "them", "then", "there",  "they",  "this", "to",   "und",
    "us",   "was",   "we",    "were",   "what", "when", "where",  "which", "who",  "why",  "wie",
    "will", "with",  "would", "you",    "your",
};

static int compare(const void *key, const void *word)
{
    return strcmp(key, *(const char *const *)word);
}

static bool says_nothing(const char *word)
{
    return bsearch(word, empty_words, sizeof empty_words / sizeof empty_words[0],
                   sizeof empty_words[0], compare) != NULL;
}

static bool in_word(unsigned char byte)
{
    return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z');
}

/* General punctuation (U+2000 to U+206F) and no-break spaces are no letters, although not ASCII. */
static size_t punctuation(const char *text, size_t len)
{
    const unsigned char *at = (const unsigned char *)text;

    if (len >= 3 && at[0] == 0xe2 && (at[1] == 0x80 || at[1] == 0x81))
        return 3;
    if (len >= 2 && at[0] == 0xc2 && at[1] >= 0xa0 && at[1] <= 0xbf)
        return 2;
    return 0;
}

/* The letters of U+00C0 to U+017F, and of U+1E00 to U+1EFF (Vietnamese), without their accents, as FTS5 compares them. */
static const char plain_latin[] =
    "aaaaaa.ceeeeiiii.nooooo..uuuuy..aaaaaa.ceeeeiiii.nooooo..uuuuy.y"
    "aaaaaaccccccccdd..eeeeeeeeeegggggggghh..iiiiiiiii...jjkk.llllll."
    "...nnnnnn...oooooo..rrrrrrsssssssstttt..uuuuuuuuuuuuwwyyyzzzzzz.";
static const char plain_more[] = "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmm"
                                 "mmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv"
                                 "wwwwwwwwwwxxxxyyzzzzzzhtwy......aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee"
                                 "eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy......";

/* The letter, in lower case and without an accent, that the two or three bytes at `at` are; 0 for others. */
static char plain_letter(const unsigned char *at, size_t *len)
{
    unsigned code = (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu);
    char letter = '.';

    *len = 2;
    if (at[0] >= 0xc3 && at[0] <= 0xc5 && at[1] >= 0x80) {
        letter = plain_latin[code - 0xc0];
    } else if (at[0] == 0xe1 && at[1] >= 0xb8 && at[1] <= 0xbb && at[2] >= 0x80) {
        letter = plain_more[(at[1] & 0x3u) << 6 | (at[2] & 0x3fu)];
        *len = 3;
    }
    return letter != '.' ? letter : '\0';
}

/* Lower case of ASCII, Latin and Russian letters, Latin ones without accents. Never longer than it was. */
static void fold(char *word)
{
    unsigned char *to = (unsigned char *)word;
    const unsigned char *at = to;
    size_t len;

    while (*at != '\0') {
        char letter = plain_letter(at, &len);

        if (letter != '\0') {
            *to++ = (unsigned char)letter;
            at += len;
        } else if (at[0] == 0xc3 && at[1] >= 0x80 && at[1] <= 0x9e && at[1] != 0x97) {
            *to++ = *at++;
            *to++ = (unsigned char)(*at++ + 0x20);
        } else if (at[0] == 0xd0 && at[1] >= 0x90 && at[1] <= 0x9f) {
            *to++ = *at++;
            *to++ = (unsigned char)(*at++ + 0x20);
        } else if (at[0] == 0xd0 && at[1] >= 0xa0 && at[1] <= 0xaf) {
            *to++ = 0xd1;
            *to++ = (unsigned char)(at[1] - 0x20);
            at += 2;
        } else {
            *to++ = *at >= 'A' && *at <= 'Z' ? (unsigned char)(*at + 'a' - 'A') : *at;
            at++;
        }
    }
    *to = '\0';
}

/* The next word from *at on, folded. False at the end. */
static bool next_word(const char *text, size_t len, size_t *at, char word[STORE_WORD_SIZE])
{
    size_t start, skip, kept;

    while (*at < len &&
           ((skip = punctuation(text + *at, len - *at)) > 0 || !in_word((unsigned char)text[*at])))
        *at += skip > 0 ? skip : 1;
    start = *at;
    while (*at < len && in_word((unsigned char)text[*at]) &&
           punctuation(text + *at, len - *at) == 0)
        *at += 1;
    if (*at == start)
        return false;
    kept = text_utf8_prefix(text + start, *at - start, STORE_WORD_SIZE - 1);
    if (kept > 0)
        *at = start + kept; /* what is left of a longer one is the next */
    memcpy(word, text + start, kept);
    word[kept] = '\0';
    fold(word);
    return true;
}

static bool has_word(const struct store_words *words, const char *word)
{
    for (size_t i = 0; i < words->count; i++)
        if (strcmp(words->list[i], word) == 0)
            return true;
    return false;
}

static void read_all(struct store_words *words, const char *text, size_t len, bool empty_ones)
{
    char word[STORE_WORD_SIZE];
    size_t at = 0;

    words->count = 0;
    while (words->count < STORE_WORDS_MAX && next_word(text, len, &at, word))
        if ((empty_ones || !says_nothing(word)) && !has_word(words, word))
            memcpy(words->list[words->count++], word, sizeof word);
}

void store_words_read(struct store_words *words, const char *text, size_t len)
{
    read_all(words, text, len, false);
    if (words->count == 0)
        read_all(words, text, len, true);
}

void store_words_plain(const char *text, size_t len, struct buf *out)
{
    char word[STORE_WORD_SIZE];
    size_t at = 0;

    while (next_word(text, len, &at, word))
        buf_putf(out, "%s%s", out->len > 0 ? " " : "", word);
}

bool store_words_query(const struct store_words *words, struct buf *out)
{
    for (size_t i = 0; i < words->count; i++)
        buf_putf(out, "%s\"%s\"", i > 0 ? " OR " : "", words->list[i]);
    return words->count > 0 && !out->failed;
}

/* Equal, or forms of the same word as far as its beginning tells. Numbers have no forms. */
static bool akin(const char *a, const char *b)
{
    size_t common = 0, a_len = strlen(a), b_len = strlen(b);
    size_t shorter = a_len < b_len ? a_len : b_len, longer = a_len < b_len ? b_len : a_len;

    while (common < shorter && a[common] == b[common])
        common++;
    if (common == longer)
        return true;
    if (*a >= '0' && *a <= '9')
        return false;
    return common >= 3 && common + 1 >= shorter && (common >= 4 || longer - shorter <= 1);
}

double store_words_share(const struct store_words *words, const char *text, size_t len)
{
    bool seen[STORE_WORDS_MAX] = { false };
    char word[STORE_WORD_SIZE];
    size_t at = 0, found = 0;

    while (found < words->count && next_word(text, len, &at, word))
        for (size_t i = 0; i < words->count; i++)
            if (!seen[i] && akin(words->list[i], word)) {
                seen[i] = true;
                found++;
            }
    return words->count == 0 ? 0 : (double)found / (double)words->count;
}

bool store_vector_normalise(float *values, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += (double)values[i] * (double)values[i];
    if (!(sum > 0) || !isfinite(sum))
        return false;
    for (size_t i = 0; i < count; i++)
        values[i] = (float)((double)values[i] / sqrt(sum));
    return true;
}
