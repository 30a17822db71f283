/*
 * answer_client: carries one answer to one HTTP client, as JSON when it is whole or as SSE while it grows.
 * The same for the client that asked, for one that comes back, and for answers of other workers.
 *
 * A client that reads slowly costs nobody else anything: it lags, and gets what it missed as one delta
 * when its socket drains. Loop thread only.
 */
#ifndef PARLEY_ENDPOINTS_ANSWER_CLIENT_H
#define PARLEY_ENDPOINTS_ANSWER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct answer;
struct dialect;
struct exchange;

enum answer_delivery {
    ANSWER_JSON,   /* one reply when the answer is whole */
    ANSWER_STREAM, /* SSE while it grows */
    ANSWER_POLL    /* one reply: what is new by then, at the end, or after wait_ms */
};

struct answer_client_options {
    const struct dialect *dialect;
    enum answer_delivery delivery;
    size_t after;    /* offset to begin at, in bytes of UTF-8 text */
    int64_t wait_ms; /* ANSWER_POLL only */
    char *question;  /* owned, may be NULL: what the user asked, for dialects that repeat it */
    char *preamble;  /* owned, may be NULL: what a stream sends before its first frame */
    bool reasoning;  /* the model's thoughts too, in frames of their own */
    bool tool_calls; /* the tools that are called, in frames of their own */
    bool resumed;    /* a client that came back: an answer that failed is still a stream for it */
};

/* Attach the exchange to the answer; replies and finishes the exchange when the time comes, also when
 * memory is short. Takes over options->question and options->preamble. */
void answer_client_start(struct exchange *exchange, struct answer *answer,
                         struct answer_client_options *options);

#endif
