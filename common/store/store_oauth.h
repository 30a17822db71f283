/*
 * store_oauth: the store's verbs for connected accounts. What is kept is sealed by the caller; the store knows neither
 * tokens nor the ids of sessions. The same rules as in store.h.
 */
#ifndef PARLEY_STORE_STORE_OAUTH_H
#define PARLEY_STORE_STORE_OAUTH_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/store/store.h"

struct store_oauth {
    const char *session_hash;
    const struct owner *owner;
    const char *sealed;
    int64_t now_ms;
    int64_t expires_ms; /* of the row */
    bool again;         /* only in the place of what is still there */
};

/* Keep, in the place of what this session had. Takes expired rows of everybody along. RESULT_NOT_FOUND: `again`, and
 * somebody has removed it. */
enum result store_oauth_put(struct store *store, const struct store_oauth *row);
/* Append what is kept. RESULT_NOT_FOUND when there is nothing, or it has expired. */
enum result store_oauth_get(struct store *store, const char *session_hash, int64_t now_ms,
                            struct buf *sealed);
enum result store_oauth_remove(struct store *store, const char *session_hash);

#endif
