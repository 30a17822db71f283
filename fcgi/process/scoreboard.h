/*
 * scoreboard: everything that master and workers share, in one piece of memory: a slot per worker, written by
 * that worker only (and by the master before its birth and after its death), read by anybody at any time.
 *
 * The memory is an unnamed file (memfd): children inherit it, `parley status` finds it through /proc, and
 * nothing is left behind when the processes are gone.
 */
#ifndef PARLEY_PROCESS_SCOREBOARD_H
#define PARLEY_PROCESS_SCOREBOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/metrics.h"

#define SCOREBOARD_SLOTS 192 /* workers that serve, start and drain at the same time */
#define SCOREBOARD_NAME  "parley-scoreboard"

enum scoreboard_state {
    SLOT_FREE,
    SLOT_STARTING, /* forked, not serving yet */
    SLOT_SERVING,
    SLOT_DRAINING,
    SLOT_STATES
};
const char *scoreboard_state_name(enum scoreboard_state state);

struct scoreboard_slot {
    _Atomic uint32_t state;
    _Atomic int32_t pid;
    _Atomic uint32_t generation; /* of configuration or program; the highest one is the present */
    _Atomic int64_t started_ms;  /* wall clock */
    _Atomic int64_t beat_ms;     /* monotonic: when the loop has last turned */
    _Atomic int64_t lag_us;      /* how late the last beat was */
    _Atomic int64_t lag_most_us;
    _Atomic int64_t streams; /* answers being written */
    _Atomic int64_t busy;    /* requests being read, handled or streamed */
    _Atomic int64_t memory_kb;
    struct metrics metrics;
};

struct scoreboard {
    char magic[32]; /* layout; what has another one cannot be read */
    _Atomic int32_t pid;
    _Atomic uint32_t generation;
    _Atomic int64_t started_ms; /* wall clock */
    _Atomic uint64_t restarts;  /* workers started again after they died */
    _Atomic uint64_t recycled;  /* replaced for MAX_REQUESTS or MAX_MEMORY_MB */
    _Atomic uint64_t stuck;     /* replaced by the watchdog */
    _Atomic uint64_t reloads;
    _Atomic uint64_t replaced;    /* programs */
    _Atomic uint32_t folding;     /* odd while `past` and a slot are changing together */
    unsigned char client_key[16]; /* for the hashes of client addresses in the log */
    char version[32];
    struct metrics past; /* of workers that are gone */
    struct scoreboard_slot slots[SCOREBOARD_SLOTS];
};

/*
 * Make one, or take over the one at `fd` (-1 = none) when it has our layout; that descriptor is closed
 * otherwise. NULL: no memory, logged. *out_fd is close-on-exec and the caller's.
 */
struct scoreboard *scoreboard_open(int fd, const char *version, int *out_fd);
void scoreboard_close(struct scoreboard *board);

/* Read-only, of another process. NULL: not ours to see, or another layout (*other then true). */
const struct scoreboard *scoreboard_attach(const char *path, bool *other);
void scoreboard_detach(const struct scoreboard *board);

/* ---- the master ---- */

/* Before fork: a fresh slot, starting. */
void scoreboard_prepare(struct scoreboard *board, int slot, uint32_t generation);
/* After its death: keep its counts, free the slot. */
void scoreboard_retire(struct scoreboard *board, int slot);

/* ---- the worker; without a slot (tests, CGI) nothing happens ---- */

/* In the child, before threads: this slot is ours, and metrics are counted there. */
void scoreboard_enter(struct scoreboard *board, int slot);
void scoreboard_set_state(enum scoreboard_state state);
void scoreboard_beat(int64_t lag_us);
void scoreboard_set_load(int64_t streams, int64_t busy);

/* ---- readers ---- */

/* All counts, of the living and the dead, into `out`. */
void scoreboard_sum(const struct scoreboard *board, struct metrics *out);

/* Resident memory of a process in KB, -1 when it cannot be read. */
int64_t scoreboard_memory_kb(pid_t pid);

#endif
