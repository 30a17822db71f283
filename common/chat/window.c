/*
 * window: what of a history goes to the model. Counts tokens by estimate, since the tokenizers
 * differ by provider and none is at hand; a little too high is the safe side. Pure, any thread.
 */
#include "common/chat/window.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define MESSAGE_TOKENS  4 /* what wire formats add around each message */
#define ASCII_PER_TOKEN 4
#define OTHER_PER_TOKEN 2

/*
 * Scripts whose characters are a token each: CJK, kana, Hangul; also emoji and all beyond the BMP.
 */
static bool is_dense(const unsigned char *at)
{
    if (at[0] >= 0xf0)
        return true;
    if (at[0] < 0xe2)
        return false;
    /* lead and second byte give U+2E80..U+9FFF, U+AC00..U+D7FF, U+F900..U+FAFF, U+FF00..U+FFFF */
    unsigned top = (at[0] & 0x0fu) << 6 | (at[1] & 0x3fu);
    return (top >= 0x2e80 >> 6 && top <= 0x9fff >> 6) ||
           (top >= 0xac00 >> 6 && top <= 0xd7ff >> 6) ||
           (top >= 0xf900 >> 6 && top <= 0xfaff >> 6) || top >= 0xff00 >> 6;
}

static bool is_ascii(const unsigned char eight[8])
{
    uint64_t word;
    memcpy(&word, eight, sizeof word);
    return (word & 0x8080808080808080u) == 0;
}

int64_t window_estimate(const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    int64_t ascii = 0, dense = 0, other = 0;
    for (size_t i = 0; i < len; i++) {
        for (; len - i > 8 && is_ascii(bytes + i); i += 8)
            ascii += 8;
        if (bytes[i] < 0x80)
            ascii++;
        else if ((bytes[i] & 0xc0) == 0x80)
            continue;
        else if (len - i >= 2 && is_dense(bytes + i))
            dense++;
        else
            other++;
    }
    return (ascii + ASCII_PER_TOKEN - 1) / ASCII_PER_TOKEN + dense +
           (other + OTHER_PER_TOKEN - 1) / OTHER_PER_TOKEN + MESSAGE_TOKENS;
}

/* Part of a name, in any case: gateways put a maker in front ("meta-llama/Llama-3.1-8B"). */
static bool mentions(const char *name, const char *part)
{
    size_t len = strlen(part);

    for (; *name != '\0'; name++)
        if (tolower((unsigned char)*name) == *part && strncasecmp(name, part, len) == 0)
            return true;
    return false;
}

int window_family_percent(const char *model)
{
    /* The first match counts: a distilled model has its teacher's name in front of its own. */
    static const struct {
        const char *part;
        int percent;
    } families[] = {
        { "claude", 120 }, { "mistral", 115 }, { "mixtral", 115 },
        { "llama", 110 },  { "qwen", 110 },    { "deepseek", 110 },
        { "gemini", 105 }, { "gemma", 105 },   { "gpt", 100 },
    };
    static const char *const reasoners[] = { "o1", "o3", "o4" };

    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (mentions(model, families[i].part))
            return families[i].percent;
    for (size_t i = 0; i < sizeof reasoners / sizeof reasoners[0]; i++)
        if (strncmp(model, reasoners[i], 2) == 0)
            return 100;
    return 120;
}

size_t window_first(const struct chat_message *messages, size_t count,
                    const struct window_limits *limits)
{
    if (count == 0)
        return 0;

    size_t first = count - 1;
    int64_t tokens =
        limits->system_tokens + window_estimate(messages[first].content, messages[first].len);
    for (size_t i = first; i-- > 0;) {
        if (limits->max_messages > 0 && count - i > limits->max_messages)
            break;
        tokens += window_estimate(messages[i].content, messages[i].len);
        if (limits->max_tokens > 0 && tokens > limits->max_tokens)
            break;
        if (messages[i].role != CHAT_ASSISTANT)
            first = i;
    }
    return first;
}
