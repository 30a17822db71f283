/*
 * answers_cache: under which key an answer is kept and found again. The key is a hash of everything that
 * the answer depends on: provider, model, the system prompt with what is known of the visitor, and the
 * question without its case and white space. Only first questions have one, because every later answer
 * depends on what was said before. Request threads.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/answers_private.h"
#include "common/base/clock.h"
#include "common/base/text.h"

#define HASH_BYTES 32

static void hash_code(crypto_generichash_state *state, uint32_t code)
{
    unsigned char bytes[4] = { (unsigned char)code, (unsigned char)(code >> 8),
                               (unsigned char)(code >> 16), (unsigned char)(code >> 24) };

    crypto_generichash_update(state, bytes, sizeof bytes);
}

/* Case folded; white space within is one blank, and none at the ends. */
static void hash_question(crypto_generichash_state *state, const char *text, size_t len)
{
    bool gap = false, begun = false;
    size_t step;

    for (size_t i = 0; i < len; i += step) {
        uint32_t code = text_utf8_lower(text + i, len - i, &step);

        if (text_utf8_space(code)) {
            gap = begun;
            continue;
        }
        if (gap)
            hash_code(state, ' ');
        gap = false;
        begun = true;
        hash_code(state, code);
    }
}

/* With the NUL, so that two strings never look like two others. */
static void hash_string(crypto_generichash_state *state, const char *text)
{
    crypto_generichash_update(state, (const unsigned char *)text, strlen(text) + 1);
}

static void make_key(const struct answer_start *start, char key[CAP_CACHE_KEY])
{
    const struct chat_message *question = &start->begun.history[start->begun.history_len - 1];
    crypto_generichash_state state;
    unsigned char hash[HASH_BYTES];

    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    hash_string(&state, start->provider->name);
    hash_string(&state, start->model);
    hash_string(&state, start->system);
    hash_question(&state, question->content, question->len);
    crypto_generichash_final(&state, hash, sizeof hash);
    sodium_bin2hex(key, CAP_CACHE_KEY, hash, sizeof hash);
}

bool answer_start_recall(struct answer_start *start, const struct config *config,
                         struct store *store)
{
    if (config->response_cache_s == 0 || !start->begun.first || start->begun.history_len == 0 ||
        start->needs_eyes)
        return false;
    make_key(start, start->cache_key);
    /* A store that cannot be read just now means that the provider is asked. */
    return store_cache_get(store, start->cache_key, clock_wall_ms(), &start->cached) == RESULT_OK;
}
