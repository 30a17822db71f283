/*
 * openai_api: what the file endpoints of the Responses app share: requests to OpenAI with the server's key, ids that may
 * stand in an address, and replies. Private to fcgi/endpoints.
 */
#ifndef PARLEY_ENDPOINTS_OPENAI_API_H
#define PARLEY_ENDPOINTS_OPENAI_API_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "common/base/buf.h"

struct app;
struct config;
struct exchange;
struct relay_fetch_reply;
struct relay_request;

#define OPENAI_ID_SIZE 129 /* of an id, NUL included */

/* 1 to 128 characters of [A-Za-z0-9_-]: nothing that could lead to another address. */
bool openai_id_sound(const char *id);

/* Append the header lines of a request. `beta`: vector stores want one more. */
void openai_put_headers(struct buf *out, const struct app *app, bool beta);

/* Append the address of `path`, which begins with a slash. */
void openai_put_url(struct buf *out, const struct app *app, const char *path);

/* Fill in the deadlines that ordinary requests have. */
void openai_set_deadlines(struct relay_request *request, const struct config *config);

/* The tries of one request. */
struct openai_tries {
    unsigned made;
    int64_t again_ms; /* monotonic: when the next one is due; 0 = none is */
};

/* After a reply that is not good, inside its callback: true when openai_again_due will say so. */
bool openai_try_again(struct openai_tries *tries, const struct exchange *exchange,
                      const struct relay_fetch_reply *reply);

/* For a flow's tick. True once when the next try is due. */
bool openai_again_due(struct openai_tries *tries);

/* {"error":text} with this status, at once. */
void openai_reply_error(struct exchange *exchange, int status, const char *text);

/*
 * Request thread: ask `method` `path` with the JSON `body` (malloc'd, taken over; NULL = none) on the loop, and
 * pass a 2xx reply on as it is; anything else is 500 {"error":failure}.
 */
void openai_ask(struct exchange *exchange, const char *method, const char *path, char *body,
                const char *failure);

#endif
