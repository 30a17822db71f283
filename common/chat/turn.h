/*
 * turn: one question on its way: what a client asked (turn_request, made by a dialect), and what
 * it is told at the end (turn_reply, shown by a dialect). Plain data; the life of a turn is told
 * in docs/ARCHITECTURE.md and run by common/answers.c.
 */
#ifndef PARLEY_CHAT_TURN_H
#define PARLEY_CHAT_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/caps.h"
#include "common/chat/message.h"
#include "common/chat/stream.h"

/* What the server found for a question: it goes to the model as data, and the sources to the reader. All owned,
 * NULL = none. */
struct turn_ground {
    char *facts_json;    /* ["...", ...]: what is remembered about who asks */
    char *passages_json; /* [{"title","url","text"}, ...]: of the site's documents */
    char *sources_json;  /* [{"title","url"}, ...] of these passages */
    char *offline;       /* what is said when no provider can answer */
};
void turn_ground_free(struct turn_ground *ground); /* a zeroed one is fine */

struct turn_request {
    bool stream;   /* answer as SSE */
    char *message; /* cleaned, 1 to MAX_MESSAGE_LENGTH code points; owned */
    size_t message_len;
    char *conversation_id;   /* owned, or NULL: make a new one. 003's sessionId stands here too */
    char *user_id;           /* owned, or NULL: 002's client-picked id */
    char *provider;          /* owned, or NULL: the default */
    char *model;             /* owned, or NULL: the provider's default */
    char *client_message_id; /* owned, or NULL: makes the send idempotent */
    char *context_json; /* owned, or NULL: 000's user_context, checked and re-written as JSON */
    struct chat_message *history; /* owned: 001's stateless history, NULL otherwise */
    size_t history_len;
    struct chat_image *images; /* owned, strings too: pictures that go with the message */
    size_t image_count;
    struct turn_ground ground; /* owned: filled in before the request goes to a model */
};

/* Free what the request owns; the struct itself is the caller's. A zeroed one is fine. */
void turn_request_free(struct turn_request *request);

/* An answer as a dialect shows it. Strings are borrowed. */
struct turn_reply {
    const char *conversation_id; /* or the sessionId */
    const char *user_id;         /* NULL unless the contract has one */
    const char *message_id;
    const char *question; /* the stored user message (002's simple reply repeats it) */
    size_t question_len;
    const char *text; /* the whole answer */
    size_t text_len;
    const char *provider;
    const char *model;
    enum finish_reason finish;
    const struct stream_usage *usage;
    const struct fault *fault; /* why it failed, NULL when it did not */
    int64_t finished_ms;       /* wall clock */
    bool cached;
    const char *sources_json; /* [{"title","url"}, ...] that the answer was given; NULL = none */
};

/* Status of a stored assistant message (DESIGN.md section 3). */
enum turn_status { TURN_STREAMING, TURN_COMPLETE, TURN_STOPPED, TURN_INTERRUPTED, TURN_FAILED };

/* "streaming", "complete", ... and back; turn_status_parse gives TURN_FAILED for unknown names. */
const char *turn_status_name(enum turn_status status);
enum turn_status turn_status_parse(const char *name);

#endif
