/*
 * tries: see tries.h. Neighbours: round.c for turns, fcgi/endpoints/openai_api.c for files and vector stores.
 */
#include "common/responses/tries.h"

#include <string.h>

#include "common/base/id.h"
#include "common/providers/failure.h"
#include "common/relay_fetch.h"

#define TRIES_MAX 3
#define PAUSE_MS  500 /* before the second try; doubled for the third */

/* Up to a quarter less, so that many who failed together do not come back together. */
static int64_t own_pause_ms(unsigned made)
{
    unsigned char random;
    int64_t whole = (int64_t)PAUSE_MS << (made - 1);

    id_random(&random, 1);
    return whole - whole * random / (4 * 255);
}

int64_t tries_pause_ms(unsigned made, int64_t asked_ms, int64_t most_ms)
{
    int64_t pause_ms = asked_ms >= 0 ? asked_ms : own_pause_ms(made);

    return made < TRIES_MAX && pause_ms <= most_ms ? pause_ms : -1;
}

static const char *reply_header(void *ctx, const char *name)
{
    return relay_header(ctx, name);
}

int64_t tries_after_reply(unsigned made, const struct relay_fetch_reply *reply, int64_t most_ms)
{
    struct provider_failure failure;

    if (reply->end == RELAY_UNREACHABLE || (reply->end == RELAY_CUT && reply->status == 0))
        return tries_pause_ms(made, -1, most_ms);
    if (reply->end != RELAY_COMPLETE)
        return -1;
    memset(&failure, 0, sizeof failure);
    failure_explain(reply->status, reply_header, reply->call, reply->body, reply->len, &failure);
    return failure.retryable ? tries_pause_ms(made, failure.retry_after_ms, most_ms) : -1;
}
