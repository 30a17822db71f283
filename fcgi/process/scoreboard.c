/*
 * scoreboard: see scoreboard.h.
 *
 * Nothing here locks or waits. A reader may see a slot half a beat old; only the moment in which the counts of
 * a dead worker move to `past` would show as a jump, so readers of sums look at `folding` before and after.
 */
#include "fcgi/process/scoreboard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/base/text.h"

#define SUM_TRIES 100 /* of a sum that moved under our feet */

static struct scoreboard_slot *own; /* of this worker */

const char *scoreboard_state_name(enum scoreboard_state state)
{
    static const char *const names[SLOT_STATES] = { "free", "starting", "serving", "draining" };

    return state < SLOT_STATES ? names[state] : "unknown";
}

static void write_magic(char magic[32])
{
    memset(magic, 0, 32);
    snprintf(magic, 32, "parley 1 %zu %zu", sizeof(struct scoreboard), sizeof(struct metrics));
}

static bool has_our_layout(int fd)
{
    char wanted[32], magic[32];
    struct stat st;

    write_magic(wanted);
    return fstat(fd, &st) == 0 && st.st_size == (off_t)sizeof(struct scoreboard) &&
           pread(fd, magic, sizeof magic, 0) == (ssize_t)sizeof magic &&
           memcmp(magic, wanted, sizeof magic) == 0;
}

static int make_file(void)
{
    int fd = memfd_create(SCOREBOARD_NAME, MFD_CLOEXEC);

    if (fd >= 0 && ftruncate(fd, (off_t)sizeof(struct scoreboard)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

struct scoreboard *scoreboard_open(int fd, const char *version, int *out_fd)
{
    struct scoreboard *board = MAP_FAILED;
    bool inherited = fd >= 0 && has_our_layout(fd);

    if (fd >= 0 && !inherited) {
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        fd = make_file();
    if (fd >= 0)
        board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (board == MAP_FAILED) {
        log_error("scoreboard_failed", LOG_STR("error", strerror(errno)));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (!inherited) {
        write_magic(board->magic);
        board->started_ms = clock_wall_ms();
        id_random(board->client_key, sizeof board->client_key);
    }
    board->pid = getpid();
    text_copy(board->version, sizeof board->version, version);
    *out_fd = fd;
    return board;
}

void scoreboard_close(struct scoreboard *board)
{
    if (board != NULL)
        munmap(board, sizeof *board);
}

const struct scoreboard *scoreboard_attach(const char *path, bool *other)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *board = MAP_FAILED;

    *other = false;
    if (fd < 0)
        return NULL;
    if (has_our_layout(fd))
        board = mmap(NULL, sizeof(struct scoreboard), PROT_READ, MAP_SHARED, fd, 0);
    else
        *other = true;
    close(fd);
    return board != MAP_FAILED ? board : NULL;
}

void scoreboard_detach(const struct scoreboard *board)
{
    if (board != NULL)
        munmap((void *)board, sizeof *board);
}

/* ---- the master ---- */

void scoreboard_prepare(struct scoreboard *board, int slot, uint32_t generation)
{
    struct scoreboard_slot *fresh = &board->slots[slot];

    memset(fresh, 0, sizeof *fresh);
    fresh->generation = generation;
    fresh->started_ms = clock_wall_ms();
    fresh->beat_ms = clock_mono_ms();
    fresh->state = SLOT_STARTING;
}

void scoreboard_retire(struct scoreboard *board, int slot)
{
    struct scoreboard_slot *gone = &board->slots[slot];

    if (gone->state == SLOT_FREE)
        return;
    atomic_fetch_add(&board->folding, 1);
    metrics_fold(&board->past, &gone->metrics);
    gone->state = SLOT_FREE;
    gone->pid = 0;
    atomic_fetch_add(&board->folding, 1);
}

/* ---- the worker ---- */

void scoreboard_enter(struct scoreboard *board, int slot)
{
    own = &board->slots[slot];
    own->pid = getpid();
    metrics_use(&own->metrics);
}

void scoreboard_set_state(enum scoreboard_state state)
{
    if (own == NULL)
        return;
    own->beat_ms = clock_mono_ms();
    own->state = state;
}

void scoreboard_beat(int64_t lag_us)
{
    if (own == NULL)
        return;
    own->lag_us = lag_us;
    if (lag_us > own->lag_most_us)
        own->lag_most_us = lag_us;
    own->memory_kb = scoreboard_memory_kb(getpid());
    own->beat_ms = clock_mono_ms();
}

void scoreboard_set_load(int64_t streams, int64_t busy)
{
    if (own == NULL)
        return;
    own->streams = streams;
    own->busy = busy;
}

/* ---- readers ---- */

static void sum_once(const struct scoreboard *board, struct metrics *out)
{
    memset(out, 0, sizeof *out);
    metrics_fold(out, &board->past);
    for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
        const struct scoreboard_slot *slot = &board->slots[i];

        if (slot->state == SLOT_FREE)
            continue;
        metrics_fold(out, &slot->metrics);
        for (int g = 0; g < METRICS_GAUGES; g++)
            out->gauges[g] += slot->metrics.gauges[g];
    }
}

void scoreboard_sum(const struct scoreboard *board, struct metrics *out)
{
    for (int i = 0; i < SUM_TRIES; i++) {
        uint32_t before = atomic_load(&board->folding);

        sum_once(board, out);
        if (before % 2 == 0 && atomic_load(&board->folding) == before)
            return;
    }
}

int64_t scoreboard_memory_kb(pid_t pid)
{
    char path[40], text[128];
    ssize_t len = -1;
    char *rest;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        len = read(fd, text, sizeof text - 1);
        close(fd);
    }
    if (len <= 0)
        return -1;
    text[len] = '\0';
    strtoll(text, &rest, 10);
    return strtoll(rest, NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024);
}
