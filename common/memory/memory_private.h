/*
 * memory_private: what the files of memory share. memory.c asks before a turn, learn.c remembers after it, mem0.c speaks
 * to Mem0.
 */
#ifndef PARLEY_MEMORY_MEMORY_PRIVATE_H
#define PARLEY_MEMORY_MEMORY_PRIVATE_H

#include <uv.h>

#include "common/config.h"
#include "common/memory/fetch.h"
#include "common/memory/memory.h"
#include "common/providers/provider.h"

#define MEMORY_FACTS    12 /* of one question, before the bound of tokens */
#define MEMORY_LEARN_MS 30000

/* Somebody else whom we ask; his trouble is logged when it begins, and when it is over. */
struct memory_peer {
    const char *name;
    bool troubled;
};

struct memory {
    uv_loop_t *loop;
    struct memory_options options;
    struct memory_peer embeddings, mem0, extractor;
    unsigned busy;      /* asks, learns and their jobs */
    bool not_forgotten; /* Mem0 was not reached to forget somebody */
    struct memory_task *tasks;
};

/* Something under way on the loop, which memory_close gives up. First member of its owner. */
struct memory_task {
    struct memory *memory;
    struct memory_task *next, *prev;
    void (*drop)(struct memory_task *task); /* cancel what runs and free it */
};
void memory_task_add(struct memory *memory, struct memory_task *task);
void memory_task_remove(struct memory_task *task);

bool memory_is(const struct memory *memory, const char *kind);

/* Is there anybody to remember? */
bool memory_knows(const struct memory_question *question);

/* A reply came, or none: log trouble once. True when it is a good one. */
bool memory_peer_replied(struct memory_peer *peer, const struct fetch_reply *reply);

/* ---- mem0.c ---- */

#define MEM0_USER "user:" /* before a user_id */

struct mem0_request {
    char *url, *headers;
    struct fetch_request fetch;
};
void mem0_request_free(struct mem0_request *request);
/* Remember an exchange; `answer` NULL: a fact that was told, of `importance` (0 to 100). */
bool mem0_encode_add(const struct config *config, const char *user, const char *question,
                     const char *answer, int importance, struct mem0_request *out);
bool mem0_encode_search(const struct config *config, const char *user, const char *query,
                        size_t limit, struct mem0_request *out);
bool mem0_encode_list(const struct config *config, const char *user, size_t limit,
                      struct mem0_request *out);
bool mem0_encode_forget(const struct config *config, const char *user, struct mem0_request *out);
/* One memory, with GET or DELETE; its id must be valid. */
bool mem0_encode_one(const struct config *config, const char *method, const char *id,
                     struct mem0_request *out);
bool mem0_id_valid(const char *id); /* may it stand in a path? */
/* Whom Mem0 knows somebody as: "user:..." or a visitor's id. malloc'd. */
char *mem0_user(const struct owner *owner, const char *user_id);
/* Facts of a search, as ground_facts makes them; NULL = none. */
char *mem0_decode_search(const char *body, size_t len, int64_t tokens);
/* The memories of a search or a list, at most `limit`. False for what is no such reply. */
bool mem0_decode_facts(const char *body, size_t len, size_t limit, struct store_fact_list *out);
/* Whose one memory is, malloc'd; NULL = it does not say. */
char *mem0_decode_user(const char *body, size_t len);

#endif
