/*
 * store_files: pictures that somebody put before he asks about them, and those of questions. store.h's rules
 * (blocking, thread-safe, faults) hold here too.
 */
#ifndef PARLEY_STORE_STORE_FILES_H
#define PARLEY_STORE_STORE_FILES_H

#include "common/store/store.h"

/* Of one owner, that no question shows: the oldest gives way to a new one. */
#define STORE_FILES_MOST 20
/* After so long without a question that shows it an upload goes (store_files_sweep). */
#define STORE_FILES_UNUSED_MS (INT64_C(7) * 24 * 3600 * 1000)

struct store_file {
    char mime[32];
    char *base64; /* the caller frees */
    size_t base64_len;
};

/* Keep a picture, which counts as a question for `limits` (may be NULL). RESULT_LIMITED as store_turn_begin. */
enum result store_file_put(struct store *store, const struct owner *owner,
                           const struct chat_image *image, const struct store_limits *limits,
                           int64_t now_ms, char id[CAP_ID], struct fault *fault);

/*
 * A picture for somebody from outside: his own, or one that a conversation shows which he may read (the rule of
 * store.h). With `own` only his own, which is what a question may show. RESULT_NOT_FOUND unknown_file.
 */
enum result store_file_get(struct store *store, const struct owner *owner, const char *id, bool own,
                           struct store_file *out, struct fault *fault);

/* Erase uploads that are older than STORE_FILES_UNUSED_MS and that no question shows. */
enum result store_files_sweep(struct store *store, int64_t now_ms);

#endif
