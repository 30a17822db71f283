/*
 * master_private: what the master*.c files share. master.c is the loop and the stop; master_workers.c starts and
 * buries workers; master_switch.c replaces them: new generations, recycling, the watchdog.
 */
#ifndef PARLEY_PROCESS_MASTER_PRIVATE_H
#define PARLEY_PROCESS_MASTER_PRIVATE_H

#include <sys/types.h>

#include "fcgi/process/handover.h"
#include "fcgi/process/master.h"
#include "fcgi/process/scoreboard.h"

#define MASTER_KILL_GRACE_MS 3000 /* after the drain time, before SIGKILL */
#define PLACE_OLD            (-1) /* of workers that another program has left */

enum child_state {
    CHILD_STARTING,
    CHILD_SERVING,
    CHILD_LEAVING, /* told to drain */
    CHILD_DUMPING  /* stuck, told to dump its stack */
};

/* A worker process. Its index is its slot of the scoreboard. */
struct child {
    pid_t pid; /* 0 = none */
    int place;
    unsigned generation;
    enum child_state state;
    int64_t started_ms;   /* monotonic */
    int64_t kill_ms;      /* monotonic, when leaving or dumping: SIGKILL then */
    int64_t max_requests; /* with jitter; 0 = any */
    int64_t max_memory_kb;
    bool reopen; /* its log files, as soon as it can hear of it */
};

/* Where one worker should be at any time. */
struct place {
    int64_t backoff_ms; /* of the next restart; 0 = at once */
    int64_t restart_ms; /* monotonic time of the next start; -1 = none is due */
    bool restarted;     /* has been started more than once */
};

enum master_stage { MASTER_RUNNING, MASTER_DRAINING, MASTER_HURRYING, MASTER_KILLING };

struct master {
    struct master_options options;
    struct child children[SCOREBOARD_SLOTS];
    struct place places[MASTER_MAX_WORKERS];
    enum master_stage stage;
    int64_t kill_at_ms; /* monotonic; meaningful when stopping */
    int64_t tick_ms;    /* monotonic, of the last look at the workers */
    int64_t forgive_ms; /* monotonic: no watchdog before, because we were asleep ourselves */
    int64_t alive_ms;   /* monotonic, of the next sign of life for a service manager; -1 = none */
    int64_t recycle_ms; /* monotonic: no worker is recycled before */
    unsigned generation;

    bool announced;               /* the service manager knows that we serve */
    bool switching;               /* a new generation is starting */
    bool reload_again;            /* asked for meanwhile */
    bool undo;                    /* `before` is what to go back to */
    struct master_options before; /* of the generation that goes on if the new one cannot start */
    pid_t checker;                /* the next program, looking at its configuration; 0 = none */
    int64_t checker_kill_ms;
    int checker_output; /* a file in memory with what it printed */

    int signal_fd;
    int life_fds[2]; /* children read [0]; EOF is the master's death */
    int status;
};

/* ---- master.c ---- */

void master_begin_stop(struct master *master, const char *why);

/* ---- master_workers.c ---- */

/* Fork one for `place`; what becomes of its predecessor is the caller's. False: could not, logged. */
bool master_start_worker(struct master *master, int place);
/* Start those whose time has come. */
void master_start_due(struct master *master);
/* Told to drain, with a deadline. */
void master_retire(struct master *master, struct child *child);
/* A worker that serves or will, at this place. NULL = none. */
struct child *master_current(struct master *master, int place);
void master_adopt(struct master *master, const struct handover *handover);
struct child *master_find(struct master *master, pid_t pid);
bool master_any_child(const struct master *master);
void master_signal_all(const struct master *master, int number);
void master_bury(struct master *master, struct child *child, int status);
/* SIGKILL for those whose deadline is over. */
void master_kill_late(struct master *master);

/* ---- master_switch.c ---- */

void master_reload(struct master *master);
/* Ask the program at our path whether it would start; when it would, become it. */
void master_replace_program(struct master *master);
void master_program_checked(struct master *master, int status);
/* A worker of the new generation died before it served. */
void master_abandon_switch(struct master *master, const char *why);
/* The new generation begins with workers of another program still serving. */
void master_begin_switch(struct master *master);
/* Look at the scoreboard: who is ready, who is stuck, who has grown too big. */
void master_tick(struct master *master);
/* Milliseconds until the next look; -1 = none is needed. */
int64_t master_tick_wait(const struct master *master);

#endif
