/*
 * chat_turn: what the endpoints share that ask a model: a question (chat.c), a form's question (noscript.c),
 * another answer (again.c).
 */
#ifndef PARLEY_ENDPOINTS_CHAT_TURN_H
#define PARLEY_ENDPOINTS_CHAT_TURN_H

#include <stdbool.h>

#include "common/answers.h"
#include "common/limits/limits.h"
#include "fcgi/endpoints/answer_client.h"

#define CHAT_LEASE_MS 6000 /* of a row whose answer has not been checkpointed yet */

struct exchange;
struct json_object;

/* What the request thread hands to the loop, in exchange->state. */
struct chat {
    struct answer_client_options client;
    struct limits_plan limits;
    struct answer_start start;
    struct store_answer snapshot; /* of an answer that exists already */
    char message_id[CAP_ID];
    char conversation_id[CAP_ID];
    bool exists;
    bool poll; /* the client comes back for it: 202 at once */
};
void chat_free(struct chat *chat); /* NULL is fine */

/* exchange->on_loop: start the answer, or follow the one that exists, and hand it to the client. */
void chat_on_loop(struct exchange *exchange);

/* The body's "stream" wins, then an Accept that names SSE, then the contract's habit. */
bool chat_wants_stream(const struct exchange *exchange, struct json_object *body,
                       const struct dialect *dialect);

/* "reasoning":true and "tool_calls":true ask for more than the answer, in frames that no contract has. */
enum result chat_read_wish(struct json_object *body, const char *key, bool *wanted,
                           struct fault *fault);

/* Read `body` by `dialect` and begin its turn: fills `chat`, also with the question. */
enum result chat_begin(struct exchange *exchange, struct json_object *body,
                       const struct dialect *dialect, struct chat *chat, struct fault *fault);

#endif
