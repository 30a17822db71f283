/*
 * shared: windows counted in Redis, so that several machines count together. Compiled in when libhiredis
 * is there (PARLEY_REDIS).
 *
 * One atomic script per question. Calls block, with a deadline (REDIS_TIMEOUT_MS), so they belong on a
 * request thread; any number of threads. While Redis is away one caller a second looks whether it is back,
 * and the others learn at once that it is not.
 */
#ifndef PARLEY_LIMITS_SHARED_H
#define PARLEY_LIMITS_SHARED_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/result.h"
#include "common/store/store.h"

struct config;
struct shared;

/* Connects to nothing yet. RESULT_INVALID with the operator's sentence: not built in, or a malformed URL. */
enum result shared_open(const struct config *config, struct shared **out, struct fault *fault);
void shared_close(struct shared *shared); /* NULL is fine */

enum shared_verdict {
    SHARED_PASSED, /* counted, each of them */
    SHARED_OVER,   /* nothing was counted: one has reached its limit */
    SHARED_AWAY    /* nothing is known */
};

/* Count one question in all of `charges`, or in none; fills `used` and `ends_ms` unless away. */
enum shared_verdict shared_charge(struct shared *shared, struct store_charge *charges, size_t count,
                                  int64_t now_ms);

/* Look without counting: SHARED_PASSED or SHARED_AWAY. */
enum shared_verdict shared_look(struct shared *shared, struct store_charge *charges, size_t count,
                                int64_t now_ms);

#endif
