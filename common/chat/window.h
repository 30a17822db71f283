/*
 * window: which part of a history goes to the model. Pure.
 *
 * Always keeps the system prompt and the newest question, drops whole oldest turns, never starts
 * with an assistant message. Tokens are an estimate (no tokenizer): see window_estimate.
 */
#ifndef PARLEY_CHAT_WINDOW_H
#define PARLEY_CHAT_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "common/chat/message.h"

struct window_limits {
    size_t max_messages;   /* of the history with the newest question; 0 = no bound */
    int64_t max_tokens;    /* estimate, system prompt included; 0 = no bound */
    int64_t system_tokens; /* estimate of the system prompt */
};

/*
 * Estimated tokens of valid UTF-8: ASCII about four bytes a token, other scripts by code point
 * (CJK one each, the rest two code points a token), rounded up, plus four per message.
 * Deliberately a little high.
 */
int64_t window_estimate(const char *text, size_t len);

/*
 * How many tokens the model's own tokenizer makes where window_estimate says 100, by the family that its
 * name tells: an unknown one counts as the dearest of the common ones.
 *
 *   gpt, o1, o3, o4, chatgpt  100   o200k and cl100k: about four characters of English
 *   gemini, gemma             105
 *   llama, qwen, deepseek     110
 *   mistral, mixtral          115
 *   claude                    120   smaller tokens, more of them for code
 *   others                    120
 */
int window_family_percent(const char *model);

/*
 * `messages` oldest first, the newest question last. Returns the index of the first one to send;
 * at most count - 1 when count > 0, so that the question is always there.
 */
size_t window_first(const struct chat_message *messages, size_t count,
                    const struct window_limits *limits);

#endif
