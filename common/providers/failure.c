/*
 * failure: see failure.h. Two tables carry it: kind -> what a client is told, and the names that
 * providers give their errors (OpenAI, Anthropic, llama.cpp and others) -> kind. Pure but
 * for the wall clock, which a Retry-After date needs. Any thread.
 */
#include "common/providers/failure.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/text.h"

#define MAX_RETRY_AFTER_MS    (24 * 3600 * 1000) /* whoever asks for more is not coming back today */
#define DEFAULT_RETRY_AFTER_S 5 /* said to the client when the provider says nothing */

struct kind {
    const char *code;
    const char *text;
    enum result result;
    bool retryable;
};

static const struct kind kinds[FAILURE_KINDS] = {
    [FAILURE_AUTH] = { "provider_auth", "The model provider refused our API key.",
                       RESULT_UPSTREAM_BAD, false },
    [FAILURE_NOT_FOUND] = { "provider_not_found",
                            "The model provider does not know this model or address.",
                            RESULT_UPSTREAM_BAD, false },
    [FAILURE_QUOTA] = { "provider_quota", "The account at the model provider has no credit left.",
                        RESULT_UPSTREAM_DOWN, false },
    [FAILURE_LIMITED] = { "provider_rate_limited",
                          "The model provider is receiving too many requests. Please try again in "
                          "a moment.",
                          RESULT_UPSTREAM_DOWN, true },
    [FAILURE_ERROR] = { "provider_error", "The model provider is having trouble. Please try again.",
                        RESULT_UPSTREAM_BAD, true },
    [FAILURE_REJECTED] = { "provider_rejected", "The model provider did not accept the request.",
                           RESULT_UPSTREAM_BAD, false },
    [FAILURE_TOO_LONG] = { "provider_context_length",
                           "The conversation is too long for the model. Please start a new one.",
                           RESULT_UPSTREAM_BAD, false },
    [FAILURE_BAD] = { "provider_bad_response",
                      "The model provider sent a reply that could not be understood.",
                      RESULT_UPSTREAM_BAD, true },
    [FAILURE_CUT] = { "provider_stream_cut",
                      "The model provider broke off in the middle of its answer.",
                      RESULT_UPSTREAM_BAD, true },
};

static const struct {
    const char *name; /* type or code */
    enum failure_kind kind;
} names[] = {
    { "insufficient_quota", FAILURE_QUOTA },
    { "credit_balance_exhausted", FAILURE_QUOTA },
    { "project_spend_limit_exceeded", FAILURE_QUOTA },
    { "organization_spend_limit_exceeded", FAILURE_QUOTA },
    { "billing_hard_limit_reached", FAILURE_QUOTA },
    { "billing_not_active", FAILURE_QUOTA },
    { "billing_error", FAILURE_QUOTA },
    { "context_length_exceeded", FAILURE_TOO_LONG },
    { "exceed_context_size_error", FAILURE_TOO_LONG },
    { "rate_limit_exceeded", FAILURE_LIMITED },
    { "rate_limit_error", FAILURE_LIMITED },
    { "429", FAILURE_LIMITED },
    { "invalid_api_key", FAILURE_AUTH },
    { "authentication_error", FAILURE_AUTH },
    { "permission_error", FAILURE_AUTH },
    { "model_not_found", FAILURE_NOT_FOUND },
    { "not_found_error", FAILURE_NOT_FOUND },
    { "request_too_large", FAILURE_REJECTED },
    { "invalid_prompt", FAILURE_REJECTED },
    { "invalid_request_error",
      FAILURE_REJECTED }, /* last: OpenAI's codes say more than this type */
};

/* Anthropic has neither type nor code of its own for these: they are an invalid_request_error. */
static const struct {
    const char *start; /* of the message */
    enum failure_kind kind;
} phrases[] = {
    { "prompt is too long", FAILURE_TOO_LONG },
    { "input length and `max_tokens` exceed context limit", FAILURE_TOO_LONG },
    { "Your credit balance is too low", FAILURE_QUOTA },
};

void failure_fault(enum failure_kind kind, struct fault *out)
{
    fault_set(out, kinds[kind].result, kinds[kind].code, NULL, "%s", kinds[kind].text);
    if (kind == FAILURE_LIMITED)
        out->retry_after_s = DEFAULT_RETRY_AFTER_S;
}

bool provider_fault_retryable(const struct fault *fault)
{
    for (size_t i = 0; i < FAILURE_KINDS; i++)
        if (strcmp(kinds[i].code, fault->code) == 0)
            return kinds[i].retryable;
    return false;
}

/* ---- status and headers ---- */

static enum failure_kind kind_of_status(int status)
{
    switch (status) {
    case 401:
    case 403:
        return FAILURE_AUTH;
    case 402: /* DeepSeek, OpenRouter: out of credit */
        return FAILURE_QUOTA;
    case 404:
        return FAILURE_NOT_FOUND;
    case 408:
    case 409:
    case 425:
        return FAILURE_ERROR;
    case 429:
        return FAILURE_LIMITED;
    default:
        break;
    }
    if (status >= 500)
        return FAILURE_ERROR;
    return status >= 400 ? FAILURE_REJECTED : FAILURE_BAD;
}

/* Milliseconds from a decimal number of `unit_ms`; -1 when it is none. Bounded, so it cannot overflow. */
static int64_t parse_wait(const char *text, double unit_ms)
{
    char *end;
    double number = strtod(text, &end);
    while (*end == ' ')
        end++;
    if (end == text || *end != '\0' || !(number >= 0))
        return -1;
    return number * unit_ms < MAX_RETRY_AFTER_MS ? (int64_t)(number * unit_ms) : MAX_RETRY_AFTER_MS;
}

