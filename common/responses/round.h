/*
 * round: one answer of the model to a list of items, as the events of the Responses API; from that API itself,
 * whose events are passed on as they come, or from any other provider, whose answer is made into them.
 *
 * round_prepare and round_request_free: any thread. The rest: loop thread only.
 */
#ifndef PARLEY_RESPONSES_ROUND_H
#define PARLEY_RESPONSES_ROUND_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/result.h"
#include "common/chat/stream.h"
#include "common/providers/provider.h"
#include "common/responses/item_history.h"

struct config;
struct relay;
struct round;
struct uv_loop_s;

#define ROUND_TOOLS_MAX 16

/* What stays the same in all rounds of a turn. Borrowed; must outlive them. */
struct round_plan {
    const struct config *config;
    const struct provider *provider; /* NULL: the Responses API itself */
    const struct provider *payer; /* whose address, key and deadlines count; NULL: those for all */
    const char *model;
    const char *instructions;
    const char *tools; /* JSON array, for the API itself */
    bool no_calls;     /* tools may not be called any more */
    /* Offered to a provider; filled by round_plan_offer. */
    struct chat_tool offered[ROUND_TOOLS_MAX];
    size_t offered_count;
};

/* Offer all tools of common/tools. */
void round_plan_offer(struct round_plan *plan);

/* What is sent. Made by round_prepare; round_start takes it over. */
struct round_request {
    struct provider_request encoded;
    struct item_history history; /* with a provider only */
};

/* `items` is a JSON array, without its brackets: the input. RESULT_TOO_LARGE, RESULT_INVALID. On failure nothing needs
 * freeing. */
enum result round_prepare(const struct round_plan *plan, const char *items, size_t len,
                          struct round_request *out, struct fault *fault);
void round_request_free(struct round_request *request); /* a zeroed one is fine */

struct round_end {
    const struct fault *fault; /* NULL: it ended well, or cut short */
    bool told;                 /* an event has told of the fault already */
    enum finish_reason finish;
    struct stream_usage usage;
    const char *detail; /* for the log */
};

struct round_sink {
    /* An event object: valid JSON. Valid during the call. */
    void (*event)(void *ctx, const char *type, const char *json, size_t len);
    /* Once and last. The round is over and freed right after it. Neither may cancel the round. */
    void (*done)(void *ctx, const struct round_end *end);
};

/* Never calls the sink itself. NULL when out of memory. */
struct round *round_start(struct uv_loop_s *loop, struct relay *relay,
                          const struct round_plan *plan, struct round_request *request,
                          const struct round_sink *sink, void *ctx);
void round_cancel(struct round *round); /* closes the connection; NULL is fine */

/* Hold the provider back, and let it go on. */
void round_hold(struct round *round);
void round_go_on(struct round *round);

#endif
