/*
 * serve_private: what serve.c (a worker's side) and serve_master.c (the master's) share.
 */
#ifndef PARLEY_SERVE_PRIVATE_H
#define PARLEY_SERVE_PRIVATE_H

#include <stdint.h>

#include "common/config.h"
#include "fcgi/app.h"
#include "fcgi/process/privileges.h"
#include "fcgi/process/scoreboard.h"
#include "fcgi/serve.h"

struct breakers;
struct models;
struct server;
struct upkeep;

struct serve {
    const struct config *config; /* the present one: `first`, or `loaded` after a reload */
    const struct config *first;
    struct config *loaded; /* owned, NULL = none */
    struct config *next;   /* owned: read, its workers are not serving yet */
    struct serve_call call;
    const char *address; /* NULL: the sockets are not ours */
    int fds[SERVE_MAX_SOCKETS];
    size_t count;
    int64_t started_ms; /* wall clock */
    int pid_fd;         /* -1 = none */
    struct privileges privileges;
    struct scoreboard *board;
    int board_fd;
    struct breakers *breakers;        /* shared by the workers; NULL: each counts for itself */
    struct breakers *breakers_before; /* of the generation before, until a reload is through */

    /* the worker's */
    struct app app;
    struct server *servers[SERVE_MAX_SOCKETS];
    struct upkeep *upkeep;
    struct models *models; /* NULL unless DISCOVER_MODELS */
};

/* In the worker: serve until told to stop. */
int serve_run_worker(void *ctx, int parent_fd);

#endif
