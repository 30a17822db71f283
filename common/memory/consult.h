/*
 * consult: what Mem0 remembers about somebody, for the one who asks to see it or to have a single memory erased there.
 * Unlike memory_ask this is the request itself, so trouble is told.
 *
 * Loop thread.
 */
#ifndef PARLEY_MEMORY_CONSULT_H
#define PARLEY_MEMORY_CONSULT_H

#include "common/memory/memory.h"

#define CONSULT_MS 5000 /* of one request to Mem0 */

struct consult;

/* May it be the id of a memory? Any thread. */
bool consult_id_valid(const char *id);

/* Read while it is started, `users` until it is over. */
struct consult_order {
    struct store_subject subject;
    const char *query; /* the best for it first; NULL = all */
    size_t limit;
    const char *
        erase; /* valid id of one memory, to be erased if it is the owner's or about one of `users` */
    const struct store_users *users;
};

/*
 * What came of it; `facts` (borrowed) only with RESULT_OK of a list. RESULT_NOT_FOUND unknown_fact; RESULT_UPSTREAM_BAD
 * memory_unavailable when the service is down, refuses, or talks nonsense; RESULT_UPSTREAM_SLOW memory_timeout.
 */
struct consult_reply {
    enum result result;
    struct fault fault;
    struct store_fact_list facts;
};

/* `done` comes once, on the loop, never from inside. NULL when it could not be started. */
struct consult *consult_start(struct memory *memory, const struct consult_order *order,
                              void (*done)(void *ctx, const struct consult_reply *reply),
                              void *ctx);
/* `done` does not come any more. */
void consult_cancel(struct consult *consult);

#endif
