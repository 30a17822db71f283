/*
 * provider: a model-side wire format. Turn -> request bytes; response bytes -> stream events. Pure, no
 * I/O: the relay moves the bytes. One file and one row in providers.c per wire format; any number of
 * configured providers (struct provider) may share one format.
 */
#ifndef PARLEY_PROVIDERS_PROVIDER_H
#define PARLEY_PROVIDERS_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/caps.h"
#include "common/base/result.h"
#include "common/chat/message.h"
#include "common/chat/stream.h"

struct config;
struct provider;

/* What the model is asked. Borrowed strings. */
struct provider_call {
    const struct provider *provider;
    const char *model;
    const char *system;                  /* "" = none */
    const struct chat_message *messages; /* user and assistant, oldest first, the question last */
    size_t message_count;
    /* One per message, or NULL: no pictures. Those that are not the user's are left out. */
    const struct chat_images *images;
    /* One per message, or NULL: all are text. */
    const struct chat_use *uses;
    /* Offered to the model; it may call one of them in an answer, unless `no_calls`: then they are there only
     * because the messages speak of them. */
    const struct chat_tool *tools;
    size_t tool_count;
    bool no_calls;
};

/* The HTTP request that asks it. `headers` holds lines "Name: value\n". */
struct provider_request {
    struct buf url;
    struct buf headers;
    struct buf body;
};
void provider_request_init(struct provider_request *request);
void provider_request_free(struct provider_request *request);

/* Facts of an HTTP error reply, for the caller's retry rules. */
struct provider_failure {
    struct fault fault;     /* for the client: never the key, never the provider's text verbatim */
    bool retryable;         /* another try, or another provider, may help */
    int64_t retry_after_ms; /* what the provider asked for, -1 = nothing */
    char detail[200];       /* for the log: type and code of the provider's error */
};

/* Looks up a response header by name (case-insensitive), NULL when absent. */
typedef const char *provider_header(void *ctx, const char *name);

/* Decoder of one reply. Its sink must not close it from inside an event. */
struct provider_stream;

struct provider_ops {
    const char *kind; /* "openai", "demo", ... */

    /* The format has a place for the call's images; the model may be blind all the same. */
    bool sees_images;

    /* Encode a streaming request. RESULT_TOO_LARGE over CAP_UPSTREAM_REQUEST. NULL for an offline provider. */
    enum result (*encode)(const struct provider_call *call, struct provider_request *out,
                          struct fault *fault);

    /* A decoder that sends events to `sink`. NULL when out of memory. An offline provider reads `call`
     * here (it is copied as needed). */
    struct provider_stream *(*open)(const struct provider_call *call, stream_sink *sink, void *ctx);

    /* Bytes of a 2xx body, split anywhere. After STREAM_FAILED further bytes are ignored. */
    void (*feed)(struct provider_stream *stream, const char *bytes, size_t len);

    /* The body ended. Without a proper end of the answer this sends STREAM_FAILED (stream cut). */
    void (*end)(struct provider_stream *stream);

    void (*close)(struct provider_stream *stream); /* NULL is fine */

    /* Read an HTTP error reply (status not 2xx). */
    void (*explain)(int status, provider_header *header, void *header_ctx, const char *body,
                    size_t len, struct provider_failure *out);

    /* Offline providers only (NULL otherwise): send the next events; returns the milliseconds to wait
     * before the next call, or -1 when the answer has ended. */
    int64_t (*next)(struct provider_stream *stream);
};

/* A configured provider. */
struct provider {
    char name[CAP_PROVIDER_NAME]; /* what clients write in "provider" */
    const struct provider_ops *ops;
    char *base_url;     /* without a trailing slash */
    char *api_key;      /* "" = none (a local model) */
    char *model;        /* default */
    double temperature; /* negative = not sent: the model's own */
    int64_t max_tokens;
    const char *max_tokens_field;
    int64_t connect_timeout_ms, first_byte_timeout_ms, idle_timeout_ms, total_timeout_ms;
    int64_t demo_delay_ms;
    const char *auth; /* how the key is sent: bearer, api-key, x-api-key, none; NULL = as usual */
    char **models;    /* owned: what clients may pick, the default first */
    size_t model_count;
    bool sees_images;                               /* format and operator both say so */
    double price_input, price_output, price_cached; /* per million tokens */
    bool discovers;                                 /* its list of models may be asked for */
};

/* One of its configured models? */
bool provider_has_model(const struct provider *provider, const char *model);

/* What an answer cost, in billionths of the currency that the prices are in; 0 without prices. */
int64_t provider_cost_nano(const struct provider *provider, const struct stream_usage *usage);

extern const struct provider_ops provider_openai;           /* Chat Completions */
extern const struct provider_ops provider_openai_responses; /* Responses */
extern const struct provider_ops provider_anthropic;        /* Messages */
extern const struct provider_ops provider_demo;

/* All configured providers; the first is the default. */
struct providers {
    struct provider *list;
    size_t count;
    const struct provider **failover; /* who steps in, in this order */
    size_t failover_count;
};
enum result providers_load(const struct config *config, struct providers *out, struct fault *fault);
void providers_free(struct providers *providers);

/* By name or alias; NULL or "" = the default; NULL when there is none such. */
const struct provider *providers_find(const struct providers *providers, const char *name);

/* May another try help after this fault of a decoder? */
bool provider_fault_retryable(const struct fault *fault);

/*
 * The rules that all formats share, for `explain`: HTTP status to fault, retryable and code
 * (401/403 provider_auth, 404 provider_not_found, 408/409/425 and 5xx provider_error, 429
 * provider_rate_limited, 402 provider_quota, other 4xx provider_rejected, anything else
 * provider_bad_response), Retry-After (seconds or date), retry-after-ms, x-should-retry (which never
 * makes 400, 401, 403, 404 or an empty account retryable). What the error body says comes on top of it
 * in `explain`: insufficient_quota and its like provider_quota, too long a text provider_context_length.
 */
void provider_failure_from_status(int status, provider_header *header, void *header_ctx,
                                  struct provider_failure *out);

#endif