static int64_t parse_date(const char *text)
{
    int64_t when;
    if (!clock_parse_http_date(text, &when))
        return -1;
    int64_t wait = when - clock_wall_ms();
    if (wait < 0)
        return 0;
    return wait < MAX_RETRY_AFTER_MS ? wait : MAX_RETRY_AFTER_MS;
}

static int64_t retry_after(provider_header *header, void *header_ctx)
{
    const char *ms = header(header_ctx, "retry-after-ms");
    int64_t wait = ms ? parse_wait(ms, 1) : -1;
    if (wait >= 0)
        return wait;
    const char *value = header(header_ctx, "retry-after");
    if (!value)
        return -1;
    wait = parse_wait(value, 1000);
    return wait >= 0 ? wait : parse_date(value);
}

/* The provider may call off a retry, but not talk us into one that cannot help. */
static bool is_retryable(int status, enum failure_kind kind, const char *should_retry)
{
    if (should_retry && text_same_nocase(should_retry, "false"))
        return false;
    bool hopeless =
        status == 400 || kind == FAILURE_AUTH || kind == FAILURE_NOT_FOUND || kind == FAILURE_QUOTA;
    if (should_retry && text_same_nocase(should_retry, "true") && !hopeless)
        return true;
    return kinds[kind].retryable;
}

void provider_failure_from_status(int status, provider_header *header, void *header_ctx,
                                  struct provider_failure *out)
{
    enum failure_kind kind = kind_of_status(status);
    *out = (struct provider_failure){ 0 };
    failure_fault(kind, &out->fault);
    out->retryable = is_retryable(status, kind, header(header_ctx, "x-should-retry"));
    out->retry_after_ms = retry_after(header, header_ctx);
    if (out->retry_after_ms >= 0)
        out->fault.retry_after_s = (int)((out->retry_after_ms + 999) / 1000);
}

/* ---- the provider's error object ---- */

/* " name=value" with everything strange made '?', so that a provider cannot forge a log line. */
static void add_detail(struct provider_failure *out, const char *name, const char *value)
{
    size_t used = strlen(out->detail);
    size_t room = sizeof out->detail - used;
    if (!value || *value == '\0' || strlen(name) + 72 > room)
        return;
    char *at = out->detail + used;
    at = stpcpy(stpcpy(stpcpy(at, used ? " " : ""), name), "=");
    for (size_t i = 0; i < 64 && value[i] != '\0'; i++)
        *at++ = value[i] > ' ' && value[i] < 0x7f ? value[i] : '?';
    *at = '\0';
}

/* A string, or a number as text (llama.cpp and OpenRouter have numeric codes), else NULL. */
static const char *scalar(struct json_object *object, const char *key)
{
    struct json_object *value;
    if (!json_object_object_get_ex(object, key, &value))
        return NULL;
    bool fits =
        json_object_is_type(value, json_type_string) || json_object_is_type(value, json_type_int);
    return fits ? json_object_get_string(value) : NULL;
}

/* The kind that an error stands for, `otherwise` when nothing about it is known. */
static enum failure_kind kind_of_error(struct json_object *error, enum failure_kind otherwise)
{
    const char *type = scalar(error, "type");
    const char *code = scalar(error, "code");
    const char *message = scalar(error, "message");
    for (size_t i = 0; message && i < sizeof phrases / sizeof *phrases; i++) {
        if (text_starts_with(message, phrases[i].start))
            return phrases[i].kind;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if ((type && strcmp(type, names[i].name) == 0) ||
            (code && strcmp(code, names[i].name) == 0))
            return names[i].kind;
    }
    return otherwise;
}

void failure_in_stream(struct json_object *error, struct fault *out)
{
    enum failure_kind kind = FAILURE_ERROR;
    if (json_object_is_type(error, json_type_object))
        kind = kind_of_error(error, kind);
    failure_fault(kind, out);
}

void failure_refine(struct provider_failure *out, struct json_object *error)
{
    if (!json_object_is_type(error, json_type_object))
        return;
    add_detail(out, "type", scalar(error, "type"));
    add_detail(out, "code", scalar(error, "code"));

    enum failure_kind kind = kind_of_error(error, FAILURE_KINDS);
    if (kind != FAILURE_QUOTA && kind != FAILURE_TOO_LONG)
        return;
    int retry_after_s = out->fault.retry_after_s;
    failure_fault(kind, &out->fault);
    out->fault.retry_after_s = out->retry_after_ms >= 0 ? retry_after_s : 0;
    out->retryable = false;
}

/* {"error":{...}}; Google's compatible endpoint puts that into an array; vLLM has no "error" around it. */
static struct json_object *error_object(struct json_object *body)
{
    struct json_object *error = body;
    if (json_object_is_type(body, json_type_array))
        body = json_object_array_length(body) > 0 ? json_object_array_get_idx(body, 0) : NULL;
    if (json_get_object(body, "error", &error) != JSON_FOUND)
        error = body;
    return error;
}

void failure_explain(int status, provider_header *header, void *header_ctx, const char *body,
                     size_t len, struct provider_failure *out)
{
    struct json_object *object = NULL;
    provider_failure_from_status(status, header, header_ctx, out);
    if (json_parse(body, len, &object, NULL) == RESULT_OK)
        failure_refine(out, error_object(object));
    json_object_put(object);

    const char *id = header(header_ctx, "request-id"); /* Anthropic */
    add_detail(out, "request", id ? id : header(header_ctx, "x-request-id"));
}
