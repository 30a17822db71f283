/*
 * embed: vectors of texts, by the OpenAI-compatible provider's /embeddings. Pure: fetch.h moves the bytes.
 */
#ifndef PARLEY_MEMORY_EMBED_H
#define PARLEY_MEMORY_EMBED_H

#include <stdbool.h>

#include "common/memory/fetch.h"

struct config;
struct provider;
struct providers;

#define EMBED_BATCH 64         /* texts of one request */
#define EMBED_REPLY (16 << 20) /* bytes of a reply */

/* The provider that makes vectors; NULL: EMBEDDING_MODEL is empty, or nobody can. */
const struct provider *embed_provider(const struct config *config,
                                      const struct providers *providers);

/* The request for the vectors of `count` texts. url and headers are malloc'd. False when out of memory. */
struct embed_request {
    char *url, *headers;
    struct fetch_request fetch; /* borrows them; body is taken over by fetch_start */
};
bool embed_encode(const struct provider *provider, const char *model, const char *const *texts,
                  size_t count, struct embed_request *out);
void embed_request_free(struct embed_request *request);

/* Read a reply: `count` vectors of length 1, all of the same *size, in one malloc'd block. NULL when it has not just
 * these. */
float *embed_decode(const char *body, size_t len, size_t count, size_t *size);

#endif
