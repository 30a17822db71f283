/*
 * failure: what can go wrong with a provider, each with its code, result and sentence, in one table for
 * all formats. provider_failure_from_status (provider.h) lives here too. The provider's own words
 * never reach a client: only its type and code, and those only the log.
 */
#ifndef PARLEY_PROVIDERS_FAILURE_H
#define PARLEY_PROVIDERS_FAILURE_H

#include "common/providers/provider.h"

struct json_object;

enum failure_kind {
    FAILURE_AUTH,      /* provider_auth: our key was refused */
    FAILURE_NOT_FOUND, /* provider_not_found: model or address unknown */
    FAILURE_QUOTA,     /* provider_quota: no money left */
    FAILURE_LIMITED,   /* provider_rate_limited */
    FAILURE_ERROR,     /* provider_error: it is not well; another try may help */
    FAILURE_REJECTED,  /* provider_rejected: it did not like the request */
    FAILURE_TOO_LONG,  /* provider_context_length: more text than the model takes */
    FAILURE_BAD,       /* provider_bad_response: not what was asked for */
    FAILURE_CUT,       /* provider_stream_cut: it broke off */
    FAILURE_KINDS
};

/* Fill a fault for an event STREAM_FAILED. */
void failure_fault(enum failure_kind kind, struct fault *out);

/* The fault of an error that came in a stream, by its type, code or well-known words. Any JSON is fine,
 * NULL too. */
void failure_in_stream(struct json_object *error, struct fault *out);

/*
 * Look into the error object of a provider ({"type","code",...}, any other JSON is fine, NULL too):
 * writes out->detail, and corrects the verdict where a status says less than a code does (no money
 * left, text too long).
 */
void failure_refine(struct provider_failure *out, struct json_object *error);

/*
 * struct provider_ops's `explain` for every format whose error replies are {"error":{...}}, such an
 * object in an array, or the error object itself: status and headers, then failure_refine, and the
 * provider's request id into out->detail.
 */
void failure_explain(int status, provider_header *header, void *header_ctx, const char *body,
                     size_t len, struct provider_failure *out);

#endif
