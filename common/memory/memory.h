/*
 * memory: what is remembered about people, and what the site's documents say, brought to a question; and what of an
 * answered turn is worth remembering. Joins the store's search with what other services add: vectors
 * (EMBEDDING_MODEL), Mem0 (MEMORY=mem0), the model that extracts facts (MEMORY_EXTRACT=model).
 *
 * Nothing here may fail a turn: what cannot be had in time is left out, and logged once.
 */
#ifndef PARLEY_MEMORY_MEMORY_H
#define PARLEY_MEMORY_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/chat/turn.h"
#include "common/limits/limits.h"
#include "common/store/store_memory.h"

struct config;
struct memory;
struct providers;
struct relay;
struct uv_loop_s;

struct memory_options {
    const struct config *config;
    const struct providers *providers;
    struct store *store;
    struct relay *relay;
};

/* RESULT_INTERNAL when out of memory. */
enum result memory_open(struct uv_loop_s *loop, const struct memory_options *options,
                        struct memory **out);
/* After the answers, before the relay. What is still under way is given up. NULL is fine. */
void memory_close(struct memory *memory);
/* Loop thread: nothing is under way. */
bool memory_idle(const struct memory *memory);

/* ---- before a turn ---- */

struct memory_question {
    struct owner owner;
    const char *user_id; /* NULL = none */
    const char *text;
    bool anonymous; /* in a session, where nobody is remembered: whoever has its id may ask */
    const struct store_spending
        *spending; /* what looking for facts is charged to, too; NULL = not known */
};

/* Is there something to ask over the network first? Then memory_ask does it, else memory_ground. Any thread. */
bool memory_asks(const struct memory *memory, const struct memory_question *question);

/* Request thread: what the store has for a question, into `out` (zeroed). NULL memory: nothing. */
void memory_ground(struct memory *memory, const struct memory_question *question,
                   struct turn_ground *out);

/*
 * Loop thread: ask what is to be asked, at most RECALL_TIMEOUT_MS. Then, on a request thread, `work` gets what was
 * found (and takes it over), and then `done` comes on the loop; both exactly once. `question` must live until then.
 * False when out of memory: neither comes.
 */
bool memory_ask(struct memory *memory, const struct memory_question *question,
                void (*work)(void *ctx, struct turn_ground *ground), void (*done)(void *ctx),
                void *ctx);

/* ---- after a turn ---- */

#define MEMORY_BUDGETS LIMITS_BUDGETS

/* Whom a turn may be remembered for, made with its question. */
struct memory_turn {
    struct owner owner;
    char *user_id; /* owned, or NULL */
    char *question;
    char buckets[MEMORY_BUDGETS][CAP_BUCKET]; /* of `budgets`, which point here */
    struct store_budget budgets[MEMORY_BUDGETS];
    size_t budget_count;
};
/* NULL when nothing will be learned of it. Any thread. */
struct memory_turn *memory_turn_new(const struct memory *memory,
                                    const struct memory_question *question);
void memory_turn_free(struct memory_turn *turn); /* NULL is fine */

/* Loop thread: see what is worth remembering, in the background. Copies what it needs. */
void memory_learn(struct memory *memory, const struct memory_turn *turn, const char *answer,
                  const char *message_id);

/* Loop thread: a fact (text, importance) was told by a client: it gets its vector, or goes to Mem0, in the background.
 * False when it would have to go to Mem0 and cannot: too much is under way. */
bool memory_told(struct memory *memory, const struct store_subject *subject, int64_t row,
                 const struct store_fact_new *fact);

/* MEMORY=mem0: somebody else remembers; then consult.h asks him. Any thread. */
bool memory_is_elsewhere(const struct memory *memory);

/* Loop thread: where somebody else remembers (MEMORY=mem0), have him forget all about somebody, in the background. */
void memory_forget(struct memory *memory, const struct store_subject *subject);

/* The same for a command, which waits: an owner (OWNER_NONE: nobody) and user_ids. False when Mem0 did not do it all. */
bool memory_forget_now(const struct config *config, const struct owner *owner,
                       const struct store_users *users);

#endif
