/*
 * conversations: the store's verbs for what was said: lists, reading, other answers, feedback, erasing.
 * The life of a turn is in store.h, whose rules (blocking, thread-safe, faults) hold here too.
 *
 * Every verb follows the owner rule that store.h tells, in its SQL.
 */
#ifndef PARLEY_STORE_CONVERSATIONS_H
#define PARLEY_STORE_CONVERSATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/store/store.h"
#include "common/store/store_owners.h"

/* Who asks, and when. */
struct store_asker {
    const struct owner *owner;
    int64_t now_ms;
    int64_t session_ttl_ms; /* sessions idle for longer are not shown; 0 = never */
};

/* ---- reading. Strings are borrowed during the call; a visit that says false ends the reading ---- */

/* All answers of a conversation together; zero where nothing was counted or the asker is not its owner. */
struct store_conversation_usage {
    int64_t answers;
    int64_t prompt_tokens, completion_tokens;
    int64_t cost_nano; /* billionths of the currency of the prices */
};

struct store_conversation {
    int64_t row;
    const char *id;
    const char *contract;
    const char *user_id; /* or NULL */
    const char *title;   /* "" when there is none */
    int64_t created_ms, updated_ms;
    struct store_conversation_usage usage; /* not filled in lists */
};

struct store_message {
    const char *id;
    const char *role; /* "user", "assistant" */
    const char *content;
    size_t content_len;
    enum turn_status status; /* an expired lease reads as TURN_INTERRUPTED */
    const char *provider;    /* "" for questions, as are the next three */
    const char *model;
    const char *finish;
    const char *error_code;
    struct stream_usage usage;
    const char *attachments; /* its pictures as JSON: [{"type":"image","file_id":...,"mime":...}] */
    const char *continues;   /* id of the answer that this one goes on from, NULL if none */
    bool again;              /* another answer to a question that had one */
    int rating;              /* 1, -1, 0 = none */
    const char *sources;     /* JSON of the passages that the answer was given, NULL = none */
    const char *items; /* JSON array of what else belongs to it (store_items.h), NULL = nothing */
    int64_t created_ms, updated_ms;
};

typedef bool store_conversation_visit(void *ctx, const struct store_conversation *conversation);
typedef bool store_message_visit(void *ctx, const struct store_message *message);

struct store_list_query {
    const char *text; /* in title or messages, in upper or lower case; NULL = all */
    size_t limit;
    int64_t before_ms, before_row; /* behind this one; before_ms INT64_MAX: from the newest on */
};

/* The asker's own conversations that have messages, the one with the newest question first. Without an
 * identity (OWNER_NONE) nobody has any. */
enum result store_conversations_list(struct store *store, const struct store_asker *asker,
                                     const struct store_list_query *query,
                                     store_conversation_visit *visit, void *ctx,
                                     struct fault *fault);

/* One conversation, head first, then its messages in order: questions, and after each all its answers.
 * `messages` may be NULL. RESULT_NOT_FOUND unknown_conversation. */
enum result store_conversation_read(struct store *store, const struct store_asker *asker,
                                    const char *id, store_conversation_visit *head,
                                    store_message_visit *messages, void *ctx, struct fault *fault);

/* ---- changing ---- */

enum result store_conversation_rename(struct store *store, const struct store_asker *asker,
                                      const char *id, const char *title, struct fault *fault);

/* Which conversation to erase: one of the two. */
struct store_remove {
    const char *id;      /* conv_... or session_... */
    const char *user_id; /* picked by a client */
    bool session;        /* `id` must be a session's; RESULT_NOT_FOUND unknown_session otherwise */
    struct store_audit audit; /* written with it when there was something; count is filled in */
};

struct store_removed {
    int64_t exchanges;         /* questions that were erased */
    char running[CAP_ID];      /* an answer that was still being written, "" if none */
    char user_id[CAP_USER_ID]; /* which is nobody's now, "" if none */
};

/*
 * Erase a conversation with everything that belongs to it, in one transaction. A user_id that nobody uses
 * is RESULT_OK with nothing erased; one that is another's is RESULT_NOT_FOUND unknown_user.
 */
enum result store_conversation_remove(struct store *store, const struct store_asker *asker,
                                      const struct store_remove *remove, struct store_removed *out,
                                      struct fault *fault);

/* Keep what somebody thinks of an answer; a second one replaces the first. `comment` may be NULL.
 * RESULT_NOT_FOUND unknown_message. */
enum result store_feedback_put(struct store *store, const struct store_asker *asker,
                               const char *message_id, int rating, const char *comment,
                               struct fault *fault);

/* ---- history of a user_id (contract 002) ---- */

struct store_exchange {
    int64_t asked_ms;
    const char *question;
    size_t question_len;
    const char *answer; /* the newest one, gone on with if it was; "" when there is none */
    size_t answer_len;
};
typedef bool store_exchange_visit(void *ctx, const struct store_exchange *exchange);

/* The newest `limit` exchanges that began before `before_ms`, oldest first. Nothing for a user_id that nobody
 * uses; RESULT_NOT_FOUND unknown_user for another's. */
enum result store_history_read(struct store *store, const struct store_asker *asker,
                               const char *user_id, int64_t before_ms, size_t limit,
                               store_exchange_visit *visit, void *ctx, struct fault *fault);

/* ---- another answer ---- */

struct store_again {
    const struct owner *owner;
    const char *conversation_id;   /* regenerate: answer its last question anew */
    const char *message_id;        /* continue: go on from this answer */
    const char *client_message_id; /* regenerate, may be NULL: makes it idempotent */
    const char *provider;
    const char *model;
    const char *writer;
    size_t history_max;
    int64_t now_ms;
    int64_t lease_until_ms;
    int64_t session_ttl_ms;
    const struct store_limits *limits; /* as in store_turn */
};

struct store_again_begun {
    struct store_turn_begun turn;
    char contract[16]; /* of the conversation: how the answer is shown */
    char *user_id;     /* or NULL; the caller frees with store_again_begun_free */
    char *question;    /* the question that is answered; freed as well; also with RESULT_LIMITED */
};

/*
 * ONE transaction: the conversation's last question gets a new answer row; the old answers stay. The history
 * ends with that question. Limits as in store_turn_begin. RESULT_NOT_FOUND unknown_conversation; RESULT_CONFLICT no_question, or
 * answer_running while an answer to it still grows.
 */
enum result store_turn_regenerate(struct store *store, const struct store_again *again,
                                  struct store_again_begun *out, struct fault *fault);

/*
 * ONE transaction: a row that goes on from an answer that was interrupted, stopped, or cut at its token limit. The
 * history ends with that answer's text. When it is gone on with already, that row comes as a duplicate.
 * RESULT_NOT_FOUND unknown_message; RESULT_CONFLICT answer_running, answer_complete, or answer_superseded when
 * the conversation has moved on.
 */
enum result store_turn_continue(struct store *store, const struct store_again *again,
                                struct store_again_begun *out, struct fault *fault);

void store_again_begun_free(struct store_again_begun *begun);

/* ---- the store itself ---- */

struct store_facts {
    int64_t schema;
    int64_t size_bytes; /* database and write-ahead log */
    bool wal;
    int64_t disk_free_bytes, disk_total_bytes; /* of its file system, -1 = unknown */
};
enum result store_describe(struct store *store, struct store_facts *out);

#endif
