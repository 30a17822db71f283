/*
 * signals: handlers that only record. A signal becomes a byte in a pipe; the loop that polls the pipe
 * decides. One watcher per process; for the master (workers have libuv's own).
 */
#ifndef PARLEY_PROCESS_SIGNALS_H
#define PARLEY_PROCESS_SIGNALS_H

#include <stddef.h>

/* Catch the signals of `list`. Returns the descriptor to poll, -1 with errno set when that is impossible. */
int signals_watch(const int *list, size_t count);

/* The next recorded signal, 0 when there is none. Never waits. */
int signals_next(void);

/* Stop watching: default actions again, pipe closed. */
void signals_unwatch(void);

/* Around fork(): hold every signal back, so that a child never runs its parent's handlers. */
void signals_hold(void);
/* While they are held: what was recorded and not asked for yet is pending again, for the program that comes next. */
void signals_give_back(void);
/* In the parent afterwards: as before signals_hold. */
void signals_release(void);
/* In the child instead: no handlers, nothing blocked, the parent's pipe closed. */
void signals_reset(void);

#endif
