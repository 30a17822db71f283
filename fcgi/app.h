/*
 * app: what a serving process has, opened after fork and handed to every exchange.
 */
#ifndef PARLEY_APP_H
#define PARLEY_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/caps.h"
#include "common/config.h"
#include "common/providers/provider.h"
#include "common/base/result.h"

struct answers;
struct breakers;
struct outflow;
struct owner;
struct identity;
struct limits;
struct memory;
struct relay;
struct scoreboard;
struct store;
struct tools;
struct uv_loop_s;

struct app {
    const struct config *config;
    struct uv_loop_s *loop;
    struct providers providers;
    struct store *store;
    struct limits *limits;
    struct relay *relay;
    struct breakers *breakers;     /* shared with the other workers */
    struct breakers *own_breakers; /* NULL when somebody else has made them */
    struct memory *memory;
    struct answers *answers;
    struct tools *tools;
    struct buf
        frame; /* where the loop puts each frame together; of fcgi/endpoints/answer_client.c */
    struct outflow *outflows; /* exchanges that wait on the loop; of fcgi/endpoints/outflow.c */
    _Atomic size_t turns; /* running turns of fcgi/endpoints/turn_*.c, the last commit included */
    struct identity *identity;
    char writer[CAP_ID];        /* id of this process towards the store */
    unsigned char seal_key[32]; /* for what is kept sealed in the store; of SECRET_KEY */
    int64_t started_ms;         /* wall clock of the whole program's start */
    /* Have the answer made by a process of its own; NULL where this process stays. False: could not. */
    bool (*answer_detached)(const char *message_id, const struct owner *asker);
    struct scoreboard *board;     /* what all workers do; NULL in a CGI */
    unsigned char client_key[16]; /* for client_hash; one for all workers */
};

/* What app_open refuses in the options beyond the bounds of each, without opening anything; for check-config and a reload. */
enum result app_check(const struct config *config, struct fault *fault);

/* Open everything on `loop`. `fault` has the operator's sentence. */
enum result app_open(struct app *app, const struct config *config, struct uv_loop_s *loop,
                     int64_t started_ms, struct fault *fault);

/* The same with the breakers that the workers share; they stay the caller's. app_open makes its own. */
enum result app_open_shared(struct app *app, const struct config *config, struct uv_loop_s *loop,
                            int64_t started_ms, struct breakers *breakers, struct fault *fault);

/* Close everything; no answer may be running. */
void app_close(struct app *app);

#endif
