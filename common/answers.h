/*
 * answers: the running answers of this worker. Joins store, provider and relay into the life of a turn
 * (DESIGN.md section 3, steps 5 to 9); knows nothing of HTTP on the client's side.
 *
 * An answer belongs to the server, not to a socket: it grows in memory, is checkpointed, and any number
 * of readers may look at it, each at its own offset. An answer that another process writes is followed
 * through the store and looks the same. Loop thread only, except where a function says otherwise.
 */
#ifndef PARLEY_ANSWERS_H
#define PARLEY_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/chat/stream.h"
#include "common/chat/turn.h"
#include "common/providers/provider.h"
#include "common/store/store.h"
#include "common/tools/offer.h"

#define CAP_CACHE_KEY 65 /* a hash in hexadecimal, NUL included */

struct breakers;
struct config;
struct memory;
struct memory_turn;
struct relay;
struct tools;
struct uv_loop_s;
struct answers;
struct answer;

struct answers_options {
    const struct config *config;
    const struct providers *providers;
    struct store *store;
    struct relay *relay;
    struct breakers *breakers; /* NULL = none */
    struct memory *memory;     /* NULL = nothing is learned */
    struct tools *tools;       /* run the calls of models */
    const char *writer;        /* id of this worker */
};

enum result answers_open(struct uv_loop_s *loop, const struct answers_options *options,
                         struct answers **out);

/* answers_idle must hold. The loop must run once more afterwards. NULL is fine. */
void answers_close(struct answers *answers);

/* The process ends although answers_idle does not hold: log and count what it takes along. answers_close does it too. */
void answers_abandon(struct answers *answers);

/* Answers that this worker writes, and whether it has MAX_STREAMS of them. Any thread. */
size_t answers_count(const struct answers *answers);
bool answers_full(const struct answers *answers);

/* Nothing runs, here or on a request thread: answers_close may be called. */
bool answers_idle(const struct answers *answers);

/* ---- starting and finding ---- */

/* What a new answer needs. Made on a request thread by answer_start_prepare, taken by answers_start. */
struct answer_start {
    const struct provider *provider;
    char *model;   /* owned */
    char *user_id; /* owned, or NULL */
    char request_id[CAP_ID];
    bool wants_reasoning;          /* somebody asked for the model's thoughts */
    bool needs_eyes;               /* the question has pictures */
    bool unattended;               /* nobody reads it now: it goes on all the same */
    struct store_turn_begun begun; /* owned */
    char *system;                  /* owned: the prompt with the visitor's data */
    size_t first_message;          /* of begun.history that goes to the model */
    int64_t prompt_estimate;       /* tokens */
    struct chat_tool tools[OFFER_MAX];
    size_t tool_count;
    struct chat_use
        *uses;     /* owned, strings too: one per message of begun.history; NULL: all are text */
    bool no_calls; /* tools may not be called any more */
    struct provider_request encoded; /* owned */
    char cache_key[CAP_CACHE_KEY];   /* the answer may be kept under it; "" = may not */
    struct store_cached cached;      /* owned: the answer is known already; text NULL = it is not */
    char *sources_json;              /* owned, or NULL: see turn_ground */
    char *offline;                   /* owned, or NULL: the answer when no provider has one */
    bool quoted;                     /* the budget is spent: `offline` is the answer */
    struct memory_turn *learn;       /* owned, or NULL: whom the turn may be remembered for */
};

/*
 * Any thread but the loop, after answer_start_prepare. When RESPONSE_CACHE_TTL is on and this is a first
 * question: its key, and the answer that was kept under it. True when there is one: the provider will not be
 * asked.
 */
bool answer_start_recall(struct answer_start *start, const struct config *config,
                         struct store *store);

/*
 * Any thread. Fill `start` for a turn that has begun: what of the history fits, the system prompt, the
 * encoded request. Takes over `begun` (also on failure; answer_start_free then frees it).
 * RESULT_TOO_LARGE when the request cannot be encoded.
 */
enum result answer_start_prepare(struct answer_start *start, const struct config *config,
                                 const struct provider *provider,
                                 const struct turn_request *request, const char *model,
                                 struct store_turn_begun *begun, struct fault *fault);
void answer_start_free(struct answer_start *start);

/*
 * Any thread. The history of `begun` ends with an answer to go on from: add what is said to the model in the
 * visitor's place so that it does. It is not kept. answer_go_on_estimate: its tokens.
 */
enum result answer_go_on(struct store_turn_begun *begun, struct fault *fault);
int64_t answer_go_on_estimate(void);

/* Start it; takes over what `start` owns. NULL when out of memory: the row's lease then runs out. */
struct answer *answers_start(struct answers *answers, struct answer_start *start);

/* An answer that is here: running, followed, or ended with readers. NULL when none. */
struct answer *answers_find(struct answers *answers, const char *message_id);

/* Follow an answer through the store: running elsewhere, or ended. `snapshot` is what the store said of it
 * (whole text); its strings are taken over. NULL when out of memory. */
struct answer *answers_follow(struct answers *answers, const char *message_id,
                              struct store_answer *snapshot);

/* ---- ending ---- */

/* End an answer of this worker: the provider's connection is closed now, the text so far kept. Status
 * stopped (FINISH_STOPPED) or interrupted (FINISH_INTERRUPTED). No effect on one that ends already. False: it is
 * another worker's, which was not told. */
bool answer_stop(struct answer *answer, enum finish_reason why);

/* Interrupt all answers of this worker, for the end of draining: readers get their last event. Those that it only
 * follows go on elsewhere: their readers are let go. */
void answers_interrupt_all(struct answers *answers);

/* ---- reading ---- */

/*
 * `changed` comes on the loop whenever text grew or the answer ended, and about four times a second in
 * any case (heartbeats, deadlines). A reader may detach itself inside `changed`; it must detach before
 * it goes away.
 */
struct answer_reader {
    void (*changed)(struct answer_reader *reader);
    struct answer *answer;             /* NULL when detached */
    struct answer_reader *next, *prev; /* private */
};
void answer_attach(struct answer *answer, struct answer_reader *reader);

/* When the last reader of a running answer leaves, its grace period begins. */
void answer_detach(struct answer_reader *reader);

/* The text so far. Only grows; the pointer is valid until the loop turns. */
const struct buf *answer_text(const struct answer *answer);

/* The model's thoughts so far, if they were asked for; like answer_text. */
const struct buf *answer_reasoning(const struct answer *answer);

/* The tools that were called for it, oldest first. `json` is of an object (docs/API.md, tool calls), which changes
 * once, when the call is over; like answer_text. */
struct answer_call {
    struct answer_call *next;
    size_t index;
    size_t at; /* bytes of the text that stood there when it was called */
    bool done;
    char *json;
};
const struct answer_call *answer_calls(const struct answer *answer); /* NULL = none */

/* True while more text comes in this turn of the loop: `changed` will be called again in it. A reader may wait with
 * flushing until then. */
bool answer_more(const struct answer *answer);

/* True once the end is in the store (or could not be put there, which the fault then says). */
bool answer_ended(const struct answer *answer);

/* True when this worker stops following it, although it goes on elsewhere: its readers must leave, and may come back
 * to another worker. */
bool answer_let_go(const struct answer *answer);

/* Why it failed; NULL while running and for answers that did not fail. */
const struct fault *answer_fault(const struct answer *answer);

/* Fill `reply` with borrowed strings: ids and text so far; at the end finish, usage and fault. */
void answer_reply(const struct answer *answer, struct turn_reply *reply);

#endif
