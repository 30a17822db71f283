/*
 * round_private: what the round*.c files share: round.c asks and tries again, round_native.c passes the events of the
 * Responses API on, round_provider.c makes them of another provider's. Loop thread.
 */
#ifndef PARLEY_RESPONSES_ROUND_PRIVATE_H
#define PARLEY_RESPONSES_ROUND_PRIVATE_H

#include <uv.h>

#include "common/chat/sse.h"
#include "common/relay.h"
#include "common/responses/round.h"
#include "common/responses/synth.h"

/* A way to read the reply. */
struct round_reader {
    bool (*open)(struct round *round); /* a 2xx has begun; false: out of memory */
    void (*feed)(struct round *round, const char *bytes, size_t len);
    void (*end)(struct round *round); /* the body is over */
    void (*close)(struct round *round);
};
extern const struct round_reader round_reader_native;
extern const struct round_reader round_reader_provider;

struct round {
    uv_loop_t *loop;
    struct relay *relay;
    const struct round_plan *plan;
    struct round_request request;
    const struct round_reader *reader;
    const struct round_sink *sink;
    void *ctx;

    struct relay_call *call;
    uv_timer_t *timer; /* before another try, or an offline provider's pace */
    unsigned tries;
    int http_status;
    struct buf error_body;
    bool open; /* the reader is */
    bool held;
    bool told; /* events were passed on: no other try */

    /* what the reader found */
    bool ended;
    bool failed;
    bool fault_told; /* by an event that was passed on */
    struct fault fault;
    enum finish_reason finish;
    struct stream_usage usage;

    struct sse sse;                 /* native */
    struct provider_stream *stream; /* provider */
    struct synth synth;             /* provider */
};

/* For readers: pass an event on; the answer is over, well or badly. */
void round_event(struct round *round, const char *type, const char *json, size_t len);
void round_ended(struct round *round, enum finish_reason finish);
void round_failed(struct round *round, const struct fault *fault);

#endif
