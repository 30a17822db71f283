/*
 * memory_elsewhere: the part of the memory's endpoints that MEMORY=mem0 needs: what Mem0 remembers is shown and erased
 * through us, under our owner rule. Each replies, or hands the exchange over to the loop. Request thread.
 */
#ifndef PARLEY_ENDPOINTS_MEMORY_ELSEWHERE_H
#define PARLEY_ENDPOINTS_MEMORY_ELSEWHERE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/result.h"

struct buf;
struct exchange;
struct store_fact_list;

/*
 * Mem0 does not know whose a user_id is: it must be the owner's by its conversation, or `any` asks. NULL: the one
 * who asks, who must be somebody. RESULT_NOT_FOUND unknown_user, RESULT_INVALID.
 */
enum result elsewhere_check(const struct exchange *exchange, const char *user_id,
                            struct fault *fault);

/* The facts about a user_id, or (NULL) the one who asks; the best for `query` first (NULL = all). */
void elsewhere_list(struct exchange *exchange, const char *user_id, const char *query,
                    size_t limit);
void elsewhere_erase_one(struct exchange *exchange, const char *id);
/* In the background; the reply says that it was accepted. */
void elsewhere_erase_all(struct exchange *exchange, const char *user_id);
/* After a reply: the same, and stop the answer `running` ("" = none). False when out of memory. */
bool elsewhere_forget(struct exchange *exchange, const char *user_id, const char *running);

/* Request thread, memory.c: into the audit log. */
void memory_note_erased(const struct exchange *exchange);

/* memory.c: the reply of a list. */
void memory_put_facts(struct buf *body, const char *user_id, const struct store_fact_list *facts,
                      bool scored);

#endif
