/*
 * start: what every way of running needs first: the options read, the log open, randomness ready.
 */
#ifndef PARLEY_START_H
#define PARLEY_START_H

#include <stdbool.h>

struct config;

/* False: could not; the reason is on stderr, in one line. On success config_free() is the caller's. */
bool start_up(struct config *config, const char *program);

/* Level, format and file of the log, also after a reload. False: no such file can be opened, says stderr. */
bool start_log(const struct config *config);

#endif
