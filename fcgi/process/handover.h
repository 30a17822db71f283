/*
 * handover: one program takes the place of another under the same process id: sockets, the pipe that tells
 * workers that the master lives, the scoreboard and the workers themselves go over in one environment variable.
 */
#ifndef PARLEY_PROCESS_HANDOVER_H
#define PARLEY_PROCESS_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "fcgi/process/scoreboard.h"

#define HANDOVER_SOCKETS 8

struct handover_worker {
    int slot; /* of the scoreboard */
    pid_t pid;
    bool leaving; /* drains already: a second SIGTERM would make it break off its answers */
};

struct handover {
    int sockets[HANDOVER_SOCKETS];
    size_t socket_count;
    bool by_address; /* the socket was opened by us; false: by whoever started us */
    int life_fds[2];
    int board_fd; /* -1 = none */
    unsigned generation;
    struct handover_worker workers[SCOREBOARD_SLOTS];
    size_t worker_count;
};

/* At the start of the program: remember how it was called, and take what a program before us has left.
 * Nothing of it is inherited by children any more afterwards. */
void handover_begin(int argc, char **argv);

/* What was left, NULL when nothing. The same until the program ends. */
const struct handover *handover_received(void);

/* The path that the next program is started from: the one we were, whatever lies there now. */
const char *handover_program(void);

/* Become the program at handover_program(), with our arguments. Returns only when that failed, errno set;
 * everything is then as before. */
void handover_exec(const struct handover *handover);

#endif
