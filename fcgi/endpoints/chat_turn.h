/*
 * chat_turn: what the endpoints share that ask a model: a question (chat.c), a form's question (noscript.c),
 * another answer (again.c).
 */
#ifndef PARLEY_ENDPOINTS_CHAT_TURN_H
#define PARLEY_ENDPOINTS_CHAT_TURN_H

#include <stdbool.h>

#include "common/answers.h"
#include "common/limits/limits.h"
#include "common/memory/memory.h"
#include "fcgi/endpoints/answer_client.h"
#include "fcgi/endpoints/choice.h"

struct config;
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

    /* What the start is prepared of; it waits for the loop when others are asked about the question first. */
    bool asks;
    bool may_recall; /* the answer may come from the cache */
    bool quoted;     /* the budget is spent: passages are the answer */
    struct exchange *exchange;
    struct turn_request request;
    struct store_turn_begun begun;
    struct choice choice;
    struct memory_question question;
    enum result result;
    struct fault fault;
};
void chat_free(struct chat *chat); /* NULL is fine */

/*
 * Request thread, the whole of an endpoint that asks: plan the limits, let `prepare` fill the chat from the request,
 * and give it to the loop; a failure of `prepare` is the response. `how` is handed through.
 */
typedef enum result chat_preparation(struct exchange *exchange, const void *how, struct chat *chat,
                                     struct fault *fault);
void chat_ask(struct exchange *exchange, chat_preparation *prepare, const void *how);

/* How long a row is believed to be running before its answer is checkpointed: it may wait for a vector or Mem0. */
int64_t chat_lease_ms(const struct config *config);

/* The body's "stream" wins, then an Accept that names SSE, then the contract's habit. */
bool chat_wants_stream(const struct exchange *exchange, struct json_object *body,
                       const struct dialect *dialect);

/* The body's "deliver":"poll", for web servers that buffer everything. RESULT_INVALID for any other. */
enum result chat_read_deliver(struct json_object *body, bool *poll, struct fault *fault);

/* "reasoning":true and "tool_calls":true ask for more than the answer, in frames that no contract has. */
enum result chat_read_wish(struct json_object *body, const char *key, bool *wanted,
                           struct fault *fault);

/* Read `body` by `dialect` and begin its turn: fills `chat`, also with the question. */
enum result chat_begin(struct exchange *exchange, struct json_object *body,
                       const struct dialect *dialect, struct chat *chat, struct fault *fault);

/*
 * Request thread: make chat->start, with what is known for the question; chat->exchange, begun, choice and
 * question (owner, text, row) are set. What is to be asked over the network is left to the loop; then the request is
 * taken over.
 */
enum result chat_prepare(struct chat *chat, struct turn_request *request, struct fault *fault);

#endif
